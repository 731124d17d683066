"""Cut long texts into windows with transformers' own tokenizer: the reference for the runtime's windows."""

from collections.abc import Sequence
from typing import Any

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_runtime.errors import InputError
from ftool_runtime.text.encode import Tokens, check_known
from ftool_runtime.text.windows import Window


def text_windows(loaded: LoadedEncoder, texts: Sequence[str], stride: int) -> list[list[Window]]:
    """Return the windows of each text, in order; neighbouring windows share `stride` tokens."""
    given = [loaded.prefix + text for text in texts]
    return _windows(loaded, [given], stride, skip=len(loaded.prefix), truncation="only_first")


def context_windows(
    loaded: LoadedEncoder, questions: Sequence[str], contexts: Sequence[str], stride: int
) -> list[list[Window]]:
    """Return the windows of each context, in order; neighbouring windows share `stride` tokens of the context.

    Each window also contains the question. Raises InputError, with the row, for a question that leaves too little room
    for the context.
    """
    _check_room(loaded, questions, stride)
    given = [loaded.prefix + question for question in questions]
    return _windows(loaded, [given, list(contexts)], stride, skip=0, truncation="only_second")


def longest_question(loaded: LoadedEncoder, stride: int) -> int:
    """Return the largest number of tokens of a question, special tokens not counted.

    With a longer question, a window would have no room for more context than it shares with its neighbour.
    """
    special = loaded.tokenizer.num_special_tokens_to_add(pair=True)
    return int(loaded.max_length - special - stride - 1)


def question_lengths(loaded: LoadedEncoder, questions: Sequence[str]) -> list[int]:
    """Return the number of tokens of each question, with the prefix but without special tokens."""
    asked = [loaded.prefix + question for question in questions]
    return [len(ids) for ids in loaded.tokenizer(asked, add_special_tokens=False, verbose=False)["input_ids"]]


def _check_room(loaded: LoadedEncoder, questions: Sequence[str], stride: int) -> None:
    if not questions:
        return
    longest = longest_question(loaded, stride)
    for row, length in enumerate(question_lengths(loaded, questions)):
        if length > longest:
            raise InputError(
                f"question {row} has {length} tokens; at most {longest} fit next to a context in windows that "
                f"overlap by {stride}; shorten the question",
                row=row,
            )


def _windows(
    loaded: LoadedEncoder, columns: Sequence[list[str]], stride: int, *, skip: int, truncation: str
) -> list[list[Window]]:
    """Return the windows over the last text of each row.

    `columns` holds the first texts of all rows, then perhaps their second texts. `skip` is the number of characters of
    prefix in the last text, which windows leave out.
    """
    windows: list[list[Window]] = [[] for _ in columns[0]]
    if not windows:
        return []
    encoded = loaded.tokenizer(
        *columns,
        truncation=truncation,
        max_length=loaded.max_length,
        stride=stride,
        padding=False,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    with_type_ids = "token_type_ids" in loaded.input_names
    for row, encoding in zip(encoded["overflow_to_sample_mapping"], encoded.encodings, strict=True):
        if loaded.vocabulary is not None:
            check_known(encoding.ids, loaded.vocabulary, encoding.tokens, "text", row)
        windows[row].append(_window(encoding, len(columns) - 1, skip, with_type_ids))
    if loaded.tokenizer.truncation_side == "left":  # the tokenizer counts windows from the text's end
        return [of_text[::-1] for of_text in windows]
    return windows


def _window(encoding: Any, sequence: int, skip: int, with_type_ids: bool) -> Window:
    """Return an encoding as a window over the text with index `sequence`, without its first `skip` characters."""
    of_text = [
        place
        for place, (which, (_, end)) in enumerate(zip(encoding.sequence_ids, encoding.offsets, strict=True))
        if which == sequence and (end > skip or not skip)
    ]
    inside = range(of_text[0], of_text[-1] + 1) if of_text else range(0)
    offsets = [
        (max(start - skip, 0), end - skip) if place in inside else (0, 0)
        for place, (start, end) in enumerate(encoding.offsets)
    ]
    type_ids = encoding.type_ids if with_type_ids else None
    return Window(Tokens(encoding.ids, type_ids, truncated=False), offsets, inside)
