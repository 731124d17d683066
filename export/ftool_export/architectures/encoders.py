"""The table of encoders whose bundles are tested to answer as torch does, from which the docs are made."""

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
        model_type: the name in transformers.
        attention: "fused" or "plain".
        token_types: "needed" to tell a text from its pair, "one" for all, or "none" that the network would read.
        note: what its graphs take care of besides.
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
    Supported("DeBERTa-v2", "deberta-v2", "plain", "none", "scores by content and place, a convolution"),
    Supported("DeBERTa-v3", "deberta-v2", "plain", "none", "scores by content and place, keys shared"),
    Supported("ModernBERT", "modernbert", token_types="none", note="rotary positions, sliding windows"),
)

_SECTION: Final = """## Architectures that read text

`make test-all` exports each of them for each task ({tasks}) from a tiny network with random weights, runs the bundle,
and holds it against torch: the same answers, every number within 1e-4, over batches of one and several, lengths of one
token and the longest, padded and not. `fused` attention is one operator a layer; `plain` is exported as the network has
it, and passes the same tests. Token types are an input of the graph only if they are needed: for BERT's kind, to
tell a text from its pair or a question from its context.

"""


def support_section() -> str:
    """The section of the docs, in Markdown."""
    return _SECTION.format(tasks=", ".join(TASKS)) + support_table()


def support_table() -> str:
    """The table for the docs, in Markdown."""
    lines = ["| architecture | attention | token types | besides |", "|---|---|---|---|"]
    lines += [f"| {row.name} | {row.attention} | {row.token_types} | {row.note} |" for row in SUPPORTED]
    return "\n".join(lines) + "\n"
