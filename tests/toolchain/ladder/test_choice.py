"""The choice between candidates: limits, preference, the nearest candidate, and the reasons given."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftool.errors import ModelFolderError
from ftool.evaluation.confidence_intervals import Estimate
from ftool.ladder.candidates import check_judged_alike
from ftool.ladder.choice import Costs, cheapest, least_provable, nearest, rank
from ftool.ladder.rungs import Rung, try_4_bits
from ftool.recipe.sections import ExportRecipe


def rung(name: str, drop: Estimate | None) -> Rung:
    refused = drop is None
    return Rung(
        name=name,
        source="",
        precision=name,
        bundle=None if refused else Path(name),
        report=None,
        refusal="refused by the gate: agreement" if refused else None,
        score=None if drop is None else Estimate(0.9 - drop.value, 0.0, 1.0),
        drop=drop,
    )


def costs(latency: float, size: float, memory: float = 100.0) -> Costs:
    return Costs(latency_ms=latency, size_mb=size, memory_mb=memory, throughput_per_s=1.0)


RUNGS = [
    rung("fp32", Estimate(0.0, 0.0, 0.0)),
    rung("w4", Estimate(0.001, -0.002, 0.004)),
    rung("int8", Estimate(0.003, -0.001, 0.009)),
    rung("broken", None),
]
COSTS = {"fp32": costs(8.0, 90.0, 300.0), "w4": costs(4.0, 20.0, 170.0), "int8": costs(2.0, 24.0, 160.0)}


def chosen(**wanted: Any) -> str | None:
    limits = ExportRecipe(precision="auto", **wanted)
    found = cheapest(rank(RUNGS, COSTS, limits, 1000), limits)
    return found.rung.name if found else None


def misses(name: str, **wanted: Any) -> list[str]:
    ranked = rank(RUNGS, COSTS, ExportRecipe(precision="auto", **wanted), 1000)
    return [miss.text for one in ranked if one.rung.name == name for miss in one.misses]


def test_the_fastest_is_taken_whose_loss_is_surely_within_the_limit() -> None:
    assert chosen(max_drop=0.01) == "int8"
    assert chosen(max_drop=0.009) == "int8"
    assert chosen(max_drop=0.005) == "w4"  # int8 lost 0.003, but may lose 0.009
    assert chosen(max_drop=0) == "fp32"


def test_a_smaller_one_is_preferred_on_request() -> None:
    assert chosen(max_drop=0.01, prefer="size") == "w4"
    assert chosen(max_drop=0.01, prefer="memory") == "int8"


@pytest.mark.parametrize(
    ("wanted", "tried"),
    [
        ({}, False),
        ({"prefer": "size"}, True),
        ({"prefer": "memory"}, False),
        ({"embedding_bits": 4}, True),
        ({"max_size": 25.0}, False),  # small enough as it is
        ({"max_size": 24.0}, True),
        ({"max_size": 20.0}, True),
        ({"max_size": 19.0}, False),  # 24.4 MB less 4.5 MB is still too large
    ],
)
def test_4_bit_embeddings_are_tried_where_they_can_matter(wanted: dict[str, Any], tried: bool) -> None:
    limits = ExportRecipe(precision="auto", **wanted)
    proved = replace(RUNGS[2], report={"bytes": 24_400_000}, saved_by_4_bits=4_500_000)
    assert try_4_bits(proved, limits) is tried
    assert not try_4_bits(replace(proved, saved_by_4_bits=0), limits)
    assert not try_4_bits(RUNGS[-1], limits)  # refused by the gate


def test_limits_of_latency_and_size_hold_whatever_is_preferred() -> None:
    assert chosen(max_drop=0.01, max_size=22) == "w4"
    assert chosen(max_drop=0.01, prefer="size", max_latency=3) == "int8"
    assert chosen(max_drop=0.01, max_latency=1) is None


def test_one_that_the_gate_refused_is_never_taken() -> None:
    limits = ExportRecipe(precision="auto", max_drop=1)
    ranked = rank([RUNGS[-1]], {}, limits, 1000)
    assert cheapest(ranked, limits) is None
    assert nearest(ranked) is None
    assert misses("broken") == ["refused by the gate: agreement"]


def test_a_loss_without_an_interval_is_not_within_any_limit() -> None:
    limits = ExportRecipe(precision="auto", max_drop=1)
    ranked = rank([rung("one", Estimate(0.0, math.nan, math.nan))], {"one": costs(1, 1)}, limits, 1)
    assert cheapest(ranked, limits) is None


def test_the_nearest_misses_fewest_limits_and_those_by_least() -> None:
    ranked = rank(RUNGS, COSTS, ExportRecipe(precision="auto", max_drop=0.005, max_latency=3), 1000)
    found = nearest(ranked)
    assert found is not None
    assert found.rung.name == "w4"  # 4 ms of 3; int8 misses 0.005 by 80%
    ranked = rank(RUNGS, COSTS, ExportRecipe(precision="auto", max_drop=0.005, max_latency=1), 1000)
    found = nearest(ranked)
    assert found is not None
    assert found.rung.name == "w4"  # int8 misses two limits


def test_what_is_missed_is_said_with_figures_and_with_the_examples_that_would_tell() -> None:
    assert misses("int8", max_drop=0.005, max_size=20, max_latency=1) == [
        "may lose 0.0090, more than --max-drop 0.005; it lost 0.0030, and about 9,000 examples would tell",
        "takes 2.00 ms, more than --max-latency 1",
        "has 24.00 MB, more than --max-size 20",
    ]
    assert misses("int8", max_drop=0.002) == ["may lose 0.0090, more than --max-drop 0.002"]


def test_equal_answers_to_few_examples_leave_a_loss_possible() -> None:
    assert least_provable(300, 0.95) == pytest.approx(3 / 300, rel=0.01)  # the rule of three


def test_the_time_of_a_model_that_writes_is_that_of_a_token() -> None:
    engine = {
        "latency_ms": {"p50": 80.0},
        "size_mb": 1.0,
        "peak_memory_mb": 1.0,
        "throughput_per_s": 1.0,
    }
    assert Costs.of(engine, None).latency_ms == 80.0
    assert Costs.of({**engine, "tokens_per_s": 500.0}, None).latency_ms == 2.0


def source(name: str, *, tuned: bool, cross_fitted: bool) -> Any:
    loaded, examples = (
        SimpleNamespace(has_tuned_numbers=tuned),
        SimpleNamespace(cross_fitted=cross_fitted),
    )
    return SimpleNamespace(name=name, loaded=loaded, examples=examples)


@pytest.mark.parametrize("known", [True, False])
def test_models_whose_thresholds_are_known_and_not_known_to_fit_validation_are_not_compared(
    *, known: bool
) -> None:
    first, second = (source(name, tuned=True, cross_fitted=name == "one") for name in ("one", "two"))
    with pytest.raises(ModelFolderError, match="two has thresholds"):
        check_judged_alike(*((first, second) if known else (second, first)))
    check_judged_alike(first, source("three", tuned=False, cross_fitted=False))
    check_judged_alike(first, source("four", tuned=True, cross_fitted=True))
