"""The gate of bundles that generate text: what quantisation may cost, judged through the runtime that ships."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import (
    TokenRows,
    by_room,
    decode,
    generate_tokens,
    score_tokens,
)
from ftool_export.errors import ExportError
from ftool_export.examples.sampling import spread
from ftool_export.gate import ROUNDING, Verdict
from ftool_export.generator_comparing import ROWS_AT_ONCE, TokenScorer, compare_forced

_COARSE: Final = 32  # tokens
JUDGED: Final = 256  # examples at most; more of them tell little more, and torch takes a second for some


@dataclass(frozen=True, slots=True, kw_only=True)
class TextJudge:
    """Examples that were not trained on, and how answers to them are scored.

    Attributes:
        rows: the tokens of sources or prompts.
        metric: the name of the main metric, of which more is better.
        score: that metric of answers, one text a row, for the rows at the positions given with them; None for
            "token_accuracy", which goes by `targets`.
        targets: the tokens that are right, one answer a row; needed where `score` is None.
    """

    rows: TokenRows
    metric: str
    score: Callable[[Sequence[int], Sequence[str]], float] | None = None
    targets: TokenRows | None = None

    def __post_init__(self) -> None:
        if not self.rows:
            raise ExportError("no validation examples to judge the bundle by; name data that has some")
        if self.score is None and self.targets is None:
            raise ExportError("a judge needs a score for texts, or the tokens that are right")

    def positions(self, most: int = JUDGED) -> list[int]:
        """The examples that are used: at most so many, evenly spread."""
        return spread(range(len(self.rows)), most)


@dataclass(frozen=True, slots=True)
class Answers:
    """What torch and a bundle answer to the same rows: tokens, as each generates by the checkpoint's own settings."""

    rows: TokenRows
    reference: TokenRows
    bundle: TokenRows


def answer_both(loaded: LoadedGenerator, model: Any, rows: TokenRows, **changes: Any) -> Answers:
    """Generate with both, without sampling, so that there is one right answer.

    Where the context ends before the longest answer would, both end up to `_COARSE` - 1 tokens earlier: torch runs
    rows together that may become equally long, and every prompt of another length would be a run of its own.
    """
    reference: list[list[int]] = [[] for _ in rows]
    bundle: list[list[int]] = [[] for _ in rows]
    for room, places in rooms(loaded, rows).items():
        some = [rows[place] for place in places]
        given = {"do_sample": False, **({} if room is None else {"max_new_tokens": room}), **changes}
        pairs = zip(generate_tokens(loaded, some, **given), model.generate(some, **given), strict=True)
        for place, (theirs, ours) in zip(places, pairs, strict=True):
            reference[place], bundle[place] = theirs, list(ours.ids)
    return Answers(rows, reference, bundle)


def rooms(loaded: LoadedGenerator, rows: TokenRows) -> dict[int | None, list[int]]:
    """Rows by how many tokens their answers are given where the context decides, in steps of `_COARSE`; else None."""
    found: dict[int | None, list[int]] = {}
    for room, places in by_room(loaded, rows, loaded.generation_config).items():
        coarse = room - room % _COARSE if room is not None and room > _COARSE else room
        found.setdefault(coarse, []).extend(places)
    return found


def scores(
    loaded: LoadedGenerator, model: Any, judge: TextJudge, positions: Sequence[int], answers: Answers
) -> tuple[float, float]:
    """The judge's metric of torch and of the bundle on its rows at `positions`."""
    if judge.score is not None:
        texts = decode(loaded, answers.reference), decode(loaded, answers.bundle)
        return judge.score(positions, texts[0]), judge.score(positions, texts[1])
    assert judge.targets is not None
    targets = [judge.targets[position] for position in positions]
    reference = token_accuracy(partial(score_tokens, loaded), answers.rows, targets)
    return reference, token_accuracy(model.score_tokens, answers.rows, targets)


def token_accuracy(scorer: TokenScorer, rows: TokenRows, targets: TokenRows) -> float:
    """The share of right tokens that are the first choice, given the right ones before; all tokens count alike."""
    hits = 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = targets[start : start + ROWS_AT_ONCE]
        logits = scorer(rows[start : start + ROWS_AT_ONCE], some)
        hits += sum(int((row.argmax(-1) == np.asarray(t)).sum()) for row, t in zip(logits, some, strict=True))
    return hits / max(1, sum(map(len, targets)))


def judge_bundle(
    loaded: LoadedGenerator, model: Any, rows: TokenRows, *, judge: TextJudge | None, max_drop: float
) -> Verdict:
    """Compare a loaded bundle with torch.

    Args:
        loaded: the reference.
        model: the bundle, loaded by the runtime.
        rows: what both answer where there is no judge.
        judge: examples with right answers; None where there are none.
        max_drop: absolute loss of the metric that is allowed.

    Returns:
        The verdict; its `agreement` is that of tokens, each given torch's tokens before it.
    """
    positions = judge.positions() if judge else spread(range(len(rows)), JUDGED)
    answers = answer_both(
        loaded, model, [(judge.rows if judge else rows)[position] for position in positions]
    )
    forced = compare_forced(loaded, model.score_tokens, answers.rows, answers.reference)
    pair = scores(loaded, model, judge, positions, answers) if judge else None
    return Verdict(
        passed=pair is None or pair[0] - pair[1] <= max_drop + ROUNDING,
        judged=judge is not None,
        metric=judge.metric if judge else None,
        reference=pair[0] if pair else None,
        bundle=pair[1] if pair else None,
        max_drop=max_drop,
        examples=len(positions),
        agreement=forced.agreement,
        largest_difference=forced.probability_difference,
        compared="next tokens",
    )
