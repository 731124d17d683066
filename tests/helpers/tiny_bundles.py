"""Write the bundle of a tiny classifier: embeddings, their mean over the tokens in the mask, and a matrix.

The toolchain is not used, because tests/runtime also runs if only onnxruntime, numpy and tokenizers are installed.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import ftool_runtime as ft
from ftool_runtime.bundle.golden import encoder_golden
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import InputContract, Manifest, Precision
from ftool_runtime.bundle.origin import with_origin
from tests.helpers.onnx_writer import graph, model, node, tensor, value

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("turn", "the", "lights", "off", "on", "play", "music", "set", "a", "timer", "for", "ten", "minutes")
LABELS = ("lights", "music", "timer")
MAX_LENGTH = 16
WIDTH = 8


def weights() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the embeddings (vocabulary, width), of which one is an outlier, and the head's matrix (width, labels)."""
    random = np.random.default_rng(7)
    table = random.normal(size=(len(SPECIAL) + len(WORDS), WIDTH)).astype(np.float32)
    table[-1] *= 40  # "minutes": whoever shares a quantisation scale with it loses precision
    return table, random.normal(size=(WIDTH, len(LABELS))).astype(np.float32)


def tiny_graph(
    *,
    quantised: bool = False,
    names: Sequence[str] = ("input_ids", "attention_mask"),
    features: bool = False,
) -> bytes:
    """Return the tiny classifier as ONNX.

    If `quantised`, the matrix product is in int8, with one activation scale for all rows of a run. If `features`, the
    graph also gives the input of that product.
    """
    table, head = weights()
    nodes = [
        node("Gather", ["table", "input_ids"], ["embedded"]),
        node("Cast", ["attention_mask"], ["mask"], to=1),
        node("Unsqueeze", ["mask", "last"], ["column"]),
        node("Mul", ["embedded", "column"], ["masked"]),
        node("ReduceSum", ["masked", "one"], ["sum"], keepdims=0),
        node("ReduceSum", ["column", "one"], ["count"], keepdims=0),
        node("Div", ["sum", "count"], ["pooled"]),
    ]
    tensors = [
        tensor("table", table),
        tensor("last", np.array([2], np.int64)),
        tensor("one", np.array([1], np.int64)),
    ]
    if quantised:
        scale = np.abs(head).max() / 63
        tensors += [
            tensor("head", np.round(head / scale).astype(np.int8)),
            tensor("scale", np.array(scale)),
        ]
        nodes += [
            node("DynamicQuantizeLinear", ["pooled"], ["q", "q_scale", "q_zero"]),
            node("MatMulInteger", ["q", "head", "q_zero"], ["product"]),
            node("Cast", ["product"], ["product_float"], to=1),
            node("Mul", ["q_scale", "scale"], ["both"]),
            node("Mul", ["product_float", "both"], ["logits"]),
        ]
    else:
        tensors.append(tensor("head", head))
        nodes.append(node("MatMul", ["pooled", "head"], ["logits"]))
    inputs = [value(name, 7, ("batch", "sequence")) for name in names]
    outputs = [value("logits", 1, ("batch", len(LABELS)))]
    if features:
        nodes.append(node("Identity", ["pooled"], ["features"]))
        outputs.append(value("features", 1, ("batch", WIDTH)))
    return model(nodes, tensors, inputs, outputs)


def looping_graph() -> bytes:
    """Return a classifier as ONNX with a loop without an end."""
    table, head = weights()
    body = graph(
        [node("Identity", ["go"], ["goes"]), node("Add", ["before", "before"], ["after"])],
        [],
        [value("turn", 7, ()), value("go", 9, ()), value("before", 1, ("batch", len(LABELS)))],
        [value("goes", 9, ()), value("after", 1, ("batch", len(LABELS)))],
    )
    nodes = [
        node("Gather", ["table", "input_ids"], ["embedded"]),
        node("ReduceMean", ["embedded"], ["pooled"], axes=[1], keepdims=0),
        node("MatMul", ["pooled", "head"], ["plain"]),
        node("Loop", ["", "true", "plain"], ["logits"], body=body),
    ]
    tensors = [tensor("table", table), tensor("head", head), tensor("true", np.array(True))]
    inputs = [value(name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask")]
    return model(nodes, tensors, inputs, [value("logits", 1, ("batch", len(LABELS)))])


def failing_graph() -> bytes:
    """Return a classifier as ONNX whose graph fails in each run: it takes a row that its table does not have."""
    nodes = [
        node("Gather", ["table", "beyond"], ["row"]),
        node("Gather", ["row", "input_ids"], ["embedded"]),
        node("ReduceMean", ["embedded"], ["logits"], axes=[1], keepdims=0),
    ]
    beyond = np.full((4, len(LABELS)), 10**9)
    tensors = [tensor("table", np.zeros(4, np.float32)), tensor("beyond", beyond)]
    inputs = [value(name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask")]
    return model(nodes, tensors, inputs, [value("logits", 1, ("batch", len(LABELS)))])


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=MAX_LENGTH)  # as files from the hub have it; the runtime pads by itself
    return tokenizer


def reference_logits(text: str) -> NDArray[np.float64]:
    """Return the logits that the fp32 graph must give for `text`, float64 (labels,), computed with numpy."""
    table, head = weights()
    ids = tiny_tokenizer().encode(text).ids
    ids = [i for i in ids if i != 0]
    if len(ids) > MAX_LENGTH:
        ids = [*ids[: MAX_LENGTH - 1], 3]
    mean = table[ids].astype(np.float64).mean(axis=0)
    result: NDArray[np.float64] = mean @ head.astype(np.float64)
    return result


def write_bundle(
    folder: Path, *, quantised: bool = False, graph: bytes | None = None, golden: bool = True, **changes: Any
) -> None:
    """Write the tiny classifier's bundle into `folder`, which may exist; `changes` are fields of its manifest."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").write_bytes(graph or tiny_graph(quantised=quantised))
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    if quantised:
        changes.setdefault("precision", Precision(name="int8", rows_share_scale=True))
    if golden:
        write_golden(folder, changes)
    write_manifest(folder, **changes)


def write_manifest(folder: Path, **changes: Any) -> None:
    """Write the manifest for the files in `folder`; `changes` are values of manifest fields."""
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


def write_golden(folder: Path, changes: dict[str, Any]) -> None:
    texts = ("turn the lights off", "play music", "set a timer for ten minutes")
    write_manifest(folder, **changes)
    with ft.load(folder, threads=1) as model:
        outputs = model.outputs(texts)
        golden = encoder_golden(model, texts, outputs, source="bundle", tolerance=1e-4, texts="probes")
    with_origin(golden, folder, Manifest.read(folder)).write(folder)


def relist(folder: Path, *names: str) -> None:
    """Update a bundle's manifest as if the files `names`, by default all files, had been exported as they are now."""
    manifest = Manifest.read(folder, accept_edited=True)
    records = {name: file_record(folder / name) for name in names or manifest.files}
    replace(manifest, files={**manifest.files, **records}).write(folder)
