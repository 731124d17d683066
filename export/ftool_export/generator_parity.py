"""Whether a bundle that generates text is its torch reference: its tokens, its logits, alone and in company."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import ftool_runtime as ft
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import TokenRows, score_tokens
from ftool_export.errors import ExportError
from ftool_export.examples.sampling import spread
from ftool_export.generator_comparing import ROWS_AT_ONCE, TIE, compare_forced, margin, softmax
from ftool_export.generator_gate import Answers, TextJudge, answer_both, scores
from ftool_export.generator_parity_report import GenerationParityReport, SameAnswers
from ftool_export.generator_tolerances import TOLERANCES
from ftool_export.parity_report import MetricPair, made_from
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest

COMPARED: Final = 200  # examples that both answer
_ALONE: Final = 32  # of them that are also asked alone
_BEAMS: Final = 4


def parity(
    loaded: LoadedGenerator,
    bundle: Path,
    rows: TokenRows,
    *,
    judge: TextJudge | None = None,
    max_drop: float | None = None,
    examples: int = COMPARED,
) -> GenerationParityReport:
    """Compare a bundle with the checkpoint it was made from.

    Both generate greedily and with four beams. An fp32 bundle must give torch's tokens; where it differs, torch's own
    two best logits (or, for beams, the scores of the two answers) must lie within 1e-4, and each such place is
    counted. A quantised bundle must choose torch's token nearly always, each token given torch's before it, and keep
    the metric.

    Args:
        loaded: the checkpoint.
        bundle: a bundle folder.
        rows: tokens of sources or prompts; the judge's where there is a judge.
        judge: examples with right answers; None where there are none.
        max_drop: loss of the metric allowed to a quantised bundle, in place of the precision's tolerance.
        examples: how many rows at most are compared, evenly spread.

    Raises:
        BundleError: a file of the bundle is altered, or the bundle can't be loaded.
        ExportError: there are no rows, or the two are not the same model.
    """
    rows = judge.rows if judge else rows
    if not rows:
        raise ExportError("parity needs examples to compare on; name some with --data")
    manifest = Manifest.read(bundle)
    check_hashes(bundle, manifest)
    _check_same_model(loaded, manifest, bundle)
    positions = spread(range(len(rows)), examples)
    some = [rows[position] for position in positions]
    with ft.load(bundle) as model:
        greedy = answer_both(loaded, model, some, num_beams=1)
        beams = answer_both(loaded, model, some, num_beams=_BEAMS)
        differences = _differences(loaded, model, greedy)
        pair = scores(loaded, model, judge, positions, greedy) if judge else None
    return GenerationParityReport(
        precision=manifest.precision.name,
        same_weights=made_from(manifest, loaded.model),
        examples=len(some),
        **differences,
        greedy=_same(loaded, greedy, _greedy_tie),
        beams=_same(loaded, beams, _beam_tie),
        metric=_metric(judge, pair, greedy),
        tolerance=TOLERANCES[manifest.precision.name].with_drop(max_drop),
    )


def _differences(loaded: LoadedGenerator, model: Any, greedy: Answers) -> dict[str, Any]:
    """Of tokens, logits and probabilities along torch's greedy answers, as the report's fields have them."""
    forced = compare_forced(loaded, model.score_tokens, greedy.rows, greedy.reference)
    steps = _step_difference(loaded, model, greedy.rows, greedy.reference)
    company, probability = _company(model, greedy.rows, greedy.bundle)
    return {
        "tokens": forced.tokens,
        "agreement": forced.agreement,
        "ties": forced.ties,
        "logit_difference": max(forced.logit_difference, steps),
        "probability_difference": forced.probability_difference,
        "company": company,
        "batch_effect": probability,
    }


def _check_same_model(loaded: LoadedGenerator, manifest: Manifest, bundle: Path) -> None:
    if manifest.generation is None or manifest.generation.family != loaded.family:
        raise ExportError(
            f"{bundle} is for {manifest.task} and its checkpoint for {loaded.task}: export again"
        )
    if manifest.input.max_length != loaded.max_length or manifest.input.prefix != loaded.prefix:
        raise ExportError(
            f"{bundle} reads other sources than its checkpoint (length or prefix): export again"
        )


def _step_difference(loaded: LoadedGenerator, model: Any, rows: TokenRows, reference: TokenRows) -> float:
    """The largest difference of a logit from torch's while the bundle itself generates, step by step on its caches.

    Answers that part from torch's are left out: from there on the two are asked different things.
    """
    largest = 0.0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some, wanted = rows[start : start + ROWS_AT_ONCE], reference[start : start + ROWS_AT_ONCE]
        made = model.generate(some, num_beams=1, do_sample=False, keep_logits=True)
        same = [place for place, row in enumerate(made) if list(row.ids) == list(wanted[place]) and row.ids]
        scored = score_tokens(loaded, [some[place] for place in same], [wanted[place] for place in same])
        for place, logits in zip(same, scored, strict=True):
            largest = max(largest, float(np.abs(made[place].logits - logits).max()))
    return largest


def _company(model: Any, rows: TokenRows, answers: TokenRows) -> tuple[int, float]:
    """How many answers change between a row alone and in company, and the largest change of a probability."""
    chosen = spread(range(len(rows)), _ALONE)
    some, given = [rows[place] for place in chosen], [answers[place] for place in chosen]
    changed = sum(
        tuple(model.generate([row], do_sample=False, num_beams=1)[0].ids) != tuple(answer)
        for row, answer in zip(some, given, strict=True)
    )
    largest = 0.0
    for row, answer, together in zip(some, given, model.score_tokens(some, given), strict=True):
        alone = model.score_tokens([row], [answer])[0]
        if len(answer):
            largest = max(largest, float(np.abs(softmax(alone) - softmax(together)).max()))
    return changed, largest


def _same(loaded: LoadedGenerator, both: Answers, tied: Callable[..., bool]) -> SameAnswers:
    """Answers that are the same, and those that differ where torch itself had no preference, as `tied` says."""
    trios = zip(both.rows, both.reference, both.bundle, strict=True)
    differing = [trio for trio in trios if list(trio[1]) != list(trio[2])]
    ties = sum(tied(loaded, *trio) for trio in differing)
    return SameAnswers(answers=len(both.rows), same=len(both.rows) - len(differing), ties=ties)


def _greedy_tie(
    loaded: LoadedGenerator, row: Sequence[int], ours: Sequence[int], theirs: Sequence[int]
) -> bool:
    """Whether torch's two best logits lie within `TIE` where the answers part."""
    place = next(
        (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
    )
    if place >= len(ours):
        return False
    logits = score_tokens(loaded, [row], [ours[: place + 1]])[0]
    return bool(margin(logits)[place] <= TIE)


def _beam_tie(
    loaded: LoadedGenerator, row: Sequence[int], ours: Sequence[int], theirs: Sequence[int]
) -> bool:
    """Whether torch gives both answers the same score, up to `TIE`."""
    scored = [_beam_score(loaded, row, answer) for answer in (ours, theirs)]
    return abs(scored[0] - scored[1]) <= TIE


def _beam_score(loaded: LoadedGenerator, row: Sequence[int], answer: Sequence[int]) -> float:
    logits = score_tokens(loaded, [row], [answer])[0]
    chosen = softmax(logits)[np.arange(len(answer)), list(answer)]
    penalty = loaded.generation_config.length_penalty
    return float(np.log(chosen).sum() / len(answer) ** (1.0 if penalty is None else penalty))


def _metric(judge: TextJudge | None, pair: tuple[float, float] | None, greedy: Answers) -> MetricPair | None:
    if judge is None or pair is None:
        return None
    # An answer that differs changes an average by at most one part in n, and their signs are nearly random.
    differing = sum(list(a) != list(b) for a, b in zip(greedy.reference, greedy.bundle, strict=True))
    return MetricPair(judge.metric, *pair, math.sqrt(differing) / len(greedy.rows))
