"""Every precision that a manifest can name has a plan, limits and a remedy, and no plan has another name."""

import pytest

from ftool_export.errors import ExportError
from ftool_export.precision_plans import PLANS, precision_plan
from ftool_export.tolerances import TOLERANCES
from ftool_runtime.bundle.precisions import PRECISIONS


def test_encoders_have_every_precision_and_generators_no_other() -> None:
    assert set(PLANS["encoder"]) == set(PRECISIONS)
    assert {name for plans in PLANS.values() for name in plans} == set(PRECISIONS)


@pytest.mark.parametrize(
    ("kind", "family"),
    [("labels", "encoder"), ("spans", "encoder"), ("vectors", "encoder"), ("text", "decoder")],
)
def test_every_precision_of_a_family_has_limits_for_its_kinds_of_answers(kind: str, family: str) -> None:
    assert {precision for known, precision in TOLERANCES if known == kind} == set(PLANS[family])


@pytest.mark.parametrize("family", PLANS)
def test_each_remedy_is_a_precision_of_the_family_and_the_last_is_fp32(family: str) -> None:
    for plan in PLANS[family].values():
        seen = 0
        while plan.closer is not None and (seen := seen + 1) <= len(PLANS[family]):
            plan = PLANS[family][plan.closer]
        assert plan.closer is None
        assert plan.quantize_products is None


def test_an_unknown_precision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ExportError, match="unknown precision 'int9'; choose one of fp32, fp16, int8"):
        precision_plan("int9", "cpu")
