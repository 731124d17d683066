"""The bundles that threads call: a classifier, a tagger and an embedder in int8, and a decoder, with random weights."""

from pathlib import Path
from typing import Any, Final

from tests.helpers.cli import told
from tests.helpers.onnx_writer import ONNX_WRITER
from tests.helpers.tiny_bert import save_tiny_bert
from tests.helpers.tiny_generators import write_generator

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
LENGTH: Final = 128  # tokens of an encoder
NAMES: Final = ("classifier", "tagger", "embedder", "generator")

_PIECES: Final = [*LETTERS, *(f"##{letter}" for letter in LETTERS)]
_SIZES: Final = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4}
_TAGS: Final = ("O", "B-per", "I-per", "B-loc", "I-loc")
_ENCODERS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "classifier": ("BertForSequenceClassification", "text-classification", {"num_labels": 5}),
    "tagger": (
        "BertForTokenClassification",
        "token-classification",
        {"id2label": dict(enumerate(_TAGS)), "label2id": {tag: place for place, tag in enumerate(_TAGS)}},
    ),
    "embedder": ("BertModel", "feature-extraction", {}),
}


def write_bundles(folder: Path) -> None:
    """Export or write every bundle of NAMES into `folder`."""
    for name, (kind, task, config) in _ENCODERS.items():
        checkpoint = folder / "checkpoints" / name
        save_tiny_bert(
            checkpoint, _PIECES, length=LENGTH, kind=kind, initializer_range=0.2, **_SIZES, **config
        )
        told(
            "export", "--checkpoint", checkpoint, "--output", folder / name, "--task", task, "--precision", "int8",
        )  # fmt: skip
    write_generator(folder / "generator", ONNX_WRITER, source=False, caches="in_place")
