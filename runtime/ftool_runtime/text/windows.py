"""Texts longer than a model reads, as windows that overlap, each token with its place in the text as given."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.text.encode import Tokens, read_tokenizer, text_problem

if TYPE_CHECKING:
    from tokenizers import Encoding

_TEXT, _PAIRED_TEXT = (
    0,
    1,
)  # which sequence the text is for the tokenizer: the only one, or the one after the question


class Window(NamedTuple):
    """A stretch of one text as the graph takes it.

    Attributes:
        tokens: the window's tokens, the question's and special ones included; nothing is cut off unread.
        offsets: for every token its first character and the one past its last, in the text as given; (0, 0) for
            special tokens and those of question or prefix.
        text_positions: the positions of the tokens that belong to the text.
    """

    tokens: Tokens
    offsets: list[tuple[int, int]]
    text_positions: range


class WindowEncoder:
    """The tokenizer of a bundle, cutting texts into windows that overlap by `stride` tokens. Thread-safe.

    The windows are those of transformers' `tokenizer(question, text, truncation="only_second", stride=stride,
    return_overflowing_tokens=True)`, or of the text alone without `with_question`. The contract's prefix goes before
    the question, or before the text where there is none.
    """

    def __init__(
        self, path: Path, contract: InputContract, stride: int, *, with_question: bool = False
    ) -> None:
        """Read `tokenizer.json` at `path`. Raises BundleError where it or the stride can't be used."""
        tokenizer = read_tokenizer(path)
        tokenizer.encode_special_tokens = contract.split_special_tokens
        special = tokenizer.num_special_tokens_to_add(with_question)
        self._room = contract.max_length - special  # for text and question
        if not 0 <= stride < self._room:  # tokenizers would panic
            raise BundleError(
                f"a stride of {stride} tokens needs a larger input.max_length than {contract.max_length}, of which "
                f"special tokens take {special}"
            )
        strategy = "only_second" if with_question else "only_first"
        side = contract.truncation_side
        tokenizer.enable_truncation(contract.max_length, stride=stride, strategy=strategy, direction=side)
        self._last_first = side == "left"  # windows are then counted from the text's end
        self._tokenizer = tokenizer
        self._stride = stride
        self._prefix = contract.prefix
        self._with_question = with_question
        self._with_type_ids = "token_type_ids" in contract.names

    def windows(self, text: str, row: int, *, question: str | None = None) -> list[Window]:
        """The windows of `text`, which stands at position `row` of the call, first to last; one where all fits.

        Raises InputError, naming the row, on a text or question that is no string, empty or blank, or not Unicode,
        and on a question that leaves the text too little room.
        """
        assert (question is not None) == self._with_question
        if question is None:
            _check(text, "text", row)
            return self._cut(self._tokenizer.encode(self._prefix + text), "text", row, len(self._prefix))
        _check(question, "question", row)
        _check(text, "context", row)
        question = self._prefix + question
        self._check_room(question, row)
        return self._cut(self._tokenizer.encode(question, text), "context", row, 0)

    @property
    def longest_question(self) -> int:
        """Tokens of a question at most, special ones left out: beside longer ones no window could move on."""
        return self._room - self._stride - 1

    def _check_room(self, question: str, row: int) -> None:
        """Refuse a question beside which no window could move on; tokenizers would panic, or call it a truncation."""
        taken = self._count(question)
        if taken is None or taken > self.longest_question:
            raise InputError(
                f"question {row} has {taken or f'more than {self._room}'} tokens; at most {self.longest_question} fit "
                f"beside a context in windows that overlap by {self._stride}; shorten the question",
                row=row,
            )

    def _count(self, question: str) -> int | None:
        """The tokens of a question, special ones left out; None where they are more than a window holds."""
        try:
            return len(self._tokenizer.encode(question, add_special_tokens=False).ids)
        except Exception as error:  # tokenizers raises nothing more specific
            if "Truncation" not in str(error):
                raise
            return None

    def _cut(self, encoding: "Encoding", what: str, row: int, skip: int) -> list[Window]:
        """The windows of an encoding whose text begins `skip` characters into what was encoded."""
        windows = [self._window(part, skip) for part in (encoding, *encoding.overflowing)]
        if self._last_first:
            windows.reverse()
        if not any(window.text_positions for window in windows):
            raise InputError(f"{what} {row} holds nothing that the model's tokenizer can read", row=row)
        return windows

    def _window(self, part: "Encoding", skip: int) -> Window:
        wanted = _PAIRED_TEXT if self._with_question else _TEXT
        offsets = [(0, 0)] * len(part.ids)
        positions = []
        for position, (sequence, (start, end)) in enumerate(
            zip(part.sequence_ids, part.offsets, strict=True)
        ):
            if sequence == wanted and (end > skip or not skip):
                offsets[position] = (max(start - skip, 0), end - skip)
                positions.append(position)
        span = range(positions[0], positions[-1] + 1) if positions else range(0)
        type_ids = part.type_ids if self._with_type_ids else None
        return Window(Tokens(part.ids, type_ids, truncated=False), offsets, span)


def _check(text: object, what: str, row: int) -> None:
    problem = text_problem(text)
    if problem:
        raise InputError(f"{what} {row} {problem}", row=row)
