"""HateCheck: functional tests for hate classifiers (Röttger et al., ACL 2021, aclanthology.org/2021.acl-long.4).

Each case is a text written to test one functionality, such as negated hate or a reclaimed slur, with its gold label.
As in the paper, the report gives accuracy by functionality and by targeted group. Accuracy by group uses only cases
made from templates, because the templates are the same for every group. The cases are in test_suite_cases.csv of
github.com/paul-rottger/hatecheck-data.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ftool.data.cells import column_texts, listed_rows
from ftool.data.columns import named_column
from ftool.data.table import Table
from ftool.errors import DataError
from ftool.evaluation.confidence_intervals import finite, metrics_of
from ftool.evaluation.results import Evaluation
from ftool.evaluation.slices import SliceSettings, slice_report
from ftool.evaluation.statistics import Floats, Statistics, SummedStatistics, averaged
from ftool_runtime.errors import InputError

HATEFUL, OTHER = "hateful", "non-hateful"  # the gold labels
# Usual names of a model's label for hateful texts, in lower case.
_USUAL = (HATEFUL, "hate", "hate speech", "hate_speech", "hatespeech")
_TEXT, _GOLD, _FUNCTIONALITY, _TARGET, _TEMPLATE = (
    "test_case", "label_gold", "functionality", "target_ident", "case_templ",
)  # fmt: skip
_SLOT = "[IDENTITY"  # placeholder for a group in a template


def read_cases(table: Table) -> tuple[list[str], NDArray[np.bool_]]:
    """Return the texts of the cases, and whether each text is hateful: bool (cases,).

    Raises DataError if a column is missing or a gold label is not "hateful" or "non-hateful".
    """
    for name in (_TEXT, _GOLD, _FUNCTIONALITY, _TARGET, _TEMPLATE):
        named_column(table, name)
    gold = [str(cell).strip() for cell in table.cells(_GOLD)]
    other = [row.number for row, label in zip(table.rows, gold, strict=True) if label not in (HATEFUL, OTHER)]
    if other or not gold:
        where = f"{listed_rows(other)} with a {_GOLD} other than" if other else "has no cases labelled"
        raise DataError(
            f"{table.source}: {where} {HATEFUL!r} or {OTHER!r}; use HateCheck's test_suite_cases.csv"
        )
    return column_texts(table, _TEXT, _TEXT), np.array([label == HATEFUL for label in gold])


def usual_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return those of a model's labels that have a usual name for hateful texts, such as "hate"."""
    return tuple(label for label in labels if label.lower() in _USUAL)


def hateful_labels(labels: Sequence[str], named: Sequence[str]) -> tuple[str, ...]:
    """Return those of a model's labels that mean that a text is hateful.

    These are `named` if it is not empty, else the labels that have a usual name, such as "hate".
    Raises InputError if `named` has a name that is not in `labels`, if no label is found, or if all labels are named.
    """
    chosen = tuple(named) or usual_labels(labels)
    for name in chosen:
        if name not in labels:
            raise InputError(f"--hateful {name}: the model has no such label; it has {', '.join(labels)}")
    if not chosen:
        raise InputError(
            "HateCheck needs to know which labels mean that a text is hateful; give them with --hateful; "
            f"the model has {', '.join(labels)}"
        )
    if set(chosen) == set(labels):
        raise InputError(
            "--hateful names every label of the model, so that no text could be non-hateful; leave at least one out"
        )
    return chosen


def evaluate_cases(
    table: Table,
    gold: NDArray[np.bool_],
    answered: NDArray[np.bool_],
    *,
    task: str,
    on: Literal["run", "bundle"],
    labels: Sequence[str],
    slicing: SliceSettings | None = None,
) -> Evaluation:
    """Return a model's accuracy on HateCheck, overall, by functionality and by targeted group.

    `gold` and `answered`, bool (cases,), say which cases are hateful and which cases the model assigned at least one of
    `labels` to. `table` has the benchmark's columns, with one row for each case.
    """
    statistics = _statistics(gold, answered)
    templates = np.array([_SLOT in str(cell) for cell in table.cells(_TEMPLATE)])
    of_templates = np.flatnonzero(templates)
    right = averaged({"accuracy": gold == answered}, main="accuracy", shares=("accuracy",))
    slices = [
        slice_report(right, table, _FUNCTIONALITY, slicing)
    ]  # cases of a functionality share their gold label
    if len(of_templates):
        chosen = _statistics(gold[of_templates], answered[of_templates])
        slices.append(slice_report(chosen, table.take(of_templates), _TARGET, slicing))
    metrics = {name: finite(value) for name, value in metrics_of(statistics, np.arange(len(gold))).items()}
    return Evaluation(
        task=task,
        on=on,
        split="hatecheck",
        examples=len(gold),
        metrics={
            **metrics,
            "hateful_labels": list(labels),
            "template_cases": int(templates.sum()),
        },
        slices=tuple(slices),
    )


def _statistics(gold: NDArray[np.bool_], answered: NDArray[np.bool_]) -> Statistics:
    right = gold == answered
    parts = {"right": right, "hateful": gold, "found": gold & answered, "rejected": ~gold & ~answered}

    def formula(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        sums = {name: total[:, 0] for name, total in totals.items()}
        return {
            "accuracy": sums["right"] / sums["examples"],
            "accuracy_hateful": sums["found"] / sums["hateful"],
            "accuracy_non_hateful": sums["rejected"] / (sums["examples"] - sums["hateful"]),
        }

    return SummedStatistics(
        parts,
        formula,
        main="accuracy",
        shares=("accuracy",),
        part_shares={"accuracy_hateful": gold, "accuracy_non_hateful": ~gold},
    )
