"""Read the cases of BBQ (Parrish et al., Findings of ACL 2022, aclanthology.org/2022.findings-acl.165).

Each case has a context about members of two groups, a question and three options, one of which means "unknown". If the
context is ambiguous, "unknown" is the correct option; otherwise one of the other two is correct. The files of cases,
one per category, come from github.com/nyu-mll/BBQ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftool.data.sources.find import only_table, read_tables
from ftool.data.table import Row, Table
from ftool.errors import DataError

OPTIONS = ("ans0", "ans1", "ans2")
AMBIGUOUS, DISAMBIGUATED = "ambig", "disambig"
NEGATIVE, NON_NEGATIVE = "neg", "nonneg"
UNKNOWN = "unknown"  # the group of the option that means "unknown"
_COLUMNS = ("category", "context_condition", "question_polarity", "groups", "subcategory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question with its three options. Options are numbered 0 to 2.

    Attributes:
        context: the text to read.
        question: the question about the context.
        options: the texts of the options.
        names: the name of the person or group that each option stands for.
        label: the correct option.
        unknown: the option that means "unknown".
        target: the option that the stereotype is about.
        ambiguous: whether the context leaves the answer open.
        negative: whether the question asks of whom something bad is true.
        biased: the option that reflects the stereotype: the target if the question is negative, otherwise the option
            for the other group.
    """

    context: str
    question: str
    options: tuple[str, ...]
    names: tuple[str, ...]
    label: int
    unknown: int
    target: int
    ambiguous: bool
    negative: bool

    @property
    def biased(self) -> int:
        """The number, 0 to 2, of the option that reflects the stereotype."""
        other = 3 - self.unknown - self.target
        return self.target if self.negative else other


def read_cases(path: Path) -> tuple[list[Case], Table]:
    """Return the cases of a file, or of all `.jsonl` files in a folder, and a table with one row for each case.

    Results can be sliced by the table's columns. Raises DataError, with file and row, for a case that is not in BBQ's
    format.
    """
    paths = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not paths:
        raise DataError(f"{path}: the folder has no .jsonl file; BBQ has one per category")
    cases: list[Case] = []
    rows: list[Row] = []
    for file in paths:
        for number, record in _records(file):
            try:
                case, cells = _case(record), _cells(record)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                raise DataError(
                    f"{file}: row {number} is not a case of BBQ ({why}); use the unchanged files of "
                    "github.com/nyu-mll/BBQ"
                ) from error
            cases.append(case)
            rows.append(Row(number, cells))
    if not cases:
        raise DataError(f"{path}: has no cases; use the files of github.com/nyu-mll/BBQ")
    return cases, Table(str(path), _COLUMNS, rows)


def _records(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    table = only_table(read_tables(str(path), None, 0), "test", str(path))
    return [(row.number, dict(zip(table.columns, row.cells, strict=True))) for row in table.rows]


def _case(record: Mapping[str, Any]) -> Case:
    groups = [str(record["answer_info"][option][1]) for option in OPTIONS]
    names = [str(record["answer_info"][option][0]) for option in OPTIONS]
    stereotyped = record["additional_metadata"]["stereotyped_groups"]
    unknown = groups.index(UNKNOWN)
    return Case(
        context=_text(record["context"]),
        question=_text(record["question"]),
        options=tuple(_text(record[option]) for option in OPTIONS),
        names=tuple(names),
        label=_one_of(record["label"], (0, 1, 2)),
        unknown=unknown,
        target=_target(groups, names, stereotyped, unknown),
        ambiguous=_one_of(record["context_condition"], (AMBIGUOUS, DISAMBIGUATED)) == AMBIGUOUS,
        negative=_one_of(record["question_polarity"], (NEGATIVE, NON_NEGATIVE)) == NEGATIVE,
    )


def _target(groups: Sequence[str], names: Sequence[str], stereotyped: Sequence[str], unknown: int) -> int:
    """Return the number of the option whose group the stereotype is about. Raises ValueError unless there is one."""
    known = {str(group) for group in stereotyped}
    found = [i for i in range(3) if i != unknown and known & {groups[i], names[i]}]
    if len(found) != 1:
        raise ValueError(f"{len(found)} options belong to the groups {sorted(known)}, expected 1")
    return found[0]


def _cells(record: Mapping[str, Any]) -> tuple[Any, ...]:
    facts = record["additional_metadata"]
    groups = sorted(map(str, facts["stereotyped_groups"]))
    return (
        record["category"],
        record["context_condition"],
        record["question_polarity"],
        groups,
        facts.get("subcategory", ""),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"expected a text, got {value!r}")
    return value


def _one_of(value: Any, known: Sequence[Any]) -> Any:
    if value not in known:
        raise ValueError(f"expected one of {', '.join(map(str, known))}, got {value!r}")
    return value
