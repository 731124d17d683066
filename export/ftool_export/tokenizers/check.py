"""Check that the runtime turns probe texts into the same token ids as the checkpoint's own tokenizer.

If the token ids differed, every later comparison of answers would compare answers to different inputs. The runtime
reads from the manifest the tokenizer's truncation side and whether the names of special tokens are split; any other
difference makes the export fail. Generators are compared with `split_special_tokens=True`: no part of a user's text may
become a special token, because a special token could end a turn or an answer.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

from ftool_export.checkpoints.base import LoadedModel
from ftool_export.errors import ExportError
from ftool_export.tokenizers.texts import SENTENCES, TEXTS
from ftool_runtime.errors import InputError

_SPELLED: Final = 24  # added tokens whose names are put into probe texts
_SHOWN: Final = 40  # characters of a text in an error
_EMPTY: Final = ("", " \n")


def check_tokens(loaded: LoadedModel, model: Any) -> None:
    """Compare a bundle's token ids with the checkpoint's on texts of many scripts, lengths and kinds.

    Args:
        loaded: the checkpoint.
        model: the checkpoint's bundle, loaded by the runtime.

    Raises:
        ExportError: bundle and checkpoint tokenise a text differently; the message names the text and the first ids
            that differ.
    """
    special = set(loaded.tokenizer.all_special_ids)
    options = {} if loaded.family == "encoder" else {"overflow": "cut"}
    for given in _inputs(loaded, model):
        try:
            expected = loaded.reference_ids(given)
        except InputError:
            expected = []  # the runtime must refuse it too
        else:
            if expected is None:
                continue
        try:
            actual = [list(row.ids) for row in model.encode([given], **options)[0]]
        except InputError:
            if _blank(given) or all(special.issuperset(row) for row in expected):
                continue  # the runtime refuses texts that have only special tokens
            actual = []
        if expected != actual:
            raise ExportError(
                f"the bundle would turn {str(given)[:_SHOWN]!r} into other tokens than its checkpoint does: "
                f"{_first_difference(expected, actual)}; save the tokenizer as a plain tokenizer.json "
                "(PreTrainedTokenizerFast) and export again"
            )


def _inputs(loaded: LoadedModel, model: Any) -> list[Any]:
    """Return inputs in the form that the model takes.

    If an input has two texts, such as question and context, each probe text is used in both places.
    """
    texts, fields = [*_probe_texts(loaded)], model.input_fields
    if len(fields) == 1:
        kinds = getattr(loaded, "prompts", {})  # embedders have kinds of text with their own prompts
        return [*texts, *({"text": texts[0], "kind": kind} for kind in kinds)]
    first, second = fields
    pairs = [(text, texts[0]) for text in texts] + [("turn it off", text) for text in texts]
    return [{first: one, second: other} for one, other in pairs]


def _blank(given: Any) -> bool:
    texts = [given] if isinstance(given, str) else given.values()
    return any(not text.strip() for text in texts)


def _probe_texts(loaded: LoadedModel) -> Iterator[str]:
    yield from TEXTS
    yield from SENTENCES
    yield from _EMPTY
    yield "  spaces at both ends  "
    added = [str(token) for token in loaded.tokenizer.added_tokens_decoder.values()]
    names = dict.fromkeys([*loaded.tokenizer.all_special_tokens, *added])
    for name in [*names][:_SPELLED]:
        yield f"turn {name} the lights{name} off"
    yield _long_text(loaded)


def _long_text(loaded: LoadedModel) -> str:
    """Return a text that is longer than the model's limit, with a different beginning and end."""
    text, sentences = "", (*SENTENCES, *TEXTS)
    for number in range(10_000):
        text += f"{number} {sentences[number % len(sentences)]} "
        if number % 16 == 15 and loaded.count_tokens(text) > loaded.max_length + 16:
            break
    return text


def _first_difference(expected: Sequence[list[int]], actual: Sequence[list[int]]) -> str:
    if not expected or not actual:
        return "its checkpoint refuses the text" if actual else "it refuses the text"
    missing_row: list[int] = []
    for row, (expected_ids, actual_ids) in enumerate(zip_longest(expected, actual, fillvalue=missing_row)):
        for position, (expected_id, actual_id) in enumerate(zip_longest(expected_ids, actual_ids)):
            if expected_id != actual_id:
                return f"{actual_id} instead of {expected_id} at token {position} of row {row}"
    raise AssertionError("there is no difference")
