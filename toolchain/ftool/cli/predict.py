"""`ftool predict`: answer texts with a bundle."""

import logging
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli import completion
from ftool.cli.options import columns_option, device_option, generation_flags, threads_option
from ftool_runtime.tools.options import none_below_option

if TYPE_CHECKING:
    from ftool_runtime.session.onnx_session import Device

_log = logging.getLogger(__name__)


@click.command()
@click.argument("given", default=".", metavar="[FOLDER|BUNDLE]", shell_complete=completion.folders)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--input", "source", type=click.Path(path_type=Path), help="Lines of text, or any file that --data reads."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="A file to write, whole or not at all; with --engine ray a folder.",
)
@click.option(
    "--engine",
    default="local",
    show_default=True,
    metavar="local|ray[:ADDRESS]",
    help="ray: answer a file or a folder of files on a Ray cluster, by default one on this machine.",
)
@click.option(
    "--workers", type=int, metavar="N", help="With --engine ray: processes; as many as there are CPUs."
)
@click.option(
    "--block-tokens",
    type=int,
    metavar="N",
    help="With --engine ray: about how many tokens a worker answers at once. [default: 65536]",
)
@click.option(
    "--column",
    "fields",
    multiple=True,
    metavar="[FIELD=]NAME",
    help="The column or key of the texts, or of a field of the input, such as question=QUERY.",
)
@columns_option
@click.option(
    "--top-k",
    type=int,
    metavar="N",
    help="Labels: give the N most probable. Generation: sample from the N most probable tokens.",
)
@click.option(
    "--threshold",
    type=float,
    metavar="P",
    help="Multi-label: give the labels with at least this probability.",
)
@click.option(
    "--none-below",
    type=none_below_option,
    metavar="P|fitted",
    help="One label: answer null below this probability, or below the one that training has fitted.",
)
@click.option(
    "--kind",
    type=click.Choice(["query", "passage"]),
    help="Embeddings: what the texts are, which selects the prompt before them.",
)
@click.option(
    "--aggregation",
    type=click.Choice(["none", "simple", "first", "average", "max"]),
    help="Entities: how tokens are merged into entities; by default as the bundle says.",
)
@threads_option
@device_option
@click.option("--stream", is_flag=True, help="Generation: print plain text instead of JSON, token by token.")
@generation_flags
@click.option(
    "--json", is_flag=True, expose_value=False, help="Print one JSON object per line, which is the default."
)
def predict(
    given: str,
    texts: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    engine: str,
    workers: int | None,
    block_tokens: int | None,
    fields: tuple[str, ...],
    columns: tuple[str, ...] | None,
    threads: int | None,
    device: "Device",
    stream: bool,
    writing: Namespace,
    **answering: Any,
) -> None:
    """Answer texts with a bundle: one JSON object per line, in the order of the input.

    The texts are the arguments, the rows of --input, or the lines of standard input; each line of standard input is
    answered as soon as it is read. The answer to an empty text is null. Inside a model folder, the folder can be left
    out before the texts.

    With --engine ray, workers write the answers to many rows at once into the folder --output; the same command
    continues if it was interrupted. Rows that can't be answered don't stop it: they are listed beside the answers.

    \b
    ftool predict models/intents "make the screen brighter"
    ftool predict models/intents --input texts.csv --output labels.jsonl
    ftool predict models/intents --engine ray --input texts/ --output labels/
    ftool predict models/dates --stream "the 3rd of March, 2021"
    cd models/intents && ftool predict "make the screen brighter"
    """
    import ftool_runtime as ft
    from ftool.data.inputs import known_columns, read_inputs
    from ftool_runtime.models.generator import Generator
    from ftool_runtime.text.files import in_batches, read_batches
    from ftool_runtime.tools.options import answer_options, input_columns, inputs_of
    from ftool_runtime.tools.output import output_to, stream_answers, write_answers

    folder, texts = _folder_and_texts(given, texts)
    if texts and source:
        raise click.UsageError("give texts as arguments or with --input, not both")
    given_options = Namespace(**vars(writing), **answering, stream=stream)
    if engine != "local":
        sizes = {"workers": workers, "threads": threads, "block_tokens": block_tokens}
        _on_ray(folder, engine, source, output, fields, columns, device, sizes, given_options)
        return
    if workers is not None or block_tokens is not None:
        raise click.UsageError("--workers and --block-tokens are for --engine ray")
    with ft.load(bundle_in(folder), device=device, threads=threads) as model, output_to(output) as out:
        batches: Iterable[Sequence[Any]]
        if texts:
            batches = [inputs_of(model, texts)]
        elif source is not None:
            found = known_columns(source, input_columns(model, fields), columns, lambda: _of_training(folder))
            batches = in_batches(read_inputs(source, found, columns))
        else:
            if sys.stdin is not None and sys.stdin.isatty():
                kind = "texts" if len(model.input_fields) == 1 else "JSON objects"
                _log.info("waiting for %s, one a line; Ctrl-D ends", kind)
            batches = read_batches(None, input_columns(model, fields))
        options = answer_options(model, given_options)
        if stream:
            assert isinstance(model, Generator)  # `answer_options` refuses --stream for others
            counts = stream_answers(model, batches, out, options)
        else:
            counts = write_answers(model, batches, out, **options)
    if counts.truncated:
        _log.warning("texts longer than the model's limit, which were cut: %d", counts.truncated)
    if counts.blank:
        _log.warning("empty texts, whose answer is null: %d", counts.blank)


def _on_ray(
    folder: Path,
    engine: str,
    source: Path | None,
    output: Path | None,
    fields: tuple[str, ...],
    columns: tuple[str, ...] | None,
    device: str,
    sizes: dict[str, int | None],
    given: Namespace,
) -> None:
    """Answer the rows of files on a Ray cluster, and print what was answered."""
    name, colon, address = engine.partition(":")
    if name != "ray" or (colon and not address):
        raise click.UsageError(f"--engine is local, ray or ray:ADDRESS, got {engine}")
    if source is None or output is None:
        raise click.UsageError("--engine ray needs --input, a file or folder, and --output, a folder")
    if device != "cpu" or given.stream:
        raise click.UsageError("--engine ray answers on CPUs, without --stream")
    from ftool.extras import require

    require("ray")
    import ftool_runtime as ft
    from ftool.distributed.job import plan
    from ftool.distributed.predict import run
    from ftool_runtime.tools.options import answer_options, input_columns

    bundle = bundle_in(folder)
    tokens = {} if sizes["block_tokens"] is None else {"block_tokens": sizes["block_tokens"]}
    with ft.load(bundle) as model:
        job = plan(
            model,
            bundle,
            source,
            column=input_columns(model, fields),
            names=columns,
            options=answer_options(model, given),
            trained=lambda: _of_training(folder),
            **tokens,
        )
    report = run(
        job, output, address=address or None, workers=sizes["workers"], threads=sizes["threads"] or 1
    )
    if report.truncated:
        _log.warning("texts longer than the model's limit, which were cut: %d", report.truncated)
    if report.blank:
        _log.warning("empty texts, whose answer is null: %d", report.blank)
    if report.rejected:
        _log.warning(
            "rows without an answer, which %s lists: %d", report.output / "rejected-*.jsonl", report.rejected
        )
    click.echo(str(report))


def _folder_and_texts(given: str, texts: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of the model, and the texts, of which `given` may be the first.

    It is a text if it names no model but the current folder is one, unless it looks like a path.
    """
    from ftool.recipe.paths import looks_like_path

    folder = Path(given)
    is_path = given.startswith((".", "~", "/")) or (" " not in given and looks_like_path(given))
    if not _is_model(Path()) or (given and (is_path or _is_model(folder))):
        return folder, texts
    return Path(), (given, *texts)


def _is_model(folder: Path) -> bool:
    """Return whether a folder is a bundle or a model folder."""
    from ftool.workspace import ModelFolder
    from ftool_runtime.bundle.paths import MANIFEST_FILE

    model = ModelFolder(folder)
    return (folder / MANIFEST_FILE).is_file() or model.recipe.is_file() or model.bundle.is_dir()


def _of_training(folder: Path) -> Mapping[str, str]:
    """Return the column of each field of an input in the data of the recipe in a folder; empty without a recipe."""
    from ftool.data.load import input_columns
    from ftool.recipe.recipe import Recipe
    from ftool.workspace import ModelFolder

    path = ModelFolder(folder).recipe
    if not path.is_file():
        return {}
    recipe = Recipe.read(path)
    return input_columns(recipe.row.reader, recipe.data)


def bundle_in(folder: Path) -> Path:
    """Return the bundle at a path: `folder` itself, or its bundle/ if it is a model folder.

    Raises UsageError if there is no such folder, and ModelFolderError if a model folder has no bundle yet. Any other
    folder is returned unchanged; `ftool_runtime.load` refuses such a folder.
    """
    from ftool.workspace import ModelFolder
    from ftool_runtime.bundle.paths import MANIFEST_FILE

    if not folder.exists():
        raise click.UsageError(
            f"folder {folder} does not exist; give the folder before the texts (. is the current one)"
        )
    if (folder / MANIFEST_FILE).is_file() or not _is_model(folder):
        return folder
    return ModelFolder(folder).require_bundle()
