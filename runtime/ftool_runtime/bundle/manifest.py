"""The manifest `ftool.json` of a bundle: the model, its inputs, the size and hash of every file, and a digest.

The digest covers the manifest's own content, so that an edited label, threshold or length is noticed. The digest is a
hash, not a signature: it does not protect against deliberate changes.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ftool_runtime.atomic import replacing
from ftool_runtime.bundle.contracts import (
    EmbeddingContract,
    EntityContract,
    GenerationContract,
    InputContract,
    Languages,
    QuestionContract,
    TeachingContract,
    check_names,
    check_whole,
)
from ftool_runtime.bundle.files import read_json_file
from ftool_runtime.bundle.paths import MANIFEST_FILE, check_relative
from ftool_runtime.bundle.precisions import EMBEDDING_BITS, LAYOUTS, PRECISIONS, LayoutName
from ftool_runtime.errors import BundleError
from ftool_runtime.schema import JSON, written

__all__ = [
    "SCHEMA",
    "EmbeddingContract",
    "EntityContract",
    "FileRecord",
    "GenerationContract",
    "InputContract",
    "Languages",
    "Manifest",
    "Precision",
    "QuestionContract",
    "TeachingContract",
    "TrainingData",
]

SCHEMA: Final = 2  # 1 had no digest
DIGEST: Final = "digest"  # the key of the manifest's hash, which covers all other keys

DEVICES: Final = ("cpu", "cuda")
ATTENTIONS: Final = ("fused", "plain")

_HEX_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """The size of a file in bytes and the SHA-256 of its content, in lower-case hex."""

    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if self.bytes < 0:
            raise BundleError(f"a file's size must not be negative, got {self.bytes}")
        if len(self.sha256) != 64 or not _HEX_DIGITS.issuperset(self.sha256):
            raise BundleError(f"a sha256 is 64 lower-case hexadecimal digits, got {self.sha256!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """The numerical precision of the graph.

    Attributes:
        name: one of `PRECISIONS`.
        rows_share_scale: whether rows in the same run would change each other's answers, because they share a
            quantisation scale or the network reads padding. Each row then gets a run of its own.
        left_out: the layers with a higher precision than the rest: 8-bit blocks in an int8 bundle, fp32 in a w8 bundle.
        in_fp32: the layers of `left_out` that are in fp32 although the bundle could have them in 8-bit blocks.
        devices: the devices that the bundle runs on.
        embedding_bits: the bits of a number in embedding tables that are quantised: 8 (also in older bundles, which do
            not say so), or 4. fp32 and fp16 bundles have no such tables.
    """

    name: str = written("fp32")
    rows_share_scale: bool = written(False)
    left_out: tuple[str, ...] = ()
    in_fp32: tuple[str, ...] = ()
    devices: tuple[str, ...] = written(("cpu",))
    embedding_bits: int = 8

    def __post_init__(self) -> None:
        check_names("precision.name", (self.name,), PRECISIONS)
        check_names("precision.devices", self.devices, DEVICES)
        if not self.devices:
            raise BundleError("precision.devices must name at least one device")
        if self.embedding_bits not in EMBEDDING_BITS:
            raise BundleError(f"precision.embedding_bits must be 8 or 4, got {self.embedding_bits}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The fingerprint and size of the data that the model was trained on; None for unknown values."""

    sha256: str | None = None
    examples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of `ftool.json`. The constructor raises BundleError for inconsistent content."""

    ftool: str  # version of the toolchain that wrote the bundle
    created: str  # ISO 8601, UTC
    task: str
    name: str
    architecture: str  # Hugging Face's model_type
    base: str
    labels: tuple[str, ...]
    input: InputContract
    precision: Precision
    attention: str
    files: Mapping[
        str, FileRecord
    ]  # by POSIX path relative to the bundle; all files except ftool.json itself
    licence: str | None = None
    generation: GenerationContract | None = None  # only for models that generate text
    questions: QuestionContract | None = None  # only for question-answering
    entities: EntityContract | None = None  # only for token-classification
    embedding: EmbeddingContract | None = None  # only for feature-extraction
    teaching: TeachingContract | None = None  # only for classifiers that can be taught on the device
    pairs: bool = False  # whether an input is a pair of texts
    regression: bool = False  # whether the answer is a number, or several, whose names are then in `labels`
    multi_label: bool = False
    thresholds: tuple[float, ...] | None = (
        None  # multi-label models: the probability from which each label applies
    )
    none_below: float | None = (
        None  # single-label models: the fitted probability below which no label applies
    )
    widest_activation: int | None = (
        None  # encoders: the most numbers that a product in the graph computes for a token
    )
    output: str = written("logits")
    layout: LayoutName = "ftool"
    versions: Mapping[str, str] = field(default_factory=dict)
    training_data: TrainingData = field(default_factory=TrainingData)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    schema: int = written(SCHEMA)

    def __post_init__(self) -> None:
        _check_schema(self.schema)
        if self.has_labels or (self.regression and self.labels):
            _check_labels(self.labels)
        _check_thresholds(self.thresholds, self.labels, self.multi_label)
        _check_none_below(self.none_below, single_label=self.has_labels and not self.multi_label)
        if self.teaching is not None and (self.entities is not None or not self.has_labels):
            raise BundleError("teaching belongs to models that give labels to texts")
        check_names("attention", (self.attention,), ATTENTIONS)
        check_names("layout", (self.layout,), LAYOUTS)
        check_whole("widest_activation", self.widest_activation, 1)
        for path in self.files:
            check_relative(path)

    @property
    def has_labels(self) -> bool:
        """Whether the model's answers are labels of texts or of words."""
        return not self.regression and not any((self.generation, self.questions, self.embedding))

    @property
    def total_bytes(self) -> int:
        """The size of all files in `files` together, in bytes."""
        return sum(record.bytes for record in self.files.values())

    @classmethod
    def read(cls, folder: Path | str, *, accept_edited: bool = False) -> "Manifest":
        """Return the manifest of the bundle in `folder`.

        Args:
            folder: the bundle.
            accept_edited: whether to accept content that does not match its digest, which `verify` reports.

        Raises BundleError if the manifest is missing, damaged, edited or from a newer ftool.
        """
        path = Path(folder) / MANIFEST_FILE
        values = _parsed(path.parent)
        try:
            manifest = cls.from_json(values)
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from error
        problem = None if accept_edited else digest_problem(values)
        if problem:
            raise BundleError(f"{path} {problem}; copy or export the bundle again")
        return manifest

    @classmethod
    def from_json(cls, values: object) -> "Manifest":
        """Return the manifest in a parsed `ftool.json`, without checking the digest.

        Raises BundleError, which names the field, for a missing or wrong value.
        """
        if isinstance(values, Mapping) and isinstance(schema := values.get("schema"), int):
            _check_schema(schema)  # first, because a newer schema may have changed everything else
        return JSON.build(cls, values)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as JSON values, in an order for human readers, with the digest last."""
        values = {key: _with_lists(value) for key, value in asdict(self).items()}
        values = {"schema": values.pop("schema"), **values}
        return {**values, DIGEST: digest_of(values)}

    def write(self, folder: Path | str) -> None:
        """Write `ftool.json` into `folder`; the file is replaced whole or not at all. Raises OSError."""
        with replacing(Path(folder) / MANIFEST_FILE) as file:
            json.dump(self.to_json(), file, ensure_ascii=False, indent=2, allow_nan=False)
            file.write("\n")


def digest_of(values: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of a manifest's JSON (keys sorted, no spaces) without its digest."""
    import hashlib  # brings OpenSSL, which `import ftool_runtime` does not need

    covered = {key: value for key, value in values.items() if key != DIGEST}
    return hashlib.sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_problem(values: Mapping[str, Any]) -> str | None:
    """Return the problem with the digest of a parsed `ftool.json`; None if it is correct, or absent in schema 1."""
    if DIGEST not in values:
        return None if values.get("schema") == 1 else "has no digest"
    if values[DIGEST] != digest_of(values):
        return "was edited: its content does not match its digest"
    return None


def manifest_problem(folder: Path) -> str | None:
    """Return the problem with the manifest's digest of the bundle in `folder`, or None if there is no problem.

    Raises BundleError if the folder has no manifest or the file can't be parsed.
    """
    return digest_problem(_parsed(folder))


def _parsed(folder: Path) -> Any:
    if not os.path.lexists(folder / MANIFEST_FILE):
        raise BundleError(_no_bundle(folder))
    return read_json_file(folder, MANIFEST_FILE)


def _with_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_lists(inner) for key, inner in value.items()}
    return [_with_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


def _check_schema(schema: int) -> None:
    if schema > SCHEMA:
        raise BundleError(
            f"made by a newer ftool: its manifest has schema {schema}, and this runtime knows schemas up to {SCHEMA}; "
            "upgrade ftool-runtime"
        )
    if schema < 1:
        raise BundleError(f"the manifest's schema must be at least 1, got {schema}")


def _check_labels(labels: tuple[str, ...]) -> None:
    if not labels:
        raise BundleError("labels must name at least one label")
    twice = (
        sorted({label for label in labels if labels.count(label) > 1})
        if len(set(labels)) < len(labels)
        else []
    )
    if twice:
        raise BundleError(
            f"labels must be different from each other, and {twice[0]!r} appears more than once"
        )


def _check_thresholds(
    thresholds: tuple[float, ...] | None, labels: tuple[str, ...], multi_label: bool
) -> None:
    if thresholds is None:
        return
    if not multi_label:
        raise BundleError("thresholds belong to multi-label models, and multi_label is false")
    if len(thresholds) != len(labels):
        raise BundleError(
            f"thresholds must hold one number for each label: got {len(thresholds)} for {len(labels)} labels"
        )
    if not all(0 <= threshold <= 1 for threshold in thresholds):
        raise BundleError(f"thresholds must lie between 0 and 1, got {list(thresholds)}")


def _check_none_below(none_below: float | None, *, single_label: bool) -> None:
    if none_below is None:
        return
    if not single_label:
        raise BundleError("none_below belongs to models that give one label")
    if not 0 <= none_below <= 1:
        raise BundleError(f"none_below must lie between 0 and 1, got {none_below}")


def _no_bundle(folder: Path) -> str:
    if not folder.exists():
        return f"there is no folder {folder}"
    if not folder.is_dir():
        return f"{folder} is a file; a bundle is the folder that holds {MANIFEST_FILE}"
    if (folder / "bundle" / MANIFEST_FILE).is_file():
        return f"{folder} is a model folder; its bundle is {folder / 'bundle'}"
    return f"{folder} is not an ftool bundle: it has no {MANIFEST_FILE}"
