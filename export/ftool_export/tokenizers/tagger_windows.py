"""The windows of texts by transformers' own tokenizer: what the runtime's must equal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

if TYPE_CHECKING:
    from ftool_export.checkpoints.tagger import LoadedTagger


def make_windows(loaded: "LoadedTagger", texts: Sequence[str]) -> list[list[Window]]:
    """The windows of each of `texts`, first to last."""
    if not texts:
        return []
    encoded = loaded.tokenizer(
        [loaded.prefix + text for text in texts],
        truncation=True,
        max_length=loaded.max_length,
        stride=loaded.stride,
        padding=False,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    with_type_ids = "token_type_ids" in loaded.input_names
    windows: list[list[Window]] = [[] for _ in texts]
    for row, encoding in zip(encoded["overflow_to_sample_mapping"], encoded.encodings, strict=True):
        windows[row].append(_window(encoding, len(loaded.prefix), with_type_ids))
    return windows


def _window(encoding: Any, skip: int, with_type_ids: bool) -> Window:
    """A window of a text that begins `skip` characters into what was encoded."""
    of_text = [
        place
        for place, (sequence, (_, end)) in enumerate(
            zip(encoding.sequence_ids, encoding.offsets, strict=True)
        )
        if sequence == 0 and (end > skip or not skip)
    ]
    inside = range(of_text[0], of_text[-1] + 1) if of_text else range(0)
    offsets = [
        (max(start - skip, 0), end - skip) if place in inside else (0, 0)
        for place, (start, end) in enumerate(encoding.offsets)
    ]
    type_ids = encoding.type_ids if with_type_ids else None
    return Window(Tokens(encoding.ids, type_ids, truncated=False), offsets, inside)
