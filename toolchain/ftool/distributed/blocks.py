"""Blocks: the units of work, rows of a file whose texts have about the same number of tokens together."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ftool_runtime.errors import InputError
from ftool_runtime.models.base import Model
from ftool_runtime.text.files import in_batches
from ftool_runtime.text.input_rows import InputRow

_SAMPLED: Final = 256  # inputs from which the bytes of a token are estimated
_USUAL: Final = 4.0  # bytes a token, if no input can be read
_MOST_FILES: Final = 99_999
_MOST_BLOCKS: Final = 999_999
_ROW: Final = 2  # tokens that a row costs beside its text


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a file.

    Attributes:
        file: the position of the file in the job.
        number: the position of the block in the file.
        rows: the rows as JSON: a list of lists (number, given, problem).
    """

    file: int
    number: int
    rows: bytes

    @property
    def name(self) -> str:
        """The name of the block's part."""
        return part_name(self.file, self.number)

    @property
    def digest(self) -> str:
        """The hash of the rows, which tells after an interruption whether they are still the same."""
        return hashlib.blake2b(self.rows, digest_size=16).hexdigest()

    def read(self) -> list[InputRow]:
        """Return the rows."""
        return [InputRow(*row) for row in json.loads(self.rows)]


def part_name(file: int, number: int) -> str:
    """Return the name of the part of a block; sorted names are in the order of the input.

    Raises InputError for more files or blocks than names can count.
    """
    if file > _MOST_FILES or number > _MOST_BLOCKS:
        raise InputError(
            f"a batch has at most {_MOST_FILES + 1:,} files and {_MOST_BLOCKS + 1:,} blocks of a file; give larger "
            "--block-tokens or fewer files"
        )
    return f"{file:05d}-{number:06d}"


def blocks_of(rows: Iterable[InputRow], file: int, *, tokens: int, bytes_per_token: float) -> Iterator[Block]:
    """Yield the rows of a file as blocks of about `tokens` tokens, and at least one batch.

    Blocks are cut between the batches in which `ftool predict` answers a file: in fp32 the last bits of an answer can
    depend on the rest of its batch. Tokens are estimated from the texts' length in UTF-8. The same file always gives
    the same blocks.
    """
    block: list[InputRow] = []
    weight, number = 0.0, 0
    for batch in in_batches(iter(rows)):
        cost = sum(_bytes_of(row.given) / bytes_per_token + _ROW for row in batch)
        if block and weight + cost > tokens:
            yield _block(file, number, block)
            block, weight, number = [], 0.0, number + 1
        block += batch
        weight += cost
    if block:
        yield _block(file, number, block)


def bytes_per_token(model: Model[Any, Any], rows: Iterable[InputRow]) -> float:
    """Return how many bytes a token of the first inputs has, in UTF-8, with the model's tokenizer."""
    size = tokens = 0
    for _, row in zip(range(_SAMPLED), rows, strict=False):
        if row.given is None:
            continue
        try:
            (encoded,) = model.encode([row.given])
        except InputError:
            continue  # it will be rejected
        size += _bytes_of(row.given)
        tokens += sum(len(one.ids) for one in encoded)
    return round(size / tokens, 2) if size else _USUAL


def _block(file: int, number: int, rows: list[InputRow]) -> Block:
    return Block(file, number, json.dumps(rows, separators=(",", ":")).encode())


def _bytes_of(given: Any) -> int:
    texts = given.values() if isinstance(given, dict) else (given,)
    return sum(len(text.encode()) for text in texts if text is not None)
