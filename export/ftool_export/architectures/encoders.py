"""Encoder architectures whose bundles are tested to answer as torch does: the table for tests and docs."""

from dataclasses import dataclass
from typing import Final, Literal

from ftool_export.capture.torch_export import Attention

TASKS: Final = (
    "text-classification",
    "text-classification of pairs",
    "token-classification",
    "question-answering",
    "feature-extraction",
)
TokenTypes = Literal["needed", "one", "none"]


@dataclass(frozen=True, slots=True)
class Supported:
    """One architecture.

    Attributes:
        name: its usual name.
        model_type: its name in transformers.
        attention: "fused" or "plain".
        token_types: "needed" if they tell two texts apart, "one" if all are 0, "none" if the network takes none.
        note: features of the architecture that the export has to handle.
    """

    name: str
    model_type: str
    attention: Attention = "fused"
    token_types: TokenTypes = "needed"
    note: str = ""


SUPPORTED: Final = (
    Supported("BERT", "bert"),
    Supported("DistilBERT", "distilbert", token_types="none"),
    Supported("RoBERTa", "roberta", token_types="one", note="positions that skip padding"),
    Supported("XLM-R", "xlm-roberta", token_types="one", note="positions that skip padding"),
    Supported("ELECTRA", "electra", note="narrow embeddings, projected"),
    Supported("ALBERT", "albert", note="layers share their weights"),
    Supported("MPNet", "mpnet", "plain", "none", "bias by distance; positions that skip padding"),
    Supported("DeBERTa-v2", "deberta-v2", "plain", "none", "scores by content and position, a convolution"),
    Supported("DeBERTa-v3", "deberta-v2", "plain", "none", "scores by content and position, shared keys"),
    Supported("ModernBERT", "modernbert", token_types="none", note="rotary positions, sliding windows"),
)

_SECTION: Final = """## Architectures that read text

`make test-all` exports each of them for each task ({tasks}) from a tiny network with random weights, runs the bundle,
and compares it with torch: the same answers, every number within 1e-4, for batches of one and of several inputs, from
one token to the longest input, with and without padding. `fused` attention is one operator per layer; `plain` attention
is exported as the network's separate operators, and passes the same tests. Token types are an input of the graph only
if they are needed: models such as BERT use them to tell a text from its pair or a question from its context.

"""


def support_section() -> str:
    """Return the section of docs/architectures.md about encoders, in Markdown."""
    return _SECTION.format(tasks=", ".join(TASKS)) + support_table()


def support_table() -> str:
    """Return the table of encoder architectures, in Markdown."""
    lines = ["| architecture | attention | token types | notes |", "|---|---|---|---|"]
    lines += [f"| {row.name} | {row.attention} | {row.token_types} | {row.note} |" for row in SUPPORTED]
    return "\n".join(lines) + "\n"
