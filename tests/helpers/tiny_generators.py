"""Write tiny models that generate text as ONNX, and compute from their weights which answers they must give.

A model has embeddings, learnt positions, self-attention with two heads of width 8, and a head; an encoder-decoder also
has cross-attention over the embedded source. Weights are large, so that answers vary.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import GenerationContract, InputContract, Manifest, Precision

HEADS, HEAD_DIM = 2, 8
WIDTH = HEADS * HEAD_DIM
LIMIT = 96  # positions that the decoder has
SPECIAL = ("<pad>", "</s>", "<s>", "<unk>", "<|user|>", "<|assistant|>", "<|system|>")
WORDS = (
    "turn",
    "the",
    "lights",
    "off",
    "on",
    "play",
    "music",
    "set",
    "a",
    "timer",
    "for",
    "ten",
    "minutes",
    "now",
    "please",
    "stop",
    ".",
    ",",
    "one",
    "two",
)
VOCABULARY = (*SPECIAL, *WORDS)
SOURCE_LIMIT = 24

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of the tiny model, float32."""

    table: NDArray[np.float32]  # (vocabulary, width)
    positions: NDArray[np.float32]  # (limit, width)
    q: NDArray[np.float32]  # (width, width), like the next
    k: NDArray[np.float32]
    v: NDArray[np.float32]
    out: NDArray[np.float32]
    cross_q: NDArray[np.float32]
    cross_k: NDArray[np.float32]
    cross_v: NDArray[np.float32]
    cross_out: NDArray[np.float32]
    head: NDArray[np.float32]  # (width, vocabulary)


def weights() -> Weights:
    random = np.random.default_rng(11)

    def of(*shape: int, scale: float = 0.6) -> NDArray[np.float32]:
        return (random.normal(size=shape) * scale).astype(np.float32)

    square = [of(WIDTH, WIDTH, scale=0.5) for _ in range(8)]
    head = of(WIDTH, len(VOCABULARY))
    head[:, :4] *= 0.5  # special tokens are possible and not likely
    head[:, 4:7] = 0
    return Weights(*(of(len(VOCABULARY), WIDTH), of(LIMIT, WIDTH), *square, head))


# --- what the weights say ------------------------------------------------------------------------------------------


def _attend(q: Floats, k: Floats, v: Floats, *, causal: bool) -> Floats:
    """Return attention with two heads, (queries, width), of q, (queries, width), and k and v, (keys, width)."""
    out = np.empty_like(q)
    for head in range(HEADS):
        part = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        scores = q[:, part] @ k[:, part].T / np.sqrt(HEAD_DIM)
        if causal:
            scores[np.arange(len(k)) > np.arange(len(q))[:, None]] = -np.inf
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        out[:, part] = (chances / chances.sum(axis=1, keepdims=True)) @ v[:, part]
    return out


def logits_of(ids: Sequence[int], source: Sequence[int] | None = None) -> Floats:
    """Return the logits, float64 (tokens, vocabulary), that follow each of `ids`."""
    w = Weights(*(np.asarray(value, np.float64) for value in dataclasses.astuple(weights())))
    x = w.table[list(ids)] + w.positions[: len(ids)]
    x = x + _attend(x @ w.q, x @ w.k, x @ w.v, causal=True) @ w.out
    if source is not None:
        read = w.table[list(source)]
        x = x + _attend(x @ w.cross_q, read @ w.cross_k, read @ w.cross_v, causal=False) @ w.cross_out
    return x @ w.head


def greedy_of(
    prompt: Sequence[int], count: int, source: Sequence[int] | None = None, end: int = 1
) -> list[int]:
    """Return the greedy answer to `prompt`: at most `count` tokens, up to and including the end token."""
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(logits_of(ids, source)[-1].argmax()))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


# --- the graphs ----------------------------------------------------------------------------------------------------


class _Graph:
    """Collects the nodes and tensors of an ONNX graph."""

    def __init__(self, writer: SimpleNamespace) -> None:
        self.writer = writer
        self.nodes: list[bytes] = []
        self.tensors: list[bytes] = []

    def __call__(self, op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(self.writer.node(op, inputs, list(outputs), **attributes))
        return outputs[0]

    def constant(self, name: str, values: Any) -> str:
        self.tensors.append(self.writer.tensor(name, np.asarray(values)))
        return name

    def model(self, inputs: list[bytes], outputs: list[bytes]) -> bytes:
        model: bytes = self.writer.model(self.nodes, self.tensors, inputs, outputs)
        return model


def _add_weights(graph: _Graph, names: Sequence[str]) -> None:
    for name in names:
        graph.constant(name, getattr(weights(), name))


def encoder_graph(writer: SimpleNamespace) -> bytes:
    graph = _Graph(writer)
    _add_weights(graph, ("table", "cross_k", "cross_v"))
    graph.constant("split", np.array([0, 0, HEADS, HEAD_DIM]))
    graph("Gather", ["table", "input_ids"], "read")
    for kind in ("k", "v"):
        graph("MatMul", ["read", f"cross_{kind}"], f"flat_{kind}")
        graph("Reshape", [f"flat_{kind}", "split"], f"heads_{kind}")
        name = f"cross.0.{'key' if kind == 'k' else 'value'}"
        graph("Transpose", [f"heads_{kind}"], name, perm=[0, 2, 1, 3])
    ids = [writer.value(name, 7, ("batch", "source_length")) for name in ("input_ids", "attention_mask")]
    return graph.model(ids, [_cache(writer, f"cross.0.{kind}", "source_length") for kind in ("key", "value")])


def _cache(writer: SimpleNamespace, name: str, length: str) -> bytes:
    value: bytes = writer.value(name, 1, ("batch", HEADS, length, HEAD_DIM))
    return value


def decoder_graph(writer: SimpleNamespace, *, caches: str, source: bool) -> bytes:
    graph = _Graph(writer)
    names = ["table", "positions_table", "q", "k", "v", "out", "head"]
    _add_weights(graph, [name for name in names if name != "positions_table"])
    graph.constant("positions_table", weights().positions)
    graph.constant("minus_one", np.array([-1]))
    inputs = [writer.value("input_ids", 7, ("batch", "sequence"))]
    graph("Gather", ["table", "input_ids"], "words")
    if source and caches == "in_place":
        inputs.append(writer.value("positions", 7, ("total",)))
        for name, value in (("zero", [0]), ("one", [1]), ("huge", [1 << 40])):
            graph.constant(name, np.array(value))
        graph("Shape", ["input_ids"], "shape")
        graph("Slice", ["shape", "one", "huge"], "count")
        graph("Shape", ["positions"], "all")
        graph("Sub", ["all", "count"], "before")
        graph("Slice", ["positions", "before", "huge"], "places")
    else:
        inputs.append(writer.value("position_ids", 7, ("batch", "sequence")))
        graph("Identity", ["position_ids"], "places")
    graph("Gather", ["positions_table", "places"], "where")
    graph("Add", ["words", "where"], "x")
    for kind in ("q", "k", "v"):
        graph("MatMul", ["x", kind], f"{kind}_flat")
    if caches == "in_place":
        inputs += [writer.value("seqlens_k", 6, ("batch",)), writer.value("total_length", 6, ())]
        graph(
            "GroupQueryAttention",
            ["q_flat", "k_flat", "v_flat", "past.0.key", "past.0.value", "seqlens_k", "total_length"],
            "seen",
            "present.0.key",
            "present.0.value",
            domain="com.microsoft",
            num_heads=HEADS,
            kv_num_heads=HEADS,
            scale=HEAD_DIM**-0.5,
        )
    else:
        inputs.append(writer.value("attention_mask", 7, ("batch", "total")))
        _plain_attention(graph)
    graph("MatMul", ["seen", "out"], "seen_out")
    graph("Add", ["x", "seen_out"], "y")
    if source:
        inputs.append(
            writer.value("source_mask", 6 if caches == "in_place" else 7, ("batch", "source_length"))
        )
        _add_weights(graph, ("cross_q", "cross_out"))
        graph("MatMul", ["y", "cross_q"], "cross_flat")
        graph("Cast", ["source_mask"], "mask", to=6)
        graph(
            "MultiHeadAttention",
            ["cross_flat", "cross.0.key", "cross.0.value", "", "mask"],
            "read",
            domain="com.microsoft",
            num_heads=HEADS,
            scale=HEAD_DIM**-0.5,
        )
        graph("MatMul", ["read", "cross_out"], "read_out")
        graph("Add", ["y", "read_out"], "last")
    else:
        graph("Identity", ["y"], "last")
    inputs.append(writer.value("logits_at", 7, ("batch", "kept")))
    graph("Unsqueeze", ["logits_at", "minus_one"], "at")
    graph("GatherND", ["last", "at"], "wanted", batch_dims=1)
    graph("MatMul", ["wanted", "head"], "logits")
    past = [_cache(writer, f"past.0.{kind}", "past") for kind in ("key", "value")]
    cross = (
        [_cache(writer, f"cross.0.{kind}", "source_length") for kind in ("key", "value")] if source else []
    )
    outputs = [writer.value("logits", 1, ("batch", "kept", len(VOCABULARY)))]
    outputs += [_cache(writer, f"present.0.{kind}", "present") for kind in ("key", "value")]
    return graph.model([*inputs, *past, *cross], outputs)


def _plain_attention(graph: _Graph) -> None:
    """Add attention in plain operators over concatenated caches; later tokens and padding are masked."""
    graph.constant("split", np.array([0, 0, HEADS, HEAD_DIM]))
    graph.constant("merge", np.array([0, 0, WIDTH]))
    for name, value in (("n0", 0), ("n1", 1)):
        graph.constant(name, np.array(value))
    for kind in ("q", "k", "v"):
        graph("Reshape", [f"{kind}_flat", "split"], f"{kind}_split")
        graph("Transpose", [f"{kind}_split"], f"{kind}_heads", perm=[0, 2, 1, 3])
    graph("Concat", ["past.0.key", "k_heads"], "present.0.key", axis=2)
    graph("Concat", ["past.0.value", "v_heads"], "present.0.value", axis=2)
    graph("Transpose", ["present.0.key"], "k_turned", perm=[0, 1, 3, 2])
    graph("MatMul", ["q_heads", "k_turned"], "products")
    graph.constant("root", np.array(HEAD_DIM**-0.5, np.float32))
    graph("Mul", ["products", "root"], "scores")
    graph("Shape", ["attention_mask"], "mask_shape")
    graph("Shape", ["input_ids"], "ids_shape")
    graph("Gather", ["mask_shape", "n1"], "total_n")
    graph("Gather", ["ids_shape", "n1"], "new_n")
    graph("Sub", ["total_n", "new_n"], "past_n")
    graph("Range", ["past_n", "total_n", "n1"], "own")
    graph("Range", ["n0", "total_n", "n1"], "others")
    graph("Unsqueeze", ["own", "minus_one"], "own_column")
    graph("LessOrEqual", ["others", "own_column"], "earlier")  # (sequence, total)
    graph("Cast", ["attention_mask"], "there", to=9)
    graph.constant("middle", np.array([1, 2]))
    graph("Unsqueeze", ["there", "middle"], "there_4d")
    graph("And", ["there_4d", "earlier"], "seen_mask")
    graph.constant("none", np.array(-1e30, np.float32))
    graph("Where", ["seen_mask", "scores", "none"], "masked")
    graph("Softmax", ["masked"], "chances")
    graph("MatMul", ["chances", "present.0.value"], "mixed")
    graph("Transpose", ["mixed"], "mixed_turned", perm=[0, 2, 1, 3])
    graph("Reshape", ["mixed_turned", "merge"], "seen")


# --- bundles -------------------------------------------------------------------------------------------------------


def word_tokenizer(*, ends: bool) -> Tokenizer:
    """Return a tokenizer of words and punctuation; if `ends`, it adds the end token to every text, as T5's does."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.add_special_tokens(list(SPECIAL))
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", 1)]
        )
    return tokenizer


def write_generator(
    folder: Path, writer: SimpleNamespace, *, source: bool, caches: str, **changes: Any
) -> None:
    """Write a tiny generator's bundle into `folder`; `changes` are fields of its manifest or generation config."""
    import json

    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "decoder.onnx").write_bytes(decoder_graph(writer, caches=caches, source=source))
    if source:
        (folder / "onnx" / "encoder.onnx").write_bytes(encoder_graph(writer))
    word_tokenizer(ends=source).save(str(folder / "tokenizer.json"))
    config = {
        "eos_token_id": 1,
        "pad_token_id": 0,
        "max_new_tokens": 12,
        "decoder_start_token_id": 0,
        "bos_token_id": 2,
    }
    config.update(changes.pop("config", {}))
    (folder / "generation_config.json").write_text(json.dumps(config))
    for name, text in changes.pop("files", {}).items():
        (folder / name).write_text(text)
    family = "encoder-decoder" if source else "decoder"
    contract = {"family": family, "caches": caches, "max_length": LIMIT, **changes.pop("generation", {})}
    paths = [path for path in folder.rglob("*") if path.is_file()]
    fields: dict[str, Any] = {
        "ftool": "0.1.0",
        "created": "2026-01-01T00:00:00Z",
        "task": "summarization" if source else "text-generation",
        "name": "tiny",
        "architecture": "tiny",
        "base": "scratch",
        "labels": (),
        "input": InputContract(
            names=("input_ids", "attention_mask") if source else ("input_ids",),
            max_length=SOURCE_LIMIT if source else LIMIT,
        ),
        "precision": Precision(),
        "attention": "fused" if caches == "in_place" else "plain",
        "generation": GenerationContract(**contract),
        "files": {path.relative_to(folder).as_posix(): file_record(path) for path in paths},
        **changes,
    }
    Manifest(**fields).write(folder)
