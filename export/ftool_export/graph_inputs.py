"""Which inputs a graph takes: those that a single text needs, and no others."""

from typing import Final

from ftool_export.classifier import LoadedClassifier

_ALWAYS: Final = ("input_ids", "attention_mask")
_SAMPLE: Final = "A sample text."


def graph_inputs(loaded: LoadedClassifier) -> tuple[str, ...]:
    """The graph's inputs, in the order of the network's forward.

    Token types are an input only where the tokenizer marks a single text with one that is not 0: 0 is what every
    network takes where it is given none, so for the others the input would cost and say nothing.
    """
    if "token_type_ids" in loaded.input_names and loaded.tokenize([_SAMPLE])["token_type_ids"].any():
        return (*_ALWAYS, "token_type_ids")
    return _ALWAYS
