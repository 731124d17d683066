"""Encode texts as token ids with the bundle's tokenizer, cut at the manifest's maximum length."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.errors import BundleError, InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Tokens(NamedTuple):
    """One row as the graph takes it.

    Attributes:
        ids: token ids, special tokens included.
        type_ids: a token type id for each; None if the graph takes none.
        truncated: whether part of the text was cut off.
    """

    ids: list[int]
    type_ids: list[int] | None = None
    truncated: bool = False


def read_tokenizer(path: Path) -> "Tokenizer":
    """The tokenizer at `path`, which neither cuts nor pads. Raises BundleError if it can't be used."""
    from tokenizers import Tokenizer  # takes 30 ms, which `import ftool_runtime` should not

    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises nothing more specific
        raise BundleError(f"{path} is not a tokenizer that this runtime can read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class TokenEncoder:
    """The tokenizer of a bundle, cutting at the manifest's maximum length. Thread-safe."""

    def __init__(self, path: Path, contract: InputContract) -> None:
        """Read `tokenizer.json` at `path`. Raises BundleError if it can't be used."""
        tokenizer = read_tokenizer(path)
        tokenizer.encode_special_tokens = contract.split_special_tokens
        special = tokenizer.num_special_tokens_to_add(False)
        if contract.max_length <= special:  # tokenizers would silently not cut at all
            raise BundleError(
                f"input.max_length is {contract.max_length}, and the special tokens alone take {special}"
            )
        tokenizer.enable_truncation(contract.max_length, direction=contract.truncation_side)
        self._tokenizer = tokenizer
        self._max_length = contract.max_length
        self._prefix = contract.prefix
        self._with_type_ids = "token_type_ids" in contract.names

    def with_prefix(self, prefix: str) -> "TokenEncoder":
        """The same tokenizer with `prefix` before every text instead of the manifest's prefix."""
        other = copy.copy(self)
        other._prefix = prefix
        return other

    def encode(self, text: str, row: int, pair: str | None = None) -> Tokens:
        """The tokens of `text`, or of `text` and `pair` together; `row` is its position in the call, for errors.

        A text that is too long is cut at the manifest's `truncation_side`, the longer of two first.

        Raises InputError, naming the row, for a text that is not a string, empty or blank, or not Unicode.
        """
        for given in (text,) if pair is None else (text, pair):
            problem = text_problem(given)
            if problem:
                raise InputError(f"text {row} {problem}", row=row)
        encoding = self._tokenizer.encode(self._prefix + text, pair)
        ids: list[int] = encoding.ids
        if not ids:
            raise InputError(f"text {row} holds nothing that the model's tokenizer can read", row=row)
        truncated = len(ids) >= self._max_length and bool(encoding.overflowing)
        return Tokens(ids, encoding.type_ids if self._with_type_ids else None, truncated)


def text_problem(text: object) -> str | None:
    """Why `text` can't be answered, as the end of a sentence; None if it can."""
    if not isinstance(text, str):
        return f"must be a string, got {type(text).__name__}"
    if not text or text.isspace():
        return "is empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode: it holds a lone surrogate"
    return None
