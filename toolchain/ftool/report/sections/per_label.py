"""Quality label by label, and which labels are confused with which."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from ftool.report.figures import count, metric_name, percent
from ftool.report.folder_facts import FolderFacts, Found
from ftool.report.html_page import Section, fill, html_table

_MATRIX: Final = 20  # the most labels whose confusions are drawn as a matrix
_HARDEST: Final = 20
_PAIRS: Final = 12
_DEEP: Final = 0.55  # from this share on, a cell is too dark for dark text


def per_label(facts: FolderFacts) -> Section | None:
    """Return the section; None if the model gives no labels, or was not measured."""
    found = facts.best_told
    if found is None or "per_class" not in found["metrics"]:
        return None
    ranked = sorted(
        ((label, row) for label, row in found["metrics"]["per_class"].items() if row["support"]),
        key=lambda one: (one[1]["f1"], one[0]),
    )
    matrix, labels = found["metrics"].get("confusion_matrix"), found["metrics"].get("labels", ())
    small = matrix is not None and len(labels) <= _MATRIX
    body = fill(
        "per_label",
        shown_on=facts.shown_on(found),
        split=found["split"],
        hardest=ranked[:_HARDEST],
        rest=ranked[_HARDEST:],
        all=len(ranked) <= _HARDEST,
        matrix=_matrix(matrix, labels) if small and matrix else "",
        pairs=Markup() if small else _pairs(found, matrix, labels),
        labels=len(labels),
        many=matrix is not None,
    )
    return Section(anchor="labels", title="Labels and confusions", body=body)


def confused_pairs(
    matrix: Sequence[Sequence[int]], labels: Sequence[str]
) -> list[tuple[str, str, int, float]]:
    """Return (label, answer, examples, share of the label's examples) of a matrix's confusions, most frequent first.

    `matrix` has a row for each label and a column for each answer.
    """
    found = [
        (labels[truth], labels[answer], number, number / sum(row))
        for truth, row in enumerate(matrix)
        for answer, number in enumerate(row)
        if number and truth != answer
    ]
    return sorted(found, key=lambda one: (-one[2], -one[3], one[0], one[1]))


def _matrix(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    rows = []
    for truth, (label, row) in enumerate(zip(labels, matrix, strict=True)):
        total = sum(row)
        cells = [
            {
                "count": number,
                "share": number / total if total else 0.0,
                "right": truth == answer,
                "deep": bool(total) and number / total >= _DEEP,
                "title": f"labelled {label}, answered {labels[answer]}: {number} of {total}",
            }
            for answer, number in enumerate(row)
        ]
        rows.append((label, total, cells))
    return fill("matrix", labels=labels, rows=rows)


def _pairs(found: Found, matrix: Any, labels: Sequence[str]) -> Markup:
    """Return a table of the most frequent confusions, or of the costliest if the matrix is not known."""
    if matrix is not None:
        pairs = confused_pairs(matrix, labels)
        rows = [["labelled", "answered", "examples", "of the label"]]
        rows += [[one, other, count(number), percent(share)] for one, other, number, share in pairs[:_PAIRS]]
        return html_table(rows, words=(0, 1)) if pairs else Markup()
    told: Mapping[str, Any] = found.get("confusions", {})
    if not told.get("found"):
        return Markup()
    rows = [["labelled", "answered", told["counted"], f"cost in {metric_name(told['metric'])}"]]
    rows += [
        [one["truth"], one["answer"], count(one["count"]), f"{one['cost']:.4f}"]
        for one in told["found"][:_PAIRS]
    ]
    return html_table(rows, words=(0, 1))
