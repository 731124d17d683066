"""`GenerationTokenizer`: convert texts to token ids and back; special tokens spelled out in a text stay text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftool_runtime.errors import BundleError, InputError, is_one_of
from ftool_runtime.limits import DEFAULT_LIMITS, Limits
from ftool_runtime.text.encode import check_known, read_tokenizer, run_tokenizer, text_problem

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LARGEST_ID: Final = 2**22


class GenerationTokenizer:
    """Converts texts to token ids and back. Special tokens that are spelled out in a text stay text. Thread-safe."""

    def __init__(self, path: Path, vocabulary: int | None = None, limits: Limits = DEFAULT_LIMITS) -> None:
        """Read the file `tokenizer.json` at `path`. Raises BundleError if the file can't be used.

        `vocabulary` is the number of token ids that the model has embeddings for; None for all.
        """
        self._vocabulary = vocabulary
        self.limits = limits
        self.tokenizer = read_tokenizer(path)
        self.tokenizer.encode_special_tokens = True  # special tokens spelled out in a text are text
        self.size: int = self.tokenizer.get_vocab_size(with_added_tokens=True)
        added = self.tokenizer.get_added_tokens_decoder()
        self.special = {number: token.content for number, token in added.items() if token.special}
        names = (self.tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in range(256))
        byte_tokens = {number for number in names if number is not None}
        # Tokens whose text depends on later tokens: the bytes of a character, and special tokens between such bytes.
        self.context_dependent = frozenset(byte_tokens | self.special.keys())

    def encode(
        self, text: str, row: int, *, prefix: str = "", empty: bool = False
    ) -> tuple[list[int], list[bool]]:
        """Return the token ids of `prefix` and `text`, and for each id whether it is a special token that was added.

        `row` is the text's position in the call; `empty` allows the empty text, if the tokenizer adds special tokens to
        it. Raises InputError, which names the row, if `text` is not a string, is blank, is not valid Unicode,
        or is longer than the limits allow.
        """
        empty = empty and is_one_of(text, ("",)) and self.tokenizer.num_special_tokens_to_add(False) > 0
        self.limits.check_text(text, f"text {row}", row)
        problem = None if empty else text_problem(text)
        if problem:
            raise InputError(f"text {row} {problem}", row=row)
        whole = prefix + text
        encoding = run_tokenizer(self.tokenizer, whole, row=row)
        added = [bool(flag) for flag in encoding.special_tokens_mask]
        ids, added = self._spelled_out(whole, encoding, added)
        if self._vocabulary is not None:
            tokens = [self.tokenizer.id_to_token(one) or "" for one in ids]
            check_known(ids, self._vocabulary, tokens, "text", row)
        if all(added) and not empty:
            raise InputError(f"text {row} holds nothing that the model's tokenizer can read", row=row)
        return ids, added

    def encode_chunk(self, text: str) -> list[int]:
        """Return the token ids of a part of a text, without the special tokens that are added to whole texts."""
        encoding = run_tokenizer(self.tokenizer, text, add_special_tokens=False)
        return self._spelled_out(text, encoding, [False] * len(encoding.ids))[0]

    def parsing_special_tokens(self) -> "Tokenizer":
        """Return a copy of the tokenizer that turns special tokens spelled out in a text into these tokens.

        Raises BundleError if ids are far beyond those of any vocabulary.
        """
        from tokenizers import Tokenizer

        highest = max(self.tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        if highest > _LARGEST_ID:  # `to_str` counts up to it
            raise BundleError(f"tokenizer.json gives a token the id {highest}; export the bundle again")
        return Tokenizer.from_str(self.tokenizer.to_str())

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, including special tokens."""
        return len(run_tokenizer(self.tokenizer, text).ids)

    def beginning(self, text: str, tokens: int) -> str:
        """Return the longest beginning of `text` with at most `tokens` tokens, but at least one character."""
        ends = [end for _, end in run_tokenizer(self.tokenizer, text, add_special_tokens=False).offsets]
        for place in range(min(tokens, len(ends)) - 1, -1, -1):  # a word that is cut may need more tokens
            head = text[: ends[place]]
            if head and len(run_tokenizer(self.tokenizer, head, add_special_tokens=False).ids) <= tokens:
                return head
        return text[:1]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _spelled_out(self, text: str, encoding: Any, added: list[bool]) -> tuple[list[int], list[bool]]:
        """Replace special tokens that the text spells out with the tokens of their letters.

        This is needed for vocabularies that also match special tokens as words. `added` says which tokens the tokenizer
        added; returns the new ids and the new flags.
        """
        ids: list[int] = encoding.ids
        if self.special.keys().isdisjoint(ids):
            return ids, added
        spelled: list[int] = []
        flags: list[bool] = []
        for number, flag, (begin, end) in zip(ids, added, encoding.offsets, strict=True):
            # An unknown word may become a special token too, but its text does not spell out that token's name.
            named = not flag and number in self.special and self.special[number] in text[begin:end]
            letters = self._letters(number) if named else [number]
            spelled += letters
            flags += [flag] * len(letters)
        return spelled, flags

    def _letters(self, number: int) -> list[int]:
        model = self.tokenizer.model
        return [token.id for letter in self.special[number] for token in model.tokenize(letter)]
