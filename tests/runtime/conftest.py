"""Tiny bundles made here and now: this folder's tests run where only onnxruntime, numpy and tokenizers are installed.

The graph is written in protobuf by hand, as `onnx` is not there: embeddings, mean over the mask, one matrix.
"""

import shutil
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import ftool_runtime as ft
from ftool_runtime.bundle.golden import Golden
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import InputContract, Manifest, Precision

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("turn", "the", "lights", "off", "on", "play", "music", "set", "a", "timer", "for", "ten", "minutes")
LABELS = ("lights", "music", "timer")
MAX_LENGTH = 16
WIDTH = 8

BundleMaker = Callable[..., Path]


# --- protobuf, as onnx.proto3 numbers its fields -------------------------------------------------------------------


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _all(number: int, values: Iterable[int | str | bytes]) -> bytes:
    return b"".join(_field(number, value) for value in values)


def _attribute(name: str, value: int | float | Sequence[int]) -> bytes:
    if isinstance(value, float):
        return _field(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _field(20, 1)
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + _all(8, value) + _field(20, 7)


def _node(
    op: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: str = "",
    **attributes: int | float | Sequence[int],
) -> bytes:
    attribute_fields = [_attribute(name, value) for name, value in attributes.items()]
    where = _field(7, domain) if domain else b""
    return _all(1, inputs) + _all(2, outputs) + _field(4, op) + _all(5, attribute_fields) + where


def _tensor(name: str, values: NDArray[Any]) -> bytes:
    kind = {"float32": 1, "int8": 3, "int32": 6, "int64": 7}[values.dtype.name]
    return _all(1, values.shape) + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _value(name: str, kind: int, dims: Sequence[str | int]) -> bytes:
    shape = _all(1, [_field(2 if isinstance(dim, str) else 1, dim) for dim in dims])
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def _model(nodes: list[bytes], tensors: list[bytes], inputs: list[bytes], outputs: list[bytes]) -> bytes:
    graph = _all(1, nodes) + _field(2, "tiny") + _all(5, tensors) + _all(11, inputs) + _all(12, outputs)
    opsets = [_field(1, "") + _field(2, 17), _field(1, "com.microsoft") + _field(2, 1)]
    return _field(1, 8) + _field(7, graph) + _all(8, opsets)


# --- the model -----------------------------------------------------------------------------------------------------


def weights() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings (vocabulary, width), one of them an outlier, and the head (width, labels)."""
    random = np.random.default_rng(7)
    table = random.normal(size=(len(SPECIAL) + len(WORDS), WIDTH)).astype(np.float32)
    table[-1] *= 40  # "minutes": whoever shares a quantisation scale with it loses precision
    return table, random.normal(size=(WIDTH, len(LABELS))).astype(np.float32)


def tiny_graph(*, quantised: bool = False, names: Sequence[str] = ("input_ids", "attention_mask")) -> bytes:
    """The tiny classifier as ONNX; quantised: its matrix product in int8 with one activation scale for the run."""
    table, head = weights()
    nodes = [
        _node("Gather", ["table", "input_ids"], ["embedded"]),
        _node("Cast", ["attention_mask"], ["mask"], to=1),
        _node("Unsqueeze", ["mask", "last"], ["column"]),
        _node("Mul", ["embedded", "column"], ["masked"]),
        _node("ReduceSum", ["masked", "one"], ["sum"], keepdims=0),
        _node("ReduceSum", ["column", "one"], ["count"], keepdims=0),
        _node("Div", ["sum", "count"], ["pooled"]),
    ]
    tensors = [
        _tensor("table", table),
        _tensor("last", np.array([2], np.int64)),
        _tensor("one", np.array([1], np.int64)),
    ]
    if quantised:
        scale = np.abs(head).max() / 63
        tensors += [
            _tensor("head", np.round(head / scale).astype(np.int8)),
            _tensor("scale", np.array(scale)),
        ]
        nodes += [
            _node("DynamicQuantizeLinear", ["pooled"], ["q", "q_scale", "q_zero"]),
            _node("MatMulInteger", ["q", "head", "q_zero"], ["product"]),
            _node("Cast", ["product"], ["product_float"], to=1),
            _node("Mul", ["q_scale", "scale"], ["both"]),
            _node("Mul", ["product_float", "both"], ["logits"]),
        ]
    else:
        tensors.append(_tensor("head", head))
        nodes.append(_node("MatMul", ["pooled", "head"], ["logits"]))
    inputs = [_value(name, 7, ("batch", "sequence")) for name in names]
    return _model(nodes, tensors, inputs, [_value("logits", 1, ("batch", len(LABELS)))])


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=MAX_LENGTH)  # as files from the hub have it; the runtime pads by itself
    return tokenizer


def reference_logits(text: str) -> NDArray[np.float64]:
    """What the fp32 graph must give for `text`, float64 (labels,), straight from the weights."""
    table, head = weights()
    ids = tiny_tokenizer().encode(text).ids
    ids = [i for i in ids if i != 0]
    if len(ids) > MAX_LENGTH:
        ids = [*ids[: MAX_LENGTH - 1], 3]
    mean = table[ids].astype(np.float64).mean(axis=0)
    result: NDArray[np.float64] = mean @ head.astype(np.float64)
    return result


def write_manifest(folder: Path, **changes: Any) -> None:
    """Write the manifest for the files that stand in `folder`; `changes` are its fields."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "ftool.json"]
    fields = {
        "ftool": "0.1.0",
        "created": "2026-01-01T00:00:00Z",
        "task": "text-classification",
        "name": "tiny",
        "architecture": "bag-of-words",
        "base": "scratch",
        "labels": LABELS,
        "input": InputContract(names=("input_ids", "attention_mask"), max_length=MAX_LENGTH),
        "precision": Precision(devices=("cpu", "cuda")),
        "attention": "plain",
        "files": {path.relative_to(folder).as_posix(): file_record(path) for path in paths},
        **changes,
    }
    Manifest(**fields).write(folder)


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleMaker:
    """Makes a tiny bundle in a new folder; keyword arguments change fields of its manifest."""

    def make(
        *, quantised: bool = False, graph: bytes | None = None, golden: bool = True, **changes: Any
    ) -> Path:
        folder = tmp_path_factory.mktemp("bundle")
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.onnx").write_bytes(graph or tiny_graph(quantised=quantised))
        tiny_tokenizer().save(str(folder / "tokenizer.json"))
        if quantised:
            changes.setdefault("precision", Precision(name="int8", rows_share_scale=True))
        if golden:
            _write_golden(folder, changes)
        write_manifest(folder, **changes)
        return folder

    return make


def _write_golden(folder: Path, changes: dict[str, Any]) -> None:
    texts = ("turn the lights off", "play music", "set a timer for ten minutes")
    write_manifest(folder, **changes)
    with ft.load(folder, threads=1) as model:
        outputs = model.outputs(texts)
    Golden(source="bundle", tolerance=1e-4, inputs=texts, outputs=outputs).write(folder)


@pytest.fixture(scope="session")
def shared_bundle(make_bundle: BundleMaker) -> Path:
    """A tiny fp32 bundle that no test changes."""
    return make_bundle()


@pytest.fixture
def bundle(shared_bundle: Path, tmp_path: Path) -> Path:
    """A tiny fp32 bundle of the test's own, to damage."""
    return shutil.copytree(shared_bundle, tmp_path / "bundle")


@pytest.fixture(scope="session")
def model(shared_bundle: Path) -> Iterable[ft.TextClassifier]:
    """The tiny fp32 bundle, loaded with two threads."""
    with ft.load(shared_bundle, threads=2) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def reference() -> Callable[[str], NDArray[np.float64]]:
    """What the fp32 graph must give for a text, from the weights alone."""
    return reference_logits


@pytest.fixture(scope="session")
def onnx_writer() -> SimpleNamespace:
    """Writes nodes, tensors, values and models."""
    return SimpleNamespace(node=_node, tensor=_tensor, value=_value, model=_model)


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., bytes]:
    """Makes the tiny graph with other inputs."""
    return tiny_graph
