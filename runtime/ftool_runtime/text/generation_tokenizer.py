"""`GenerationTokenizer`: texts to token ids, where text never becomes a special token, and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftool_runtime.errors import InputError
from ftool_runtime.text.encode import read_tokenizer, text_problem

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class GenerationTokenizer:
    """Convert texts to token ids and back. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Read `tokenizer.json` at `path`. Raises BundleError if it can't be used."""
        self.tokenizer = read_tokenizer(path)
        self.tokenizer.encode_special_tokens = True  # special tokens spelled out in a text are text
        self.size: int = self.tokenizer.get_vocab_size(with_added_tokens=True)
        added = self.tokenizer.get_added_tokens_decoder()
        self.special = {number: token.content for number, token in added.items() if token.special}
        names = (self.tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in range(256))
        byte_tokens = {number for number in names if number is not None}
        # tokens whose text depends on later ones: bytes of a character, and special tokens, which may come between
        self.context_dependent = frozenset(byte_tokens | self.special.keys())

    def encode(self, text: str, row: int, *, prefix: str = "") -> tuple[list[int], list[bool]]:
        """The ids of `prefix` and `text`, and for each id whether the tokenizer added it.

        Raises InputError, naming the row, if `text` is not a string, blank or not Unicode.
        """
        problem = text_problem(text)
        if problem:
            raise InputError(f"text {row} {problem}", row=row)
        whole = prefix + text
        encoding = self.tokenizer.encode(whole)
        added = [bool(flag) for flag in encoding.special_tokens_mask]
        ids, added = self._spelled_out(whole, encoding, added)
        if all(added):
            raise InputError(f"text {row} holds nothing that the model's tokenizer can read", row=row)
        return ids, added

    def encode_chunk(self, text: str) -> list[int]:
        """The ids of a part of a text, without any that the tokenizer adds to whole texts."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return self._spelled_out(text, encoding, [False] * len(encoding.ids))[0]

    def parsing_special_tokens(self) -> "Tokenizer":
        """A copy of the tokenizer that parses special tokens spelled out in a text as special tokens."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.tokenizer.to_str())

    def count(self, text: str) -> int:
        """How many tokens a text has, including those that the tokenizer adds."""
        return len(self.tokenizer.encode(text).ids)

    def beginning(self, text: str, tokens: int) -> str:
        """The beginning of `text` that has at most `tokens` tokens, and at least one character."""
        ends = [end for _, end in self.tokenizer.encode(text, add_special_tokens=False).offsets]
        for place in range(min(tokens, len(ends)) - 1, -1, -1):  # cutting a word may make it need more tokens
            head = text[: ends[place]]
            if head and len(self.tokenizer.encode(head, add_special_tokens=False).ids) <= tokens:
                return head
        return text[:1]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _spelled_out(self, text: str, encoding: Any, added: list[bool]) -> tuple[list[int], list[bool]]:
        """Replace special tokens that the text spells out with their letters: some vocabularies match them as words."""
        ids: list[int] = encoding.ids
        if self.special.keys().isdisjoint(ids):
            return ids, added
        spelled: list[int] = []
        flags: list[bool] = []
        for number, flag, (begin, end) in zip(ids, added, encoding.offsets, strict=True):
            # an unknown word may become a special token too, but its text does not spell that token's name
            named = not flag and number in self.special and self.special[number] in text[begin:end]
            letters = self._letters(number) if named else [number]
            spelled += letters
            flags += [flag] * len(letters)
        return spelled, flags

    def _letters(self, number: int) -> list[int]:
        model = self.tokenizer.model
        return [token.id for letter in self.special[number] for token in model.tokenize(letter)]
