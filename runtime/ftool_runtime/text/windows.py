"""Split texts that are too long for a model into overlapping windows of tokens with character offsets."""

from typing import TYPE_CHECKING, NamedTuple

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.limits import DEFAULT_LIMITS, Limits
from ftool_runtime.text.encode import (
    Tokens,
    check_known,
    run_tokenizer,
    text_problem,
    truncation_refused,
)

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# The tokenizer's sequence id of the text: 0 if it is the only sequence, 1 if it follows a question.
_TEXT, _PAIRED_TEXT = 0, 1


class Window(NamedTuple):
    """The tokens of one part of a text, as one row of the graph's input.

    Attributes:
        tokens: the window's tokens, including special tokens and the question's tokens.
        offsets: for each token its character range in the given text; (0, 0) for special tokens and tokens of the
            question or prefix.
        text_positions: the positions, among `tokens`, of the text's own tokens.
    """

    tokens: Tokens
    offsets: list[tuple[int, int]]
    text_positions: range


class WindowEncoder:
    """Cuts texts into windows that overlap by `stride` tokens, with a bundle's tokenizer. Thread-safe.

    The windows are the same as from transformers' `tokenizer(question, text, truncation="only_second", stride=stride,
    return_overflowing_tokens=True)`, without the question unless `with_question`. The contract's prefix is put before
    the question, or before the text if there is no question.
    """

    def __init__(
        self,
        tokenizer: "Tokenizer",
        contract: InputContract,
        stride: int,
        *,
        with_question: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Use and change `tokenizer`, from `read_tokenizer`. Raises BundleError if the stride can't be used."""
        tokenizer.encode_special_tokens = contract.split_special_tokens
        special = tokenizer.num_special_tokens_to_add(with_question)
        self._room = contract.max_length - special  # tokens of text and question that fit into a window
        if not 0 <= stride < self._room:  # tokenizers would panic
            raise BundleError(
                f"a stride of {stride} tokens needs a larger input.max_length than {contract.max_length}, of which "
                f"special tokens take {special}"
            )
        strategy = "only_second" if with_question else "only_first"
        side = contract.truncation_side
        tokenizer.enable_truncation(contract.max_length, stride=stride, strategy=strategy, direction=side)
        self._last_first = side == "left"  # tokenizers then returns the last window first
        self._tokenizer = tokenizer
        self._limits = limits
        self._stride = stride
        self._prefix = contract.prefix
        self._vocabulary = contract.vocabulary
        self._with_question = with_question
        self._with_type_ids = "token_type_ids" in contract.names

    def windows(self, text: str, row: int, *, question: str | None = None) -> list[Window]:
        """Return the windows of `text`, in order; just one window if the whole text fits.

        `row` is the input's position in the call, for errors. Raises InputError, which names the row, if the text or
        question is not a string, is blank, not valid Unicode or longer than the limits allow, or if the question leaves
        too little room for the text.
        """
        if not self._with_question:
            assert question is None
            self._check(text, "text", row)
            return self._cut(
                run_tokenizer(self._tokenizer, self._prefix + text, row=row), "text", row, len(self._prefix)
            )
        self._check(question, "question", row)
        self._check(text, "context", row)
        asked = f"{self._prefix}{question}"
        self._check_room(asked, row)
        encoding = run_tokenizer(self._tokenizer, asked, text, what="context", row=row)
        return self._cut(encoding, "context", row, 0)

    @property
    def longest_question(self) -> int:
        """The largest number of tokens in a question, without special tokens, with which windows can still advance."""
        return self._room - self._stride - 1

    def _check(self, text: object, what: str, row: int) -> None:
        self._limits.check_text(text, f"{what} {row}", row)
        problem = text_problem(text)
        if problem:
            raise InputError(f"{what} {row} {problem}", row=row)

    def _check_room(self, question: str, row: int) -> None:
        """Raise InputError if a question is too long for windows to advance; tokenizers would panic or not truncate."""
        taken = self._count(question, row)
        if taken is None or taken > self.longest_question:
            raise InputError(
                f"question {row} has {taken or f'more than {self._room}'} tokens; at most {self.longest_question} fit "
                f"with a context in windows that overlap by {self._stride}; shorten the question",
                row=row,
            )

    def _count(self, question: str, row: int) -> int | None:
        """Return a question's number of tokens, without special tokens; None if the tokens don't fit into a window."""
        try:
            encoding = run_tokenizer(
                self._tokenizer, question, what="question", row=row, add_special_tokens=False
            )
        except Exception as error:  # tokenizers raises nothing more specific
            if not truncation_refused(error):
                raise
            return None
        return len(encoding.ids)

    def _cut(self, encoding: "Encoding", what: str, row: int, skip: int) -> list[Window]:
        """Return the windows of an encoding, in order; the first `skip` characters of what was encoded are a prefix."""
        parts = (encoding, *encoding.overflowing)
        if self._vocabulary is not None:
            for part in parts:
                check_known(part.ids, self._vocabulary, part.tokens, what, row)
        windows = [self._window(part, skip) for part in parts]
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
