"""For whom the model works less well: metrics by slice of the data, and published bias benchmarks."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from markupsafe import Markup

from ftool.report.figures import count, interval, metric_name, plural, score
from ftool.report.folder_facts import FolderFacts, Found
from ftool.report.html_page import Section, fill
from ftool.report.plots import Whisker, whiskers
from ftool.report.sections.quality import value_axis

_SHOWN: Final = 20  # slices of a column; the best and the worst halves of more


def groups(facts: FolderFacts) -> Section | None:
    """Return the section; None if no slices and no bias benchmarks were measured."""
    own = [one for one in facts.evaluations if one not in facts.suites]
    columns = [part for one in own for part in _columns(facts, one)]
    if not columns and not facts.suites:
        return None
    body = fill(
        "groups",
        columns=columns,
        suites=[
            {"name": one["split"], "metrics": _metrics(one), "columns": list(_columns(facts, one))}
            for one in facts.suites
        ],
    )
    return Section(anchor="slices", title="Slices and bias", body=body)


def _columns(facts: FolderFacts, found: Found) -> Iterator[dict[str, Any]]:
    for name, report in found.get("slices", {}).items():
        metric = report["main_metric"]
        ranked = [
            one for one in report["slices"] if one["ranked"] and one["metrics"][metric]["value"] is not None
        ]
        yield {
            "name": name,
            "where": f"{facts.shown_on(found)}, {found['split']}",
            "metric": metric_name(metric),
            "chart": _chart(ranked, metric),
            "hidden": max(len(ranked) - _SHOWN, 0),
            "gap": _gap(report, metric),
            "rare": _rare(report),
        }


def _chart(ranked: list[Mapping[str, Any]], metric: str) -> Markup:
    if len(ranked) > _SHOWN:
        ranked = [*ranked[: _SHOWN // 2], *ranked[-_SHOWN // 2 :]]
    rows = []
    for one in ranked:
        found = one["metrics"][metric]
        ends = interval(found["low"], found["high"])
        rows.append(
            Whisker(
                name=one["value"],
                note=plural(one["examples"], "example"),
                value=found["value"],
                low=found["low"],
                high=found["high"],
                text=f"{score(found['value'])} ({ends})" if ends else score(found["value"]),
            )
        )
    return whiskers(rows, value_axis(rows, metric_name(metric))) if rows else Markup()


def _gap(report: Mapping[str, Any], metric: str) -> str:
    gap = report["widest_gaps"].get(metric)
    if gap is None:
        return "Fewer than two slices have enough examples to be compared."
    if gap["highest"] == gap["lowest"]:
        return "All slices are equal."
    ends = interval(gap["low"], gap["high"])
    verdict = "more than chance" if gap["beyond_chance"] else "no more than chance"
    return (
        f"Widest gap: {gap['highest']} lies {score(gap['gap'])} {f'({ends}) ' if ends else ''}above {gap['lowest']}, "
        f"{verdict} (p {gap['p_value']:.2g})."
    )


def _rare(report: Mapping[str, Any]) -> str:
    rare = [one for one in report["slices"] if not one["ranked"]]
    if not rare:
        return ""
    named = ", ".join(f"{one['value']} ({count(one['examples'])})" for one in rare[:_SHOWN])
    more = f" and {len(rare) - _SHOWN} more" if len(rare) > _SHOWN else ""
    return f"Fewer than {report['min_examples']} examples, so not ranked: {named}{more}."


def _metrics(found: Found) -> str:
    numbers = {
        name: value
        for name, value in found["metrics"].items()
        if isinstance(value, float) and 0 <= abs(value) <= 1
    }
    return "; ".join(f"{metric_name(name)} {score(value)}" for name, value in numbers.items())
