"""`Reader`: question answering, which finds the span of a context that answers a question, or no answer."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

from ftool_runtime.bundle.contracts import QuestionContract
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.limits import Limits
from ftool_runtime.models.base import listed
from ftool_runtime.models.encoder_model import WindowedModel, WindowOutputs
from ftool_runtime.postprocessing.spans import N_BEST, Span, Spans, find_spans
from ftool_runtime.session.encoder_engine import EncoderEngine
from ftool_runtime.text.windows import Window, WindowEncoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

QuestionInput = Mapping[str, str]  # "question" and "context"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible answer: a span of the context, `context[start:end]`, and its probability.

    For the candidate "no answer", `text`, `start` and `end` are None.
    """

    text: str | None
    start: int | None
    end: int | None
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question about one context.

    Attributes:
        text: the answer, exactly as in the context; None if the context does not answer the question.
        start: the index of the answer's first character in the given context; None without an answer.
        end: the index after the answer's last character; None without an answer.
        score: the answer's probability among the best candidates; without an answer, the probability of "no answer".
        margin: the score of the best candidate minus the score of "no answer", in logits, to compare the answers from
            several contexts to the same question. Minus infinity if no token of the context can be an answer.
        top: the `top_k` best candidates, most probable first.
        input: the question and its context; None if the answer was not made by a model's call.
    """

    text: str | None
    start: int | None
    end: int | None
    score: float
    margin: float
    top: tuple[Candidate, ...] = ()
    input: QuestionInput | None = field(default=None, compare=False, repr=False)

    @property
    def truncated(self) -> bool:
        """Always False, since a context is read completely, in windows."""
        return False

    def to_json(self, given: QuestionInput | None = None) -> dict[str, Any]:
        """Return the answer as JSON values, as `predict` prints it; `given`, if not None, replaces `input`."""
        given = self.input if given is None else given
        values: dict[str, Any] = {"question": given and given["question"], "answer": self.text}
        values |= {"start": self.start, "end": self.end, "score": self.score}
        values["margin"] = self.margin if math.isfinite(self.margin) else None  # JSON has no infinity
        values["truncated"] = self.truncated
        if self.top:
            values["top"] = [
                {"answer": one.text, "start": one.start, "end": one.end, "score": one.score}
                for one in self.top
            ]
        return values


class Reader(WindowedModel[QuestionInput, Answer]):
    """A loaded reader. Call it with one or many questions and contexts.

    Several threads can call a reader at the same time.
    """

    tasks: ClassVar[tuple[str, ...]] = ("question-answering",)
    at_once: ClassVar[int] = 128  # the windows of a context, with their offsets, take memory
    call_options: ClassVar[tuple[str, ...]] = ("top_k",)

    def __init__(self, folder: Path, engine: EncoderEngine, tokenizer: "Tokenizer") -> None:
        """Make a model from `engine`, which runs the bundle in `folder`, and the bundle's tokenizer.

        Raises BundleError if the bundle can't split contexts into windows.
        """
        super().__init__(folder, engine, tokenizer)
        self._contract = _contract(engine.manifest)
        self._windows = WindowEncoder(
            self._tokenizer,
            engine.manifest.input,
            self._contract.stride,
            with_question=True,
            limits=self._limits,
        )
        self.no_answer_threshold = self._contract.no_answer_threshold

    @property
    def input_fields(self) -> tuple[str, ...]:
        """The names of an input's two texts, "question" and "context"."""
        return ("question", "context")

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """Return the number of outputs for each token: two logits, for the start and the end of an answer."""
        _contract(manifest)
        return 2

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is Iterable[str] too, and the first overload wins
        self, question: str, context: str, *, top_k: int | None = None
    ) -> Answer: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]  # so is a mapping
        self, question: QuestionInput, context: None = None, *, top_k: int | None = None
    ) -> Answer: ...

    @overload
    def __call__(
        self,
        question: str | Iterable[str] | Iterable[QuestionInput],
        context: str | Iterable[str] | None = None,
        *,
        top_k: int | None = None,
    ) -> list[Answer]: ...

    def __call__(
        self, question: Any, context: Any = None, *, top_k: int | None = None
    ) -> Answer | list[Answer]:
        """Answer one or many questions about one or many contexts.

        Args:
            question: a string, or several; or, without `context`, a mapping of "question" and "context", or several.
            context: a string, or several: one for each question, several for one question, or one for several
                questions.
            top_k: the number of candidates in `Answer.top`, at most 20; None for no candidates.

        Returns:
            One answer for two strings or for one mapping; otherwise a list of answers in the same order. Each answer is
            independent of the other inputs.

        Raises:
            InputError: a question or a context is not a string, blank or not Unicode, or a question is so long that it
                leaves no room for its context (`row` says which); or a wrong option.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        options = self._settle(top_k=top_k)
        if context is not None:
            question, single = _paired(question, context, self._limits)
        elif question is None or isinstance(question, str | bytes):
            raise InputError("give a question and a context, or mappings of both")
        else:
            single = isinstance(question, Mapping)
        return self._one(question, options) if single else self._many(question, options)

    def n_best(self, question: str, context: str, n: int = 5) -> tuple[Candidate, ...]:
        """Return the `n` best candidates, at most 20, most probable first, with "no answer" if the model can give it.

        Raises InputError for several questions or contexts, and the errors of a call.
        """
        if not isinstance(question, str) or not isinstance(context, str):
            raise InputError(
                "n_best takes one question and one context, each a string; for several call the reader with top_k"
            )
        return self(question, context, top_k=n).top

    def spans(self, inputs: Iterable[QuestionInput]) -> list[Spans]:
        """Return the best spans for each input, before any threshold is applied. Raises the errors of a call."""
        questions, found = self._listed(inputs), list[Spans]()
        for first in range(0, len(questions), self.at_once):
            asked = questions[first : first + self.at_once]
            encoded = [self._encode(given, row, None) for row, given in enumerate(asked, first)]
            outputs = self._run(encoded, first, None)
            found += [self._find(*one) for one in zip(asked, encoded, outputs, strict=True)]
        return found

    @property
    def longest_question(self) -> int:
        """The longest question, in tokens without special tokens, that leaves room for a context."""
        return self._windows.longest_question

    def _settle(self, *, top_k: int | None = None) -> int | None:
        if top_k is not None and (
            isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= N_BEST
        ):
            raise InputError(f"top_k must be a whole number from 1 to {N_BEST}, got {top_k!r}")
        return top_k

    def _encode(self, given: QuestionInput, row: int, _: Any) -> list[Window]:
        if not isinstance(given, Mapping) or not {"question", "context"} <= given.keys():
            raise InputError(
                f"input {row} must hold a question and a context, got {str(given)[:60]!r}", row=row
            )
        return self._windows.windows(given["context"], row, question=given["question"])

    def _decode(
        self, given: QuestionInput, encoded: list[Window], outputs: WindowOutputs, options: int | None
    ) -> Answer:
        spans = self._find(given, encoded, outputs)
        answer = read_answer(given["context"], spans, self.no_answer_threshold, top_k=options)
        return replace(answer, input=given)

    def _find(self, given: QuestionInput, windows: Sequence[Window], logits: WindowOutputs) -> Spans:
        longest = self._contract.max_answer_length
        return find_spans(given["context"], windows, logits, max_answer_length=longest)


def read_answer(context: str, spans: Spans, threshold: float | None, *, top_k: int | None = None) -> Answer:
    """Return the answer made from the best spans of a context, for the outputs of both PyTorch and ONNX.

    Args:
        context: the text in which the spans were found.
        spans: the best spans; empty if no token of the context can be an answer.
        threshold: the no-answer threshold, as in `Spans.answered`; None for models that always answer.
        top_k: the number of candidates in `Answer.top`; None for no candidates.
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
        raise BundleError('the manifest has no "questions", which question-answering needs; export it again')
    return manifest.questions


def _paired(question: Any, context: Any, limits: Limits) -> tuple[Any, bool]:
    """Return questions and contexts as a list of mappings, or as one mapping, and whether they are a single input.

    Raises InputError if the numbers of questions and contexts do not fit, or if there are more than `limits` allow.
    """
    if isinstance(question, str) and isinstance(context, str):
        return {"question": question, "context": context}, True
    questions = _listed(question, "questions", limits)
    contexts = _listed(context, "contexts", limits)
    if isinstance(question, str):
        questions = questions * len(contexts)
    if isinstance(context, str):
        contexts = contexts * len(questions)
    if len(questions) != len(contexts):
        raise InputError(
            f"got {len(questions)} questions and {len(contexts)} contexts; give the same number, or just one of either"
        )
    return [
        {"question": one, "context": other} for one, other in zip(questions, contexts, strict=True)
    ], False


def _listed(texts: Any, what: str, limits: Limits) -> list[str]:
    return [texts] if isinstance(texts, str) else listed(texts, what, limits=limits)
