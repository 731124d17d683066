"""Check the start offsets of answers.

A wrong or missing offset is corrected if the answer occurs exactly once in the context; else the answer is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ftool.data.rows.answer_cells import Answer


@dataclass(kw_only=True)
class OffsetReport:
    """Counts of the answers in one table with a wrong or missing start offset: how many were corrected or dropped."""

    wrong: int = 0  # answers with a wrong offset
    repaired: int = 0  # answers whose wrong offset was corrected
    located: int = 0  # answers without an offset that occur once in the context
    dropped: int = 0  # answers that occur nowhere in the context, or more than once
    questions: int = 0  # questions dropped because all their answers were
    first: str = ""  # description of the first wrong offset, for the warning

    def warnings(self, source: str) -> list[str]:
        """Return one warning if there are wrong offsets, and one if there are dropped answers.

        `source` names the data in the warnings.
        """
        lines = []
        if self.wrong:
            lines.append(
                f"{source}: {_count(self.wrong, 'answer')} with a wrong offset "
                f"(first: {self.first}); {self.repaired} corrected, as the answer occurs once in the context"
            )
        if self.dropped:
            lines.append(
                f"{source}: {_count(self.dropped, 'answer')} dropped (not in the context, or several times), and "
                f"{_count(self.questions, 'question')} left without an answer; correct the offsets to keep them"
            )
        return lines


def locate_answers(
    answers: Sequence[Answer], context: str, where: str, report: OffsetReport
) -> list[tuple[str, int]] | None:
    """Return (text, start offset) for each answer that can be located in the context; the others are dropped.

    Returns None if the question has answers and all of them were dropped. `where` names the row in warnings. The counts
    in `report` are updated.
    """
    placed = [
        (text, start)
        for text, given in answers
        if (start := _locate(text, given, context, where, report)) is not None
    ]
    if answers and not placed:
        report.questions += 1
        return None
    return placed


def _locate(text: str, given: int | None, context: str, where: str, report: OffsetReport) -> int | None:
    if given is not None:
        if given >= 0 and context.startswith(text, given):
            return given
        report.wrong += 1
        if not report.first:
            there = context[given : given + len(text)] if given >= 0 else ""
            report.first = f"{where}: {_short(text)} at {given}, where the context has {_short(there)}"
    start = context.find(text)
    if start < 0 or context.find(text, start + 1) >= 0:
        report.dropped += 1
        return None
    if given is None:
        report.located += 1
    else:
        report.repaired += 1
    return start


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
