"""Question answering: the stretch of a context that answers a question, or that there is none."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, overload

from ftool_runtime.bundle.contracts import QuestionContract
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE, path_inside
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.models.inputs import cut
from ftool_runtime.postprocessing.spans import N_BEST, Span, Spans, find_spans
from ftool_runtime.session.encoder_engine import Engine, Outputs
from ftool_runtime.text.windows import Window, WindowEncoder

Asked = Mapping[str, str]  # "question" and "context"

_AT_ONCE = 128  # questions whose windows, with all their offsets, are in memory together


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stretch of the context, `context[start:end]`, and its probability; all None but that for "no answer"."""

    text: str | None
    start: int | None
    end: int | None
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one question about one context.

    Attributes:
        text: the answer as it stands in the context; None where the context does not answer the question.
        start: its first character in the context as given; None where there is no answer.
        end: the character past its last; likewise.
        score: its probability among the best candidates; without an answer that of there being none.
        margin: how far the best candidate's logits lie above those of no answer; to compare the answers of several
            contexts to one question. Minus infinity where no token of the context can be an answer.
        top: as many of the best candidates as `top_k` asked for, most probable first.
    """

    text: str | None
    start: int | None
    end: int | None
    score: float
    margin: float
    top: tuple[Candidate, ...] = ()

    @property
    def truncated(self) -> bool:
        """Never: windows hold all of a context."""
        return False

    def to_json(self, given: Asked) -> dict[str, Any]:
        """The answer to a question as `predict` prints it: JSON values."""
        values: dict[str, Any] = {"question": given["question"], "answer": self.text}
        values |= {"start": self.start, "end": self.end, "score": self.score}
        values["margin"] = self.margin if math.isfinite(self.margin) else None  # JSON knows no infinity
        values["truncated"] = self.truncated
        if self.top:
            values["top"] = [
                {"answer": one.text, "start": one.start, "end": one.end, "score": one.score}
                for one in self.top
            ]
        return values


class _Question(NamedTuple):
    """One question about one context."""

    question: str
    context: str


class Reader(EncoderModel):
    """A loaded reader. Call it on a question and a context, or on many; several threads may do so at once."""

    per_token: ClassVar[bool] = True
    call_options: ClassVar[tuple[str, ...]] = ("top_k",)

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Wrap the engine of the bundle in `folder`. Raises BundleError where it can't cut contexts into windows."""
        super().__init__(folder, engine)
        self._contract = _contract(engine.manifest)
        path = path_inside(folder, TOKENIZER_FILE)
        self._windows = WindowEncoder(path, engine.manifest.input, self._contract.stride, with_question=True)
        self.no_answer_threshold = self._contract.no_answer_threshold

    @property
    def input_fields(self) -> tuple[str, ...]:
        """A question and a context."""
        return ("question", "context")

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """Two logits a token: of an answer's start, and of its end."""
        _contract(manifest)
        return 2

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is Iterable[str] too, and the first overload wins
        self, question: str, context: str, *, top_k: int | None = None
    ) -> Answer: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]  # likewise a mapping
        self, question: Asked, context: None = None, *, top_k: int | None = None
    ) -> Answer: ...

    @overload
    def __call__(
        self,
        question: str | Iterable[str] | Iterable[Asked],
        context: str | Iterable[str] | None = None,
        *,
        top_k: int | None = None,
    ) -> list[Answer]: ...

    def __call__(
        self, question: Any, context: Any = None, *, top_k: int | None = None
    ) -> Answer | list[Answer]:
        """Answer one question about one context, or many.

        Args:
            question: a string, or strings; or without `context` a mapping of "question" and "context", or several.
            context: a string, or strings: one for each question, or several for one question. One context may be
                asked several questions too.
            top_k: how many candidates `Answer.top` holds, at most 20; None: none.

        Returns:
            One answer for a string and a string, or for a mapping; else a list of answers in the same order. An answer
            does not depend on the others.

        Raises:
            InputError: a question or a context is no string, blank or not Unicode, or a question is so long that it
                leaves its context no room (`row` tells which); or an option is wrong.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        _check_top_k(top_k)
        questions, single = _questions(question, context)
        answers = [answer for batch in self._stream(_chunks(questions), top_k) for answer in batch]
        return answers[0] if single else answers

    def n_best(self, question: str, context: str, n: int = 5) -> tuple[Candidate, ...]:
        """The `n` best candidates, at most 20, most probable first; "no answer" is one where the model knows it.

        Raises InputError for several questions or contexts, and as `__call__`.
        """
        if not isinstance(question, str) or not isinstance(context, str):
            raise InputError(
                "n_best takes one question and one context, each a string; for several call the reader with top_k"
            )
        return self(question, context, top_k=n).top

    def predict_iter(
        self, inputs: Iterable[Asked], *, batch_size: int = 64, top_k: int | None = None
    ) -> Iterator[Answer]:
        """Answer a stream of mappings of "question" and "context", in order, with at most `batch_size` in memory.

        They are taken from `inputs` only as answers are asked for. Raises as `__call__`, on the way; a question's
        `row` counts from the start of the stream.
        """
        return itertools.chain.from_iterable(self.predict_batches(cut(inputs, batch_size), top_k=top_k))

    def predict_batches(
        self, batches: Iterable[Sequence[Asked]], *, top_k: int | None = None
    ) -> Iterator[list[Answer]]:
        """Answer a stream of lists of such mappings, as long as the caller makes them: the answers of each list.

        Raises as `predict_iter`.
        """
        _check_top_k(top_k)
        rows = itertools.count()
        return self._stream(([_question(given, next(rows)) for given in batch] for batch in batches), top_k)

    def outputs(self, inputs: Iterable[Asked]) -> Outputs:
        """The graph's own output for every window of `inputs`, in order: float32 (tokens, 2) each.

        Raises as `__call__`.
        """
        questions, _ = _questions(list(inputs), None)
        return self._outputs([window for windows in self._cut(questions, 0) for window in windows])

    def spans(self, inputs: Iterable[Asked]) -> list[Spans]:
        """The best spans of each of `inputs` with their scores, before any threshold. Raises as `__call__`."""
        questions, _ = _questions(list(inputs), None)
        chunks, found, first_row = _chunks(questions), list[Spans](), 0
        for chunk in chunks:
            found += self._spans(chunk, first_row)
            first_row += len(chunk)
        return found

    @property
    def longest_question(self) -> int:
        """Tokens of a question at most, special ones left out: longer ones leave a context no room."""
        return self._windows.longest_question

    def _stream(self, batches: Iterable[Sequence[_Question]], top_k: int | None) -> Iterator[list[Answer]]:
        first_row = 0
        for batch in batches:
            yield self._answers(batch, first_row, top_k)
            first_row += len(batch)

    def _answers(self, questions: Sequence[_Question], first_row: int, top_k: int | None) -> list[Answer]:
        found = self._spans(questions, first_row)
        return [
            read_answer(given.context, spans, self.no_answer_threshold, top_k=top_k)
            for given, spans in zip(questions, found, strict=True)
        ]

    def _spans(self, questions: Sequence[_Question], first_row: int) -> list[Spans]:
        cut_up = self._cut(questions, first_row)
        logits = iter(self._outputs([window for windows in cut_up for window in windows]))
        longest = self._contract.max_answer_length
        return [
            find_spans(given.context, windows, [next(logits) for _ in windows], max_answer_length=longest)
            for given, windows in zip(questions, cut_up, strict=True)
        ]

    def _cut(self, questions: Sequence[_Question], first_row: int) -> list[list[Window]]:
        return [
            self._windows.windows(given.context, row, question=given.question)
            for row, given in enumerate(questions, first_row)
        ]

    def _outputs(self, windows: Sequence[Window]) -> Outputs:
        return self._engine.outputs([window.tokens for window in windows])


def read_answer(context: str, spans: Spans, threshold: float | None, *, top_k: int | None = None) -> Answer:
    """The answer that the best spans of a context make. The torch reference and the ONNX run both end here.

    Args:
        context: what the spans point into.
        spans: at least one, or none where no token of the context can be an answer.
        threshold: see `Spans.answered`; None for models that always answer.
        top_k: how many candidates `Answer.top` holds.
    """
    knows_none = threshold is not None or not spans.best
    shares = spans.probabilities(with_no_answer=knows_none).tolist()
    candidates = [_candidate(context, span, share) for span, share in zip(spans.best, shares, strict=False)]
    nothing = Candidate(None, None, None, shares[-1] if knows_none else 0.0)
    chosen = candidates[0] if spans.answered(threshold) else nothing
    top: tuple[Candidate, ...] = ()
    if top_k is not None:
        known = [*candidates, nothing] if knows_none else candidates
        top = tuple(sorted(known, key=lambda one: -one.score)[:top_k])
    return Answer(chosen.text, chosen.start, chosen.end, chosen.score, spans.margin, top)


def _candidate(context: str, span: Span, score: float) -> Candidate:
    return Candidate(context[span.start : span.end], span.start, span.end, score)


def _contract(manifest: Manifest) -> QuestionContract:
    if manifest.questions is None:
        raise BundleError("the manifest says nothing of questions; export the bundle again")
    return manifest.questions


def _questions(question: Any, context: Any) -> tuple[list[_Question], bool]:
    """What was asked, one of one or of many, and whether the caller wants one answer or a list."""
    if context is None:
        if isinstance(question, Mapping):
            return [_question(question, 0)], True
        if isinstance(question, str | bytes) or not isinstance(question, Iterable):
            raise InputError("give a question and a context, or mappings of both")
        return [_question(given, row) for row, given in enumerate(question)], False
    questions, contexts = _listed(question, "questions"), _listed(context, "contexts")
    if isinstance(question, str) and isinstance(context, str):
        return [_Question(question, context)], True
    if isinstance(question, str):
        questions = questions * len(contexts)
    if isinstance(context, str):
        contexts = contexts * len(questions)
    if len(questions) != len(contexts):
        raise InputError(
            f"got {len(questions)} questions and {len(contexts)} contexts; give as many of both, or one of either"
        )
    return [_Question(*pair) for pair in zip(questions, contexts, strict=True)], False


def _question(given: Any, row: int) -> _Question:
    if not isinstance(given, Mapping) or not {"question", "context"} <= given.keys():
        raise InputError(f"input {row} must hold a question and a context, got {str(given)[:60]!r}", row=row)
    return _Question(given["question"], given["context"])


def _listed(texts: Any, what: str) -> list[str]:
    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, Iterable):
        raise InputError(
            f"{what} must be a string, or strings in a list or the like, got {type(texts).__name__}"
        )
    return list(texts)


def _chunks(questions: Sequence[_Question]) -> Iterator[Sequence[_Question]]:
    for start in range(0, len(questions), _AT_ONCE):
        yield questions[start : start + _AT_ONCE]


def _check_top_k(top_k: int | None) -> None:
    if top_k is None:
        return
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= N_BEST:
        raise InputError(f"top_k must be a whole number from 1 to {N_BEST}, got {top_k!r}")
