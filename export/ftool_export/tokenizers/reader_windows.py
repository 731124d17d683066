"""The windows of contexts by transformers' own tokenizer: what the runtime's must equal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ftool_runtime.errors import InputError
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

if TYPE_CHECKING:
    from ftool_export.checkpoints.reader import LoadedReader

_CONTEXT = 1  # the second sequence


def make_windows(
    loaded: "LoadedReader", questions: Sequence[str], contexts: Sequence[str]
) -> list[list[Window]]:
    """The windows of each of `contexts` beside its question, first to last.

    Raises InputError, with its row, on a question that leaves the context too little room.
    """
    if not questions:
        return []
    _check_room(loaded, questions)
    encoded = loaded.tokenizer(
        [loaded.prefix + question for question in questions],
        list(contexts),
        truncation="only_second",
        max_length=loaded.max_length,
        stride=loaded.stride,
        padding=False,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    with_type_ids = "token_type_ids" in loaded.input_names
    windows: list[list[Window]] = [[] for _ in questions]
    for row, encoding in zip(encoded["overflow_to_sample_mapping"], encoded.encodings, strict=True):
        windows[row].append(_window(encoding, with_type_ids))
    return windows


def longest_question(loaded: "LoadedReader") -> int:
    """Tokens of a question at most, special ones left out: beside longer ones no window could move on."""
    special = loaded.tokenizer.num_special_tokens_to_add(pair=True)
    return int(loaded.max_length - special - loaded.stride - 1)


def question_lengths(loaded: "LoadedReader", questions: Sequence[str]) -> list[int]:
    """The tokens of each question, the prefix included and special ones left out."""
    asked = [loaded.prefix + question for question in questions]
    return [len(ids) for ids in loaded.tokenizer(asked, add_special_tokens=False, verbose=False)["input_ids"]]


def _check_room(loaded: "LoadedReader", questions: Sequence[str]) -> None:
    longest = longest_question(loaded)
    for row, length in enumerate(question_lengths(loaded, questions)):
        if length > longest:
            raise InputError(
                f"question {row} has {length} tokens; at most {longest} fit beside a context in windows that "
                f"overlap by {loaded.stride}; shorten the question",
                row=row,
            )


def _window(encoding: Any, with_type_ids: bool) -> Window:
    positions = [place for place, which in enumerate(encoding.sequence_ids) if which == _CONTEXT]
    inside = range(positions[0], positions[-1] + 1) if positions else range(0)
    offsets = [pair if place in inside else (0, 0) for place, pair in enumerate(encoding.offsets)]
    type_ids = encoding.type_ids if with_type_ids else None
    return Window(Tokens(encoding.ids, type_ids, truncated=False), offsets, inside)
