"""Generator architectures whose bundles are tested to answer as torch does: the table for tests and docs."""

from dataclasses import dataclass
from typing import Final

from ftool_export.capture.torch_export import Attention, Caches


@dataclass(frozen=True, slots=True)
class Supported:
    """One architecture.

    Attributes:
        name: its usual name.
        model_type: its name in transformers.
        family: "encoder-decoder" or "decoder".
        attention: "fused" or "plain".
        caches: "in_place" (appended to in a fixed buffer) or "joined" (concatenated at every step).
        note: features of the architecture that the export has to handle.
    """

    name: str
    model_type: str
    family: str
    attention: Attention = "fused"
    caches: Caches = "in_place"
    note: str = ""


SUPPORTED: Final = (
    Supported("T5", "t5", "encoder-decoder", note="looks up a bias by distance; tied and scaled head"),
    Supported("mT5", "mt5", "encoder-decoder", note="looks up a bias by distance"),
    Supported("gated T5 (1.1, Flan)", "t5", "encoder-decoder", note="an untied head"),
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
    Supported("Qwen3", "qwen3", "decoder", note="grouped heads, normalised queries and keys"),
    Supported("Gemma", "gemma", "decoder", note="grouped heads, norm weights stored minus 1"),
    Supported("Gemma 2", "gemma2", "decoder", note="grouped heads, a sliding window, capped scores"),
    Supported("Phi", "phi", "decoder", note="rotates a part of each head"),
)


_SECTION: Final = """## Architectures that generate text

`make test-all` exports each of them from a tiny network with random weights and compares it with torch: sources or
prompts of different lengths in one batch, with greedy decoding and with four beams, token for token, every logit within
1e-3. `fused` attention is one operator per layer; caches `in place` are buffers to which each step appends. `plain`
attention is exported as the network's separate operators, with caches that each step concatenates (`joined`), and
passes the same tests.

"""


def support_section() -> str:
    """Return the section of docs/architectures.md about generators, in Markdown."""
    return _SECTION + support_table()


def support_table() -> str:
    """Return the table of generator architectures, in Markdown."""
    lines = ["| architecture | family | attention | caches | notes |", "|---|---|---|---|---|"]
    for row in SUPPORTED:
        caches = row.caches.replace("_", " ")
        lines.append(f"| {row.name} | {row.family} | {row.attention} | {caches} | {row.note} |")
    return "\n".join(lines) + "\n"
