"""Encode texts as token ids with the bundle's tokenizer, cut to the manifest's maximum length."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ftool_runtime.bundle.files import LARGEST_TOKENIZER, read_text_file
from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.limits import DEFAULT_LIMITS, Limits
from ftool_runtime.text.growth import growth_problem
from ftool_runtime.text.shortening import LONG, Shortener

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


class Tokens(NamedTuple):
    """The tokens of one row of the graph's input.

    Attributes:
        ids: the token ids, including special tokens.
        type_ids: the token type id of each token; None if the graph does not take token type ids.
        truncated: whether part of the text was cut off.
    """

    ids: list[int]
    type_ids: list[int] | None = None
    truncated: bool = False


def read_tokenizer(path: Path) -> "Tokenizer":
    """Return the tokenizer in the bundle's file `path`, without truncation and padding.

    Its JSON is read by tokenizers, which bounds the nesting itself.

    Raises BundleError for a file that tokenizers can't read or that makes texts far longer, and for the reasons of
    `read_file`.
    """
    from tokenizers import Tokenizer  # imported here because it takes 30 ms

    text = read_text_file(path.parent, path.name, LARGEST_TOKENIZER)
    try:
        tokenizer = Tokenizer.from_str(text)
    except BaseException as error:
        if not of_tokenizers(error):
            raise
        raise BundleError(f"{path} is not a tokenizer that this runtime can read: {error}") from error
    if problem := growth_problem(tokenizer):
        raise BundleError(f"{path} is not used: {problem}; use bundles of a maker you trust")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def check_padding(tokenizer: "Tokenizer", contract: InputContract) -> None:
    """Raise BundleError if the token that fills up shorter rows is none that the model or its tokenizer knows."""
    vocabulary = contract.vocabulary
    size = tokenizer.get_vocab_size(with_added_tokens=True) if vocabulary is None else vocabulary
    pad = contract.pad_token_id
    if pad >= size and (vocabulary is not None or tokenizer.id_to_token(pad) is None):
        raise BundleError(
            f"input.pad_token_id is {pad}, and the vocabulary has {size} tokens; export the bundle again"
        )


def run_tokenizer(
    tokenizer: "Tokenizer",
    text: str,
    pair: str | None = None,
    *,
    what: str = "text",
    row: int | None = None,
    add_special_tokens: bool = True,
) -> "Encoding":
    """Return the encoding of `text`, or of `text` and `pair` together.

    Args:
        tokenizer: the bundle's tokenizer.
        text: the text.
        pair: the second text, if any.
        what: the kind of text, for an error.
        row: the input's position in the call, for an error, if known.
        add_special_tokens: whether the tokenizer adds its special tokens.

    Raises InputError if the tokenizer can't encode the text, for example because the vocabulary lacks a word and has no
    token for unknown words; the error of tokenizers passes through if `truncation_refused`.
    """
    try:
        return tokenizer.encode(text, pair, add_special_tokens=add_special_tokens)
    except BaseException as error:
        if not of_tokenizers(error) or truncation_refused(error):
            raise
        place = f"the {what}" if row is None else f"{what} {row}"
        raise InputError(
            f"{place} can't be encoded by the model's tokenizer ({error}); leave out words that it does not know",
            row=row,
        ) from error


def of_tokenizers(error: BaseException) -> bool:
    """Return whether an exception can be one of tokenizers: a plain Exception, or a panic, which is not even that."""
    return isinstance(error, Exception) or type(error).__module__ == "pyo3_runtime"


def truncation_refused(error: BaseException) -> bool:
    """Return whether an error of tokenizers says that a first text alone is longer than the tokenizer's limit."""
    return "Truncation" in str(error)


def check_known(ids: Sequence[int], vocabulary: int, tokens: Sequence[str], what: str, row: int) -> None:
    """Raise InputError if a text has a token that the model has no embedding for.

    Args:
        ids: the text's token ids.
        vocabulary: the number of ids that the model has embeddings for.
        tokens: the text's tokens, one for each id.
        what: the kind of text, for the error.
        row: the input's position in the call.
    """
    for number, token in zip(ids, tokens, strict=True):
        if number >= vocabulary:
            raise InputError(
                f"{what} {row} holds {token!r}, which the tokenizer knows but the model has no embedding for; leave it "
                "out",
                row=row,
            )


class TokenEncoder:
    """Encodes texts with a bundle's tokenizer, and cuts them to the manifest's maximum length. Thread-safe."""

    def __init__(
        self, tokenizer: "Tokenizer", contract: InputContract, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """Use and change `tokenizer`, from `read_tokenizer`. Raises BundleError if the contract leaves no room."""
        tokenizer.encode_special_tokens = contract.split_special_tokens
        special = tokenizer.num_special_tokens_to_add(False)
        if contract.max_length <= special:  # tokenizers would not cut at all, without an error
            raise BundleError(
                f"input.max_length is {contract.max_length}, and the special tokens alone take {special}"
            )
        tokenizer.enable_truncation(contract.max_length, direction=contract.truncation_side)
        self._tokenizer = tokenizer
        self._limits = limits
        self._shortener = Shortener(tokenizer, contract.truncation_side)
        self._max_length = contract.max_length
        self._prefix = contract.prefix
        self._vocabulary = contract.vocabulary
        self._with_type_ids = "token_type_ids" in contract.names

    def with_prefix(self, prefix: str) -> "TokenEncoder":
        """Return a copy that puts `prefix` before every text, instead of the manifest's prefix."""
        other = copy.copy(self)
        other._prefix = prefix
        return other

    def encode(self, text: str, row: int, pair: str | None = None) -> Tokens:
        """Return the tokens of `text`, or of `text` and `pair` together.

        `row` is the input's position in the call, for errors. An input that is too long is cut on the manifest's
        `truncation_side`, of two texts the longer one first. Raises InputError, which names the row, if a text is not
        a string, is blank, is not valid Unicode, is longer than the limits allow, or has a token that the model
        does not know.
        """
        for given in (text,) if pair is None else (text, pair):
            self._limits.check_text(given, f"text {row}", row)
            problem = text_problem(given)
            if problem:
                raise InputError(f"text {row} {problem}", row=row)
        encoding = self._encoding(self._prefix + text, pair, row)
        ids: list[int] = encoding.ids
        if not ids:
            raise InputError(f"text {row} holds nothing that the model's tokenizer can read", row=row)
        if self._vocabulary is not None:
            check_known(ids, self._vocabulary, encoding.tokens, "text", row)
        truncated = len(ids) >= self._max_length and bool(encoding.overflowing)
        return Tokens(ids, encoding.type_ids if self._with_type_ids else None, truncated)

    def _encoding(self, text: str, pair: str | None, row: int) -> "Encoding":
        """Return the encoding of a text, or of two, of which the parts that can't matter are not tokenized."""
        if pair is not None or len(text) < LONG:  # how two texts are cut depends on both
            return run_tokenizer(self._tokenizer, text, pair, row=row)
        for part in self._shortener.parts(text):
            encoding = run_tokenizer(self._tokenizer, part, row=row)
            if len(encoding.ids) >= self._max_length and encoding.overflowing:
                break
        return encoding


def text_problem(text: object) -> str | None:
    """Return why a model can't read `text`, as the end of a sentence ("is empty"); None if the text is valid."""
    if not isinstance(text, str):
        return f"must be a string, got {type(text).__name__}"
    if not text or text.isspace():
        return "is empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode: it holds a lone surrogate"
    return None
