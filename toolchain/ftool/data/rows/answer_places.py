"""Check the offsets of answers: repair wrong ones if the text occurs once in the context, else drop the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftool.data.rows.answer_cells import Answer


@dataclass(kw_only=True)
class PlaceReport:
    """Counts of wrong answers in one table; `questions` counts the questions that were dropped."""

    wrong: int = 0
    repaired: int = 0
    located: int = 0  # without an offset in the source, and found at the one place where they occur
    dropped: int = 0
    questions: int = 0
    first: str = ""  # the first wrong one, for a person

    def warnings(self, source: str) -> list[str]:
        """Return a line for wrong offsets, and one for dropped answers, if there are any."""
        lines = []
        if self.wrong:
            lines.append(
                f"{source}: {_count(self.wrong, 'answer')} with an offset at which the context has another text "
                f"(first: {self.first}); {self.repaired} repaired, as the text stands in the context once"
            )
        if self.dropped:
            lines.append(
                f"{source}: {_count(self.dropped, 'answer')} dropped, which the context holds nowhere or in several "
                f"places, and with them {_count(self.questions, 'question')} left without any; correct the offsets "
                "to keep them"
            )
        return lines


def place_answers(
    answers: Sequence[Answer], context: str, where: str, report: PlaceReport
) -> list[tuple[str, int]] | None:
    """Return the answers with correct offsets, the others dropped; None if there were some and none is left.

    `where` names the row; `report` counts what was repaired and dropped.
    """
    placed = [
        (text, start)
        for text, given in answers
        if (start := _place(text, given, context, where, report)) is not None
    ]
    if answers and not placed:
        report.questions += 1
        return None
    return placed


def _place(text: str, given: int | None, context: str, where: str, report: PlaceReport) -> int | None:
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
