"""The bundles that other libraries read: of models trained in a minute on data that ships with ftool."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.commands import REPOSITORY, ftool

INTENTS: Final = REPOSITORY / "toolchain" / "ftool" / "builtin" / "intents"
LABELS: Final = ("O", "B-NAME", "I-NAME", "B-PLACE", "I-PLACE")  # of the tagger, whose head is not trained
_STANDARD: Final = ("--layout", "standard")


def bundle(name: str, work: Path) -> Path:
    """Return the bundle `name` in the folder `work`; it is made if it is not there."""
    folder = work.absolute() / name / "bundle"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        BUNDLES[name](folder)
    return folder


def intent_texts(split: str) -> list[str]:
    """Return the texts of a split of the intents that ship with ftool."""
    with (INTENTS / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def _classifier(folder: Path) -> None:
    ftool("new", folder.parent, "--from", "intents")
    ftool("train", folder.parent)
    ftool("export", folder.parent)


def _standard_classifier(folder: Path) -> None:
    """Export the trained classifier, which the bundle "intents" has made, once more."""
    run = bundle("intents", folder.parent.parent).parent / "run"
    data = ("--data", "builtin:intents")
    ftool("export", "--checkpoint", run, "--task", "text-classification", *data, *_STANDARD, "-o", folder)


def _embedder(folder: Path) -> None:
    ftool("export", "--checkpoint", "minilm", "--task", "feature-extraction", *_STANDARD, "-o", folder)


def _tagger(folder: Path) -> None:
    from transformers import AutoModelForTokenClassification

    names = dict(enumerate(LABELS))
    _headed(
        folder, AutoModelForTokenClassification, id2label=names, label2id={v: k for k, v in names.items()}
    )
    _exported(folder, "token-classification")


def _tagger_for_ftool(folder: Path) -> None:
    """Export the checkpoint of the bundle "tagger" once more, in the default layout."""
    source = bundle("tagger", folder.parent.parent).parent / "checkpoint"
    drift = ("--allow-drift",)
    ftool("export", "--checkpoint", source, "--task", "token-classification", *drift, "-o", folder)


def _reader(folder: Path) -> None:
    from transformers import AutoModelForQuestionAnswering

    _headed(folder, AutoModelForQuestionAnswering)
    _exported(folder, "question-answering")


def _headed(folder: Path, kind: type, **config: object) -> None:
    """Write minilm with a head that is not trained: its answers mean nothing, and are equal everywhere or not."""
    import torch
    from transformers import AutoTokenizer

    from ftool.bases import resolve_base

    torch.manual_seed(1)
    model = kind.from_pretrained(resolve_base("minilm"), **config)  # type: ignore[attr-defined]
    head = model.classifier if hasattr(model, "classifier") else model.qa_outputs
    torch.nn.init.normal_(head.weight, std=0.5)
    model.save_pretrained(folder.parent / "checkpoint")
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(folder.parent / "checkpoint")


def _exported(folder: Path, task: str) -> None:
    """Export the checkpoint beside the bundle `folder`."""
    drift = ("--allow-drift",)  # answers of an untrained head are near to many others
    ftool(
        "export",
        "--checkpoint",
        folder.parent / "checkpoint",
        "--task",
        task,
        *_STANDARD,
        *drift,
        "-o",
        folder,
    )


def _decoder(base: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        texts = folder.parent / "texts.jsonl"
        rows = (json.dumps({"text": text}) for text in intent_texts("train"))
        texts.write_text("\n".join(rows) + "\n", encoding="utf-8")
        flags = ("train.epochs=3", "train.max_length=64", "train.max_target_length=32", "train.tokenizer=bpe")
        settings = [part for flag in flags for part in ("--set", flag)]
        ftool("new", folder.parent, "--task", "text-generation", "--base", base, "--data", texts, *settings)
        ftool("train", folder.parent)
        ftool("export", folder.parent, *_STANDARD)

    return make


def _unquantised_decoder(folder: Path) -> None:
    """Export the decoder that the bundle "gpt2" has trained once more, for browsers."""
    run = bundle("gpt2", folder.parent.parent).parent / "run"
    ftool("export", "--checkpoint", run, "--precision", "fp32", *_STANDARD, "-o", folder)


def _dates(folder: Path) -> None:
    """Train for a few updates only: the answers are wrong, and must be wrong in the same way everywhere."""
    flags = ("--set", "train.epochs=0.2", "--set", "train.evaluation_examples=16")
    ftool("new", folder.parent, "--from", "dates", *flags)
    ftool("train", folder.parent)
    ftool("export", folder.parent, *_STANDARD, "--allow-drift")


BUNDLES: Final[dict[str, Callable[[Path], None]]] = {
    "intents": _classifier,
    "intents-standard": _standard_classifier,
    "tagger": _tagger,
    "tagger-ftool": _tagger_for_ftool,
    "reader": _reader,
    "minilm": _embedder,
    "gpt2": _decoder("scratch:gpt2-mini"),
    "gpt2-fp32": _unquantised_decoder,
    "llama": _decoder("scratch:llama-mini"),
    "dates": _dates,
}
