"""The table of generators whose bundles are tested to answer as torch does, from which the docs are made."""

from dataclasses import dataclass
from typing import Final

from ftool_export.capture.torch_export import Attention, Caches


@dataclass(frozen=True, slots=True)
class Supported:
    """One architecture.

    Attributes:
        name: its usual name.
        model_type: the name in transformers.
        family: "encoder-decoder" or "decoder".
        attention: "fused" or "plain".
        caches: "in_place" or "joined".
        note: what its graphs take care of besides.
    """

    name: str
    model_type: str
    family: str
    attention: Attention = "fused"
    caches: Caches = "in_place"
    note: str = ""


SUPPORTED: Final = (
    Supported("T5", "t5", "encoder-decoder", note="bias by distance, looked up; tied and scaled head"),
    Supported("mT5", "mt5", "encoder-decoder", note="bias by distance, looked up"),
    Supported("gated T5 (1.1, Flan)", "t5", "encoder-decoder", note="a head of its own"),
    Supported("BART", "bart", "encoder-decoder"),
    Supported("mBART", "mbart", "encoder-decoder"),
    Supported("Marian", "marian", "encoder-decoder", note="a bias on the logits"),
    Supported("Pegasus", "pegasus", "encoder-decoder"),
    Supported("M2M-100, NLLB", "m2m_100", "encoder-decoder", note="positions that skip padding"),
    Supported("GPT-2", "gpt2", "decoder"),
    Supported("GPT-Neo", "gpt_neo", "decoder", "plain", "joined", "windows count tokens, not columns"),
    Supported("OPT", "opt", "decoder"),
    Supported("Llama", "llama", "decoder", note="grouped heads"),
    Supported("Mistral", "mistral", "decoder", note="grouped heads, a sliding window"),
    Supported("Qwen2", "qwen2", "decoder", note="grouped heads"),
    Supported("Qwen3", "qwen3", "decoder", note="grouped heads, norms of query and key"),
    Supported("Gemma", "gemma", "decoder", note="grouped heads, norms by distance from 1"),
    Supported("Gemma 2", "gemma2", "decoder", note="grouped heads, a sliding window, capped scores"),
    Supported("Phi", "phi", "decoder", note="rotates a part of every head"),
)


_SECTION: Final = """## Architectures that generate text

`make test-all` exports each of them from a tiny network with random weights and holds it against torch: sources or
prompts of different lengths in one batch, greedily and with four beams, token for token, every logit within 1e-3.
`fused` attention is one operator a layer; caches `in place` are appended to in buffers that stay where they are; the
others take the plain path, and pass the same tests.

"""


def support_section() -> str:
    """The section of the docs, in Markdown."""
    return _SECTION + support_table()


def support_table() -> str:
    """The table for the docs, in Markdown."""
    lines = ["| architecture | family | attention | caches | besides |", "|---|---|---|---|---|"]
    for row in SUPPORTED:
        caches = row.caches.replace("_", " ")
        lines.append(f"| {row.name} | {row.family} | {row.attention} | {caches} | {row.note} |")
    return "\n".join(lines) + "\n"
