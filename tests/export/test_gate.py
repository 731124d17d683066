"""The gate's verdicts and advice: the metric decides, chance is allowed for, and parity's failures are foretold."""

from dataclasses import replace

import numpy as np
import pytest

from ftool_export.examples.comparison import BatchEffect, Comparison, Examination, ShapeDifference
from ftool_export.gate import Check, Verdict, advise, examination_checks, judge
from ftool_export.precision_plans import precision_plan
from ftool_export.tolerances import chance_agreement, metric_allowance, tolerance_for

VERDICT = Verdict(
    passed=True,
    judged=True,
    metric="rouge_lsum",
    reference=0.2,
    bundle=0.2,
    max_drop=0.01,
    examples=256,
    agreement=0.99,
    largest_difference=0.1,
    compared="next tokens",
)


class Counted:
    """Examples of which only how many answers differ is known: a stand-in for any task's."""

    kind = "labels"
    metric = "accuracy"
    cross_fitted = False

    batch_effect = 0.0
    grid: tuple[ShapeDifference, ...] = ()

    def __init__(self, examples: int, differing: int, lost: int = 0, metric: str | None = "accuracy") -> None:
        self.inputs, self.differing, self.lost, self.metric = ["text"] * examples, differing, lost, metric

    def compare(self, _loaded: object, _model: object) -> Comparison:
        count = len(self.inputs)
        return Comparison(
            examples=count,
            compared="answers",
            count=count,
            agreement=1 - self.differing / count,
            differing=self.differing,
            distances=np.full(count, 0.1),
            output_difference=0.1,
            scores=(0.9, 0.9 - self.lost / count) if self.metric else None,
        )

    def examine(
        self, _loaded: object, _model: object, comparison: Comparison, *, whole_answers: bool
    ) -> Examination:
        assert not whole_answers, "only an fp32 bundle must give torch's whole answers"
        return Examination(comparison=comparison, batch=BatchEffect(self.batch_effect), grid=self.grid)


def verdict_of(examples: Counted, precision: str = "int8", max_drop: float = 0.01) -> Verdict:
    return judge(None, None, examples, precision=precision, max_drop=max_drop)  # type: ignore[arg-type]


def test_a_loss_that_chance_explains_passes_the_gate_as_it_passes_parity() -> None:
    found = verdict_of(Counted(374, differing=5, lost=5))  # 0.0134, of which one standard error is 0.0060
    assert found.drop == pytest.approx(0.0134, abs=1e-4)
    assert found.passed
    assert found.allowance == metric_allowance(5, 374) == pytest.approx(5**0.5 / 374)
    assert not verdict_of(Counted(374, differing=8, lost=8)).passed  # 0.0214 > 0.01 + 0.0076


def test_the_allowance_shrinks_with_the_number_of_examples() -> None:
    assert not verdict_of(Counted(10_000, differing=134, lost=134)).passed


def test_a_verdict_without_labels_says_how_far_the_numbers_lie_apart() -> None:
    same = "same answers: 75.00% over 8 examples"
    assert str(verdict_of(Counted(8, differing=2, metric=None))) == f"{same}, largest difference 0.1000"
    assert str(verdict_of(Counted(8, differing=2))) == f"accuracy 0.9000 against 0.9000, {same}"


def test_a_verdict_says_if_its_scores_are_not_those_of_the_shipped_thresholds() -> None:
    examples = Counted(8, differing=2)
    assert not verdict_of(examples).to_json()["cross_fitted"]
    examples.cross_fitted = True
    found = verdict_of(examples)
    assert found.to_json()["cross_fitted"]
    assert str(found).startswith("accuracy 0.9000 against 0.9000 (cross-fitted), ")


def test_few_differing_answers_of_few_texts_prove_nothing() -> None:
    assert verdict_of(Counted(8, differing=1, metric=None)).drift == ()
    assert [check.name for check in verdict_of(Counted(8, differing=3, metric=None)).drift] == ["agreement"]
    far = Counted(500, differing=190, metric=None)  # 62%
    assert [check.name for check in verdict_of(far).drift] == ["agreement"]
    assert not verdict_of(far).passed
    assert judge(None, None, far, precision="int8", max_drop=0.01, allow_drift=True).passed  # type: ignore[arg-type]


def test_the_gate_refuses_what_only_parity_looked_at_before() -> None:
    examples = Counted(500, differing=0)
    examples.batch_effect = 0.01
    found = verdict_of(examples, "w8")
    assert ([check.name for check in found.drift], found.passed) == (["batch_effect"], False)
    assert found.depends_on_batch
    examples.batch_effect = 0.0
    examples.grid = (ShapeDifference("batch 3, length 24", 0.9),)  # a logit, which only fp32 limits
    assert verdict_of(examples, "w8").passed


def test_chance_agreement_is_the_binomial_quantile() -> None:
    # scipy.stats.binom.ppf(0.99, n, 0.05) is 2 of 8, 18 of 200 and 67 of 1000
    assert chance_agreement(0.95, 8) == pytest.approx(1 - 2 / 8)
    assert chance_agreement(0.95, 200) == pytest.approx(1 - 18 / 200)
    assert chance_agreement(0.95, 1000) == pytest.approx(1 - 67 / 1000)
    assert chance_agreement(0.9, 50_000) == pytest.approx(
        0.9 - 2.326 * (0.09 / 50_000) ** 0.5, abs=1e-4
    )  # normal
    assert chance_agreement(1.0, 8) == 1.0  # fp32 has nothing to leave to chance


def test_the_json_names_the_checks_that_parity_would_fail() -> None:
    assert verdict_of(Counted(500, differing=190, metric=None)).to_json()["drift"] == ["agreement"]
    assert verdict_of(Counted(500, differing=1, metric=None)).to_json()["drift"] == []


def advice(precision: str = "w8", **changes: object) -> str | None:
    closer = precision_plan(precision, "cuda" if precision == "fp16" else "cpu").closer
    return advise(replace(VERDICT, **changes), closer)  # type: ignore[arg-type]


def test_a_good_bundle_needs_no_advice() -> None:
    assert advice() is None


def test_the_remedy_for_embeddings_in_4_bits_is_8_bits() -> None:
    told = advise(replace(VERDICT, bundle=0.1), "w8", embedding_bits=4)
    assert told == "try --embedding-bits 8, or allow more with --max-drop"


def test_what_parity_would_fail_is_told_at_export() -> None:
    told = advice(drift=(Check("agreement", 0.906, 0.97, passed=False),))
    assert told is not None
    assert "ftool parity would fail" in told
    assert "agreement 0.906 (allowed 0.97); try --precision fp32, it was written as asked" in told


def test_what_was_not_judged_is_told_beside_it() -> None:
    told = advice(judged=False, drift=(Check("agreement", 0.5, 0.97, passed=False),))
    assert told is not None
    assert "was not measured" in told.splitlines()[0]
    assert "parity would fail" in told.splitlines()[1]


@pytest.mark.parametrize(
    ("precision", "remedy"),
    [
        ("fp16", "--precision fp32"),
        ("int8", "--precision w8"),
        ("w4", "--precision w8"),
        ("w8", "--precision fp32"),
    ],
)
def test_a_refusal_names_a_remedy(precision: str, remedy: str) -> None:
    told = advice(precision, passed=False, bundle=0.1)
    assert told is not None
    assert remedy in told
    assert "--max-drop" in told


def test_a_loss_that_may_be_chance_is_told() -> None:
    told = advice("int8", bundle=0.1833, allowance=0.01)
    assert told is not None
    assert "fell by 0.0167, more than --max-drop 0.01; on 256 examples that may be chance" in told


def test_outputs_that_are_no_numbers_fail() -> None:
    examples = Counted(500, differing=0)
    examples.grid = (ShapeDifference("batch 3, length 24", float("nan")),)
    found = examples.examine(None, None, examples.compare(None, None), whole_answers=False)
    assert np.isnan(found.output_difference)
    limit = tolerance_for("labels", "fp32")
    failed = [check.name for check in examination_checks(found, limit) if not check.passed]
    assert "max_difference" in failed
