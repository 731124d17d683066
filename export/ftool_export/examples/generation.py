"""Examples for generators: sources or prompts, and the comparison and scoring of generated answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import (
    TokenRows,
    decode,
    generate_tokens,
    group_by_room,
    score_tokens,
    tokenize_sources,
)
from ftool_export.errors import ExportError
from ftool_export.examples.base import AnswerKind, spread
from ftool_export.examples.comparison import BatchEffect, Comparison, Examination, LatencyCall, SameAnswers
from ftool_export.tokenizers.texts import sample_inputs
from ftool_export.tolerances import share_error
from ftool_runtime.numerics import softmax

TIE: Final = 1e-4  # if the two best logits are this close, another order of summation may swap them
_ROWS_AT_ONCE: Final = 16  # a row's logits take much memory: answer length times vocabulary
_COARSE: Final = 32  # tokens to which the limits on answers are rounded down
_SINGLE: Final = 32  # rows that are answered both in batches and one at a time
_BATCH_TOKENS: Final = 32  # of each of these answers
_BEAMS: Final = 4
_SAMPLE: Final = 16  # rows on which two graphs are compared number by number
_TIMED_INPUTS: Final = 3  # inputs on which latency is measured
_TIMED_TOKENS: Final = 32  # the most tokens of an answer that is timed
MOST_COMPARED: Final = 200  # inputs; more add little, and torch takes up to a second for each

# Computes the logits that predict each token of given answers to rows: float32 (tokens, vocabulary) per row.
TokenScorer = Callable[[TokenRows, TokenRows], Sequence[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Answers:
    """Token ids of `rows`, of PyTorch's answers to them (`reference`) and of a model's answers (`model`)."""

    rows: TokenRows
    reference: TokenRows
    model: TokenRows


@dataclass(frozen=True, kw_only=True)
class GenerationExamples:
    """Sources or prompts for a generator.

    Attributes:
        inputs: token ids, one list per source or prompt.
        metric: the main metric's name; None for inputs without reference answers.
        scorer: a function that computes the metric from the positions of some inputs and the texts of the answers to
            these inputs, one answer each; None for the metric "token_accuracy", which needs `targets` instead.
        uncertainty: a function that computes one standard error of the difference between the scores of two lists of
            answers, from the inputs' positions and both lists; None for a rough estimate.
        targets: token ids of one reference answer per input.
        most: the largest number of inputs to compare; if there are more inputs, `most` at even distances are compared.
        options: fields of the checkpoint's generation config to change, such as num_beams; sampling is always off.
    """

    kind: ClassVar[AnswerKind] = "text"
    cross_fitted: ClassVar[bool] = False  # no numbers are tuned for generators
    inputs: TokenRows
    metric: str | None = None
    scorer: Callable[[Sequence[int], Sequence[str]], float] | None = None
    uncertainty: Callable[[Sequence[int], Sequence[str], Sequence[str]], float] | None = None
    targets: TokenRows | None = None
    most: int = MOST_COMPARED
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    _torch: list[tuple[LoadedGenerator, int, TokenRows]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.metric is not None and not self.inputs:
            raise ExportError("no validation examples to measure the bundle on; name data that has some")
        if self.metric is not None and self.scorer is None and self.targets is None:
            raise ExportError(
                f"{self.metric} needs a scorer for texts, or the tokens of the reference answers"
            )

    @property
    def positions(self) -> list[int]:
        """The positions in `inputs` of the inputs that are compared."""
        return spread(range(len(self.inputs)), self.most)

    def compare(self, loaded: LoadedGenerator, model: Any) -> Comparison:
        """Compare a model's answers with PyTorch's, and the logits of both for the tokens of PyTorch's answers."""
        beams = self.options.get("num_beams") or loaded.generation_config.num_beams or 1
        answers = self._answers(loaded, model, beams)
        comparison = compare_forced(loaded, model.score_tokens, answers.rows, answers.reference)
        differing = sum(list(a) != list(b) for a, b in zip(answers.reference, answers.model, strict=True))
        scores, error = self._scores(loaded, model, answers)
        return replace(comparison, scores=scores, score_error=error, differing=differing)

    def examine(
        self, loaded: LoadedGenerator, model: Any, comparison: Comparison, *, whole_answers: bool = True
    ) -> Examination:
        """Compare answers by greedy decoding and by beam search, and logits during generation with caches.

        The model's answers to inputs run singly are also compared with its answers to inputs run in batches.
        See `Examples.examine`.
        """
        effect, same = self.batch_effect(model), {}
        if whole_answers:
            greedy, beams = self._answers(loaded, model, 1), self._answers(loaded, model, _BEAMS)
            same = {
                "greedy": _same_answers(loaded, greedy, _greedy_tie),
                "beams": _same_answers(loaded, beams, _beam_tie),
            }
            steps = _step_difference(loaded, model, greedy)
            comparison = replace(
                comparison, output_difference=float(np.maximum(comparison.output_difference, steps))
            )
        return Examination(comparison=comparison, batch=effect, whole_answers=same)

    def latency_call(self, model: Any) -> LatencyCall:
        """Return a call that answers one input with at most 32 tokens. See `Examples.latency_call`."""

        def answer(row: Sequence[int]) -> Any:
            return model.generate([row], max_new_tokens=_TIMED_TOKENS, do_sample=False)

        note = f"an answer of at most {_TIMED_TOKENS} tokens, one at a time, on the exporting machine"
        return LatencyCall(answer, self.inputs[:_TIMED_INPUTS], 2, note)

    def batch_effect(self, model: Any) -> BatchEffect:
        """Answer up to 32 inputs in batches and singly, and compare the two answers to each.

        The change of a next token's probability is measured while the preceding tokens of both answers are the same.
        """
        rows = spread(self.inputs, _SINGLE)
        generate = partial(
            model.generate,
            do_sample=False,
            num_beams=1,
            keep_logits=True,
            max_new_tokens=_BATCH_TOKENS,
            prompt_lookup_num_tokens=0,  # with prompt lookup rows run singly
        )
        changed, largest = 0, 0.0
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            for row, batched in zip(some, generate(some), strict=True):
                single = generate([row])[0]
                changed += list(single.ids) != list(batched.ids)
                compared = _common(single.ids, batched.ids) + 1
                difference = softmax(single.logits[:compared]) - softmax(batched.logits[:compared])
                largest = float(np.maximum(largest, np.abs(difference).max(initial=0.0)))
        return BatchEffect(largest, changed)

    def numbers(self, model: Any, answers: Any = None) -> tuple[list[NDArray[np.float32]], Any]:
        """Return a model's logits for each token of answers to up to 16 inputs, and the token ids of these answers.

        If `answers` is None, the model generates them greedily; otherwise the model scores the given answers.

        See `Examples.numbers`.
        """
        rows = spread(self.inputs, _SAMPLE)
        if answers is None:
            answers = _generated(model, rows, do_sample=False, num_beams=1)
        return [logits for logits in model.score_tokens(rows, answers) if len(logits)], answers

    def _answers(self, loaded: LoadedGenerator, model: Any, beams: int) -> Answers:
        """Return PyTorch's and the model's answers to the compared inputs; PyTorch's are generated only once."""
        rows, options = (
            [self.inputs[position] for position in self.positions],
            {**self.options, "num_beams": beams},
        )
        found = [answers for known, width, answers in self._torch if known is loaded and width == beams]
        if not found:
            found = [answers_of(partial(generate_tokens, loaded), loaded, rows, options)]
            self._torch[:] = [entry for entry in self._torch if entry[0] is loaded]
            self._torch.append((loaded, beams, found[0]))
        return Answers(rows, found[0], answers_of(partial(_generated, model), loaded, rows, options))

    def _scores(
        self, loaded: LoadedGenerator, model: Any, answers: Answers
    ) -> tuple[tuple[float, float] | None, float | None]:
        """Return the scores of PyTorch's and the model's answers, and one standard error of their difference."""
        if self.metric is None:
            return None, None
        if self.scorer is not None:
            one, two = decode(loaded, answers.reference), decode(loaded, answers.model)
            scores = self.scorer(self.positions, one), self.scorer(self.positions, two)
            return scores, None if self.uncertainty is None else self.uncertainty(self.positions, one, two)
        assert self.targets is not None
        targets = [self.targets[position] for position in self.positions]
        hits = [
            token_hits(scorer, answers.rows, targets)
            for scorer in (partial(score_tokens, loaded), model.score_tokens)
        ]
        tokens = np.array([len(row) for row in targets])
        first, second = (float(found.sum() / max(1, tokens.sum())) for found in hits)
        return (first, second), share_error(hits[0] - hits[1], tokens)


def sample_examples(loaded: LoadedGenerator) -> GenerationExamples:
    """Make examples from ftool's own texts, without reference answers; a prompt takes at most half of the context."""
    if loaded.family == "decoder":
        loaded = replace(loaded, max_length=max(1, loaded.max_length // 2))
    return GenerationExamples(inputs=tokenize_sources(loaded, sample_inputs(("text",), loaded.reads)))


def answers_of(
    generate: Callable[..., TokenRows], loaded: LoadedGenerator, rows: TokenRows, changes: Mapping[str, Any]
) -> TokenRows:
    """Return the answers to `rows` that the function `generate` gives without sampling.

    If the context limits the length of an answer, the limit is rounded down to a multiple of `_COARSE` tokens. PyTorch
    answers rows with the same limit in one batch; without rounding, prompts of each length would need their own batch.
    """
    answers: list[Sequence[int]] = [[] for _ in rows]
    for room, places in _rounded_rooms(loaded, rows).items():
        given = {"do_sample": False, **({} if room is None else {"max_new_tokens": room}), **changes}
        for place, ids in zip(places, generate([rows[place] for place in places], **given), strict=True):
            answers[place] = list(ids)
    return answers


def _generated(model: Any, rows: TokenRows, **options: Any) -> TokenRows:
    return [list(row.ids) for row in model.generate(rows, **options)]


def _rounded_rooms(loaded: LoadedGenerator, rows: TokenRows) -> dict[int | None, list[int]]:
    """Return the positions in `rows`, grouped by the limit that the context sets on the length of the answer.

    Limits above `_COARSE` are rounded down to multiples of `_COARSE`; None means no limit.
    """
    found: dict[int | None, list[int]] = {}
    for room, places in group_by_room(loaded, rows, loaded.generation_config).items():
        coarse = room - room % _COARSE if room is not None and room > _COARSE else room
        found.setdefault(coarse, []).extend(places)
    return found


def compare_forced(
    loaded: LoadedGenerator, scorer: TokenScorer, rows: TokenRows, answers: TokenRows
) -> Comparison:
    """Compare a model's and PyTorch's logits for each token of given answers, one per row; skip empty answers.

    In the result `scores` is None and `differing` is 0, because no whole answers are compared. Tokens that differ while
    PyTorch's two best logits differ by at most `TIE` are counted in `ties`, and count as the same in `agreement`.
    """
    kept = [position for position, answer in enumerate(answers) if answer]
    distances = np.zeros(len(rows))
    tokens = same = ties = 0
    largest = 0.0
    for start in range(0, len(kept), _ROWS_AT_ONCE):
        chunk = kept[start : start + _ROWS_AT_ONCE]
        some, given = [rows[position] for position in chunk], [answers[position] for position in chunk]
        pairs = zip(chunk, score_tokens(loaded, some, given), scorer(some, given), strict=True)
        for position, reference, other in pairs:
            agree = reference.argmax(-1) == other.argmax(-1)
            tied = ~agree & (margin(reference) <= TIE)
            tokens += len(agree)
            same += int((agree | tied).sum())
            ties += int(tied.sum())
            largest = float(np.maximum(largest, np.abs(reference - other).max()))
            distances[position] = float(np.abs(softmax(reference) - softmax(other)).max())
    return Comparison(
        examples=len(rows),
        compared="next tokens",
        count=tokens,
        agreement=same / tokens if tokens else 1.0,
        differing=0,
        distances=distances,
        output_difference=largest,
        scores=None,
        ties=ties,
    )


def token_accuracy(scorer: TokenScorer, rows: TokenRows, targets: TokenRows) -> float:
    """Return the share of target tokens that the model predicts as the next token after the preceding target tokens."""
    return float(token_hits(scorer, rows, targets).sum() / max(1, sum(map(len, targets))))


def token_hits(scorer: TokenScorer, rows: TokenRows, targets: TokenRows) -> NDArray[np.int64]:
    """Return for each row the number of target tokens that the model predicts, as in `token_accuracy`: (rows,)."""
    hits: list[int] = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = targets[start : start + _ROWS_AT_ONCE]
        logits = scorer(rows[start : start + _ROWS_AT_ONCE], some)
        hits += [int((row.argmax(-1) == np.asarray(t)).sum()) for row, t in zip(logits, some, strict=True)]
    return np.array(hits, dtype=np.int64)


def margin(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the difference between the two largest logits of each row, float32 (rows,)."""
    two = np.partition(logits, -2, axis=-1)[:, -2:]
    difference: NDArray[np.float32] = two[:, 1] - two[:, 0]
    return difference


def _step_difference(loaded: LoadedGenerator, model: Any, greedy: Answers) -> float:
    """Return the largest difference between PyTorch's logits and the model's logits during generation with caches.

    Only inputs with the same answer by both are compared, because logits after different tokens are not comparable.
    """
    largest = 0.0
    for start in range(0, len(greedy.rows), _ROWS_AT_ONCE):
        rows = greedy.rows[start : start + _ROWS_AT_ONCE]
        expected = greedy.reference[start : start + _ROWS_AT_ONCE]
        generated = model.generate(rows, num_beams=1, do_sample=False, keep_logits=True)
        same = [
            place for place, row in enumerate(generated) if list(row.ids) == list(expected[place]) and row.ids
        ]
        scored = score_tokens(loaded, [rows[place] for place in same], [expected[place] for place in same])
        for place, logits in zip(same, scored, strict=True):
            largest = float(np.maximum(largest, np.abs(generated[place].logits - logits).max()))
    return largest


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the number of tokens before the first difference between two answers."""
    differing = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))


def _same_answers(loaded: LoadedGenerator, both: Answers, tied: Callable[..., bool]) -> SameAnswers:
    """Count the inputs with the same answer from model and PyTorch, and the other inputs for which `tied` is True."""
    trios = zip(both.rows, both.reference, both.model, strict=True)
    differing = [trio for trio in trios if list(trio[1]) != list(trio[2])]
    ties = sum(tied(loaded, *trio) for trio in differing)
    return SameAnswers(answers=len(both.rows), same=len(both.rows) - len(differing), ties=ties)


def _greedy_tie(
    loaded: LoadedGenerator, row: Sequence[int], reference: Sequence[int], other: Sequence[int]
) -> bool:
    """Return whether PyTorch's two best logits differ by at most `TIE` at the first difference between two answers."""
    place = _common(reference, other)
    if place >= len(reference):
        return False
    logits = score_tokens(loaded, [row], [reference[: place + 1]])[0]
    return bool(margin(logits)[place] <= TIE)


def _beam_tie(
    loaded: LoadedGenerator, row: Sequence[int], reference: Sequence[int], other: Sequence[int]
) -> bool:
    """Return whether PyTorch's beam scores of two answers differ by at most `TIE`."""
    scored = [_beam_score(loaded, row, answer) for answer in (reference, other)]
    return abs(scored[0] - scored[1]) <= TIE


def _beam_score(loaded: LoadedGenerator, row: Sequence[int], answer: Sequence[int]) -> float:
    logits = score_tokens(loaded, [row], [answer])[0]
    chosen = softmax(logits)[np.arange(len(answer)), list(answer)]
    penalty = loaded.generation_config.length_penalty
    return float(np.log(chosen).sum() / len(answer) ** (1.0 if penalty is None else penalty))
