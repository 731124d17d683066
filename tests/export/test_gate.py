"""What a verdict advises: the gate goes by the metric, parity by the answers too, and users hear of both at export."""

from dataclasses import replace

import pytest

from ftool_export.gate import Verdict, advise
from ftool_export.generator_tolerances import TOLERANCES

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


def advice(precision: str = "w8", **changes: float | bool) -> str | None:
    return advise(replace(VERDICT, **changes), precision, TOLERANCES[precision])


def test_a_good_bundle_needs_no_advice() -> None:
    assert advice() is None
    assert advice(agreement=0.97) is None  # the limit itself passes parity


def test_what_parity_would_fail_is_told_at_export() -> None:
    told = advice(agreement=0.906)
    assert told is not None
    assert "ftool parity would fail" in told
    assert "the same next tokens 90.6%" in told
    assert "no less than 97.0%; try --precision fp32" in told
    assert advice("int8", agreement=0.906) is None  # int8 is allowed 90%


def test_what_was_not_judged_is_told_beside_it() -> None:
    told = advice(judged=False, agreement=0.5)
    assert told is not None
    assert "was not judged" in told.splitlines()[0]
    assert "parity would fail" in told.splitlines()[1]


@pytest.mark.parametrize(("precision", "remedy"), [("int8", "--precision w8"), ("w8", "--precision fp32")])
def test_a_refusal_names_a_remedy(precision: str, remedy: str) -> None:
    told = advice(precision, passed=False)
    assert told is not None
    assert remedy in told
    assert "--max-drop" in told
