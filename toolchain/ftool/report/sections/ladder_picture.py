"""The ladder of `ftool export --precision auto`: every candidate's accuracy against its latency, and the choice."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from markupsafe import Markup

from ftool.bench.scale import number
from ftool.report.axes import Axis
from ftool.report.figures import count, metric_name, plural, score, times
from ftool.report.html_page import Section, fill
from ftool.report.plots import Dot, Plot, Rule

Frontier = Mapping[str, Any]  # as `Frontier.to_json` of ftool.ladder returns it
Place = tuple[float, float, bool]  # a label's offset from its dot, across and down, and whether it ends there
Box = tuple[float, float, float, float]  # left, top, right and bottom, in pixels

_HEIGHT: Final = 360  # pixels
_WIDTHS: Final = (260.0, 420.0, 660.0)  # pixels: widths of the chart on which labels must not touch
_CHARACTER: Final = 7.2  # pixels, of a label
_LINE: Final = 15.0  # pixels
_DISTANCE: Final = 1.5  # square pixels of overlap that a label may have to be a pixel nearer to its dot
_CHOSEN, _QUALIFIES, _OTHER = "s3", "s1", "s6"


def ladder_picture(frontier: Frontier) -> Section:
    """Return the section."""
    numbered = _numbered(frontier)
    body = fill(
        "ladder_picture",
        metric=metric_name(frontier["metric"]),
        examples=plural(frontier["examples"], f"{frontier['split']} example"),
        level=percent_of_interval(frontier["limits"]["confidence"]),
        chart=_chart(frontier, numbered),
        below=[
            (one["title"], score(one["value"]))
            for one in _further(frontier)
            if one["value"] < _lowest(frontier)
        ],
        notes=frontier["notes"],
        rows=[_row(frontier, one, place) for place, one in numbered],
        reference=score(frontier["reference"]["value"]),
        columns=_columns(frontier),
        baselines=[(one["title"], score(one["value"])) for one in frontier["baselines"]],
    )
    return Section(anchor="ladder", title="Accuracy against speed", body=body)


def percent_of_interval(confidence: float) -> str:
    """Return the level of the two-sided interval whose upper end holds with this confidence, such as "90%"."""
    return f"{2 * confidence - 1:.0%}"


def _numbered(frontier: Frontier) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the candidates with numbers from 1, the fastest first; those without figures last."""
    known = sorted(frontier["candidates"], key=lambda one: one["latency_ms"] or math.inf)
    return list(enumerate(known, 1))


def _timed(one: Mapping[str, Any]) -> bool:
    return one["latency_ms"] is not None and one["score"] is not None and one["drop"] is not None


def _chart(frontier: Frontier, numbered: Sequence[tuple[int, Mapping[str, Any]]]) -> Markup:
    timed = [(place, one) for place, one in numbered if _timed(one)]
    if not timed:
        return Markup()
    reference, allowed = frontier["reference"]["value"], frontier["limits"]["max_drop"]
    rules = [
        Rule(name="PyTorch, fp32", y=reference, style="s2"),
        Rule(name=f"accurate enough: at most {allowed:g} below it", y=reference - allowed, style="soft-rule"),
    ]
    rules += [
        Rule(name=one["title"], y=one["value"], style="s5")
        for one in _further(frontier)
        if one["value"] >= _lowest(frontier)
    ]
    dots = [_dot(frontier, one) for _, one in timed]
    x = Axis.log([dot.x for dot in dots], title=f"latency ({_unit(frontier)}, logarithmic)")
    heights = [end for dot in dots for end in (dot.y, dot.low, dot.high) if end is not None]
    y = Axis.linear([*heights, *(rule.y for rule in rules)], title=metric_name(frontier["metric"]))
    chosen = [(f"{one['name']} (chosen)", _CHOSEN) for _, one in timed if _chosen(frontier, one)]
    return Plot(
        x=x,
        y=y,
        height=_HEIGHT,
        rules=rules,
        dots=sorted(
            _labelled(dots, [str(place) for place, _ in timed], x, y), key=lambda dot: dot.style == _CHOSEN
        ),  # the chosen one on top
        legend=[*chosen, ("keeps every limit", _QUALIFIES), ("misses a limit", _OTHER)],
        description="Accuracy of each candidate against its latency; the area of a dot is the size of its bundle",
    ).html()


def _further(frontier: Frontier) -> list[Mapping[str, Any]]:
    """Return the baselines that do not ignore their input."""
    return [one for one in frontier["baselines"] if not one["trivial"] and one["value"] is not None]


def _lowest(frontier: Frontier) -> float:
    """Return the lowest value that is drawn: a baseline far below would press all candidates into a line."""
    reference, allowed = frontier["reference"]["value"], frontier["limits"]["max_drop"]
    values = [one["score"]["value"] for one in frontier["candidates"] if _timed(one)]
    low, high = min([*values, reference - allowed]), max([*values, reference])
    return float(low - (high - low))


def _chosen(frontier: Frontier, one: Mapping[str, Any]) -> bool:
    return bool(one["name"] == frontier["chosen"])


def _dot(frontier: Frontier, one: Mapping[str, Any]) -> Dot:
    reference, drop = frontier["reference"]["value"], one["drop"]
    ends = (None, None)
    if drop["low"] is not None and drop["high"] is not None:
        ends = (reference - max(drop["value"], drop["high"]), reference - min(drop["value"], drop["low"]))
    return Dot(
        x=one["latency_ms"],
        y=one["score"]["value"],
        low=ends[0],
        high=ends[1],
        radius=round(max(3.5, 1.15 * one["size_mb"] ** 0.5), 1),
        style=_CHOSEN if _chosen(frontier, one) else _QUALIFIES if one["qualifies"] else _OTHER,
        title=(
            f"{one['name']}: {score(one['score']['value'])}, {number(one['latency_ms'])} ms, "
            f"{number(one['size_mb'])} MB"
        ),
    )


def _labelled(dots: Sequence[Dot], texts: Sequence[str], x: Axis, y: Axis) -> Iterator[Dot]:
    """Yield the dots with their labels, each where it covers least of other labels and dots.

    The chart is as wide as the page, so a place is judged on a narrow chart, a wide one, and one between them.
    """
    centres = [
        [(width * x.place(dot.x) / 100, _HEIGHT * (1 - y.place(dot.y) / 100)) for width in _WIDTHS]
        for dot in dots
    ]
    taken = [
        [(left - dot.radius, top - dot.radius, left + dot.radius, top + dot.radius) for left, top in places]
        for dot, places in zip(dots, centres, strict=True)
    ]
    for number_of, (dot, text) in enumerate(zip(dots, texts, strict=True)):
        wide = _CHARACTER * len(text)

        def cost(place: Place, at: int = number_of, wide: float = wide) -> float:
            boxes = [_box(*centre, place, wide) for centre in centres[at]]
            costs = (
                _cost(box, [one[level] for one in taken], _WIDTHS[level]) for level, box in enumerate(boxes)
            )
            return sum(costs) + _DISTANCE * abs(place[1])

        best = min(_places(dot.radius), key=cost)
        taken.append([_box(*centre, best, wide) for centre in centres[number_of]])
        across, down, before = best
        yield replace(dot, label=text, label_at=(across, down), label_before=before)


def _places(radius: float) -> list[Place]:
    """Return offsets of a label from its dot's centre, those to prefer first: (across, down, whether it ends there)."""
    near = radius + 4
    sides: list[Place] = [(near, 4.0, False), (-near, 4.0, True)]
    for step in range(1, 9):
        for sign in (-1, 1):
            down = 4.0 + sign * step * _LINE * 0.75
            sides += [(near, down, False), (-near, down, True)]
    return sides


def _box(left: float, top: float, place: Place, wide: float) -> Box:
    across, down, before = place
    start = left + across - (wide if before else 0)
    return start, top + down - _LINE + 3, start + wide, top + down + 3


def _cost(box: Box, others: Sequence[Box], width: float) -> float:
    """Return the area that a label would share with others, or would have outside a chart of this width."""
    left, top, right, bottom = box
    shared = sum(
        max(0.0, min(right, other[2]) - max(left, other[0]))
        * max(0.0, min(bottom, other[3]) - max(top, other[1]))
        for other in others
    )
    outside = max(0.0, -left) + max(0.0, right - width - 12) + max(0.0, -top) + max(0.0, bottom - _HEIGHT)
    return shared + 40 * outside


def _columns(frontier: Frontier) -> list[str]:
    """Return the names of the columns of figures; `_row` has a cell for each."""
    most = f"at most ({frontier['limits']['confidence']:.0%})"
    return [metric_name(frontier["metric"]), "lost", most, _unit(frontier), "faster", "MB", "texts/s"]


def _unit(frontier: Frontier) -> str:
    return "ms a token" if frontier["latency_of"] == "token" else "ms"


def _row(frontier: Frontier, one: Mapping[str, Any], place: int) -> dict[str, Any]:
    cells = [""] * 7
    if _timed(one):
        drop = one["drop"]
        most = "" if drop["high"] is None else f"{max(drop['value'], drop['high']):.4f}"
        cells = [
            score(one["score"]["value"]),
            f"{drop['value']:.4f}".replace("-", "−"),
            most,
            f"{one['latency_ms']:.2f}",
            "" if one["faster"] is None else times(one["faster"]),
            f"{one['size_mb']:.1f}",
            count(round(one["throughput_per_s"])),
        ]
    return {
        "number": place if _timed(one) else "",
        "name": one["name"],
        "cells": cells,
        "reason": one["reason"],
        "chosen": _chosen(frontier, one),
    }
