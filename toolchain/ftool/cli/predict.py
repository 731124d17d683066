"""`ftool predict`: label texts with a bundle."""

import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ftool_runtime.onnx_session import Device
    from ftool_runtime.tasks import Classification, TextClassifier

_log = logging.getLogger(__name__)


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path), metavar="[FOLDER|BUNDLE]")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--input", "source", type=click.Path(path_type=Path), help="A CSV, TSV, JSONL or text file.")
@click.option("--output", type=click.Path(path_type=Path), help="A file to write, whole or not at all.")
@click.option("--column", default="text", show_default=True, help="The column or key of the input's texts.")
@click.option("--top-k", type=int, metavar="N", help="Give the N most probable labels of each text.")
@click.option(
    "--threshold", type=float, metavar="P", help="Multi-label: give labels from this probability on."
)
@click.option("--threads", type=int, metavar="N", help="CPU threads; if not given, all physical cores.")
@click.option("--device", type=click.Choice(["cpu", "cuda", "auto"]), default="cpu", show_default=True)
@click.option(
    "--json", is_flag=True, expose_value=False, help="JSON, an object a line, as it is without this."
)
def predict(
    folder: Path,
    texts: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    column: str,
    top_k: int | None,
    threshold: float | None,
    threads: int | None,
    device: "Device",
) -> None:
    """Label texts with a bundle: one JSON object a line, in the order of the input.

    The texts are the arguments, or the rows of --input, or the lines of standard input.

    \b
    ftool predict models/intents "turn the lights off"
    ftool predict models/intents --input texts.csv --output labels.jsonl
    """
    import ftool_runtime as ft
    from ftool_runtime.text_files import read_texts

    if texts and source:
        raise click.UsageError("give texts as arguments or with --input, not both")
    model = ft.load(bundle_in(folder), device=device, threads=threads)
    answers = 0
    truncated = 0
    with model, _lines_to(output) as write:
        for text, answer in _answered(model, texts or read_texts(source, column), top_k, threshold):
            write(json.dumps(answer.to_json(text), ensure_ascii=False))
            answers, truncated = answers + 1, truncated + answer.truncated
    if truncated:
        _log.warning(
            "%d of %d texts are longer than the model takes; their ends were not read", truncated, answers
        )


def bundle_in(folder: Path) -> Path:
    """The bundle that a path means: a bundle itself, or that of a model folder.

    Raises ModelFolderError where a model folder has none yet; what is neither is left for `load` to refuse.
    """
    from ftool.model_folder import ModelFolder
    from ftool_runtime.bundle_paths import MANIFEST_FILE

    model = ModelFolder(folder)
    if (folder / MANIFEST_FILE).is_file() or not (model.recipe.is_file() or model.bundle.is_dir()):
        return folder
    return model.require_bundle()


def _answered(
    model: "TextClassifier", texts: Iterable[str], top_k: int | None, threshold: float | None
) -> Iterator[tuple[str, "Classification"]]:
    """Each text with its answer; no more than one batch of texts is held."""
    shown, asked = itertools.tee(texts)
    return zip(shown, model.predict_iter(asked, top_k=top_k, thresholds=threshold), strict=True)


@contextmanager
def _lines_to(output: Path | None) -> Iterator[Callable[[str], None]]:
    """What writes a line to standard output, or to a file that appears when all lines are written."""
    from ftool_runtime.atomic import replacing

    if output is None:
        yield click.echo
        return
    with replacing(output) as file:
        yield lambda line: print(line, file=file)
