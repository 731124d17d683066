"""Quality on the test split: the main metric beside the baselines, all metrics with their intervals, other splits."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from ftool.evaluation.results import METRIC_NAMES, OF
from ftool.report.axes import Axis
from ftool.report.figures import count, interval, metric_name, percent, score
from ftool.report.folder_facts import TEST, FolderFacts, Found
from ftool.report.html_page import Section, fill, html_table
from ftool.report.plots import Whisker, whiskers

_COMMAND: Final = re.compile(r"`ftool ([a-z]+)((?: --[a-z-]+)*)`")


def quality(facts: FolderFacts) -> Section | None:
    """Return the section; None for a bundle on its own, which has no evaluations: its model card has the gate's."""
    if facts.model is None:
        return None
    run, bundle = facts.evaluation("run"), facts.evaluation("bundle")
    found = [one for one in (bundle, run) if one is not None]
    # Training knows whether the difference from a baseline is chance, so its verdict comes first.
    baselines = next((one["baselines"] for one in (run, bundle) if one and "baselines" in one), None)
    body = fill(
        "quality",
        found=found,
        chart=_chart(facts, found, baselines) if found else "",
        verdict=_verdict(facts, baselines, of_run=run is not None and "baselines" in run)
        if baselines
        else "",
        table=_table(facts, found) if found else "",
        others=_others(facts),
        missing=list(_missing(facts, run, bundle)),
        outdated=[facts.shown_on(one) for one in found if facts.outdated(one)],
        again=facts.command("evaluate"),
    )
    return Section(anchor="quality", title="Quality", body=body)


def _verdict(facts: FolderFacts, baselines: Mapping[str, Any], *, of_run: bool) -> str:
    """Return the verdict of the comparison with simple models, which names PyTorch if it is about run/.

    Commands in it name the model folder.
    """
    verdict = str(baselines["verdict"])
    verdict = verdict.replace("This model", "This model in PyTorch", 1) if of_run else verdict
    return _COMMAND.sub(lambda found: f"`{facts.command(found[1], *found[2].split())}`", verdict)


def value_with_interval(found: Found, metric: str) -> tuple[float | None, float | None, float | None]:
    """Return a metric of an evaluation with the ends of its interval, each None if it is unknown."""
    ends = found.get("intervals", {}).get(metric, {})
    return found["metrics"].get(metric), ends.get("low"), ends.get("high")


def value_axis(rows: Sequence[Whisker], title: str) -> Axis:
    """Return an axis for the rows that do not stand in the background, with their intervals.

    It need not begin at 0, so that intervals can be seen; a row in the background may lie beyond its end.
    """
    ends = [end for row in rows if not row.soft for end in (row.value, row.low, row.high) if end is not None]
    axis = Axis.linear(ends or [row.value for row in rows], title=title)
    if all(0 <= row.value <= 1 for row in rows):
        axis = Axis.linear([], title=title, low=max(axis.low, 0.0), high=min(axis.high, 1.0))
    return axis


def _chart(facts: FolderFacts, found: list[Found], baselines: Mapping[str, Any] | None) -> Markup:
    metric = facts.main_metric
    if metric is None:
        return Markup()
    rows = []
    for number, one in enumerate(found):
        value, low, high = value_with_interval(one, metric)
        if value is not None:
            name = facts.shown_on(one)
            rows.append(_row(f"this model: {name}", value, low, high, style=f"s{number + 1}"))
    for one in baselines["models"].values() if baselines else ():
        if one["value"] is not None:
            ends = (one["value"], one["low"], one["high"])
            rows.append(_row(one["title"], *ends, style="s6", soft=one["trivial"]))
    return whiskers(rows, value_axis(rows, metric_name(metric))) if rows else Markup()


def _row(
    name: str, value: float, low: float | None, high: float | None, *, style: str, soft: bool = False
) -> Whisker:
    ends = interval(low, high)
    text = f"{score(value)} ({ends})" if ends else score(value)
    return Whisker(name=name, value=value, low=low, high=high, text=text, style=style, soft=soft)


def _table(facts: FolderFacts, found: list[Found]) -> Markup:
    names = [name for name in METRIC_NAMES if any(name in one["metrics"] for one in found)]
    outputs = dict.fromkeys(
        name
        for one in found
        for name in one["metrics"]
        if OF in name and name.partition(OF)[0] in METRIC_NAMES
    )
    rows: list[list[Any]] = [["", *map(facts.shown_on, found)]]
    rows += [[metric_name(name), *(_cell(one, name) for one in found)] for name in (*names, *outputs)]
    rows.append(["examples", *(count(one["examples"]) for one in found)])
    return html_table(rows)


def _cell(found: Found, metric: str) -> tuple[str, str]:
    """Return a metric and its interval as a cell of a table."""
    value, low, high = value_with_interval(found, metric)
    return score(value) if metric in found["metrics"] else "", interval(low, high)


def _others(facts: FolderFacts) -> Markup:
    """Return a table of evaluations on other splits and other data."""
    metric = facts.main_metric
    seen = [*facts.further]
    validation = facts.training.get("validation")
    if validation and facts.evaluation("run", "validation") is None:
        seen.append(validation)
    rows: list[list[Any]] = [["", "measured", metric_name(metric or ""), "examples"]]
    for one in seen:
        if metric is None or metric not in one["metrics"]:
            continue
        where = f"{one['split']} of {one['data']}" if one.get("data") else one["split"]
        rows.append([where, facts.shown_on(one), _cell(one, metric), count(one["examples"])])
    return html_table(rows, words=(0, 1)) if len(rows) > 1 else Markup()


def _missing(facts: FolderFacts, run: Found | None, bundle: Found | None) -> Iterator[tuple[str, str]]:
    if run is None and bundle is None:
        yield "This model has not been measured.", facts.command("train")
    elif bundle is None and facts.manifest is not None:
        yield f"The bundle has not been measured on {TEST}.", facts.command("evaluate", "--on", "bundle")
    elif run is not None and "wrong" not in run and bundle is None:
        yield "Mistakes, confusions and calibration are not kept yet.", facts.command("evaluate")


def gate_sentence(facts: FolderFacts) -> str:
    """Return what the export's gate found on validation; "" without a bundle, or without labelled data."""
    gate = facts.manifest.evidence.get("gate", {}) if facts.manifest else {}
    if not gate.get("judged"):
        return ""
    return (
        f"When it was exported, {metric_name(gate['metric'])} on {count(gate['examples'])} validation examples was "
        f"{score(gate['reference'])} in PyTorch and {score(gate['bundle'])} in the bundle, and "
        f"{percent(gate['agreement'])} of the {gate['compared']} were the same."
    )
