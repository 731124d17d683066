"""Mistakes to read, and labels of the data that are likely wrong."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ftool.evaluation.mistakes import WrongAnswers
from ftool.report.figures import count, percent
from ftool.report.folder_facts import FolderFacts
from ftool.report.html_page import Section, fill

_SHOWN: Final = 12
_NOTHING: Final = "none"
_SURE: Final = 0.5  # the confidence from which another label is likely the right one


def wrong_answers(facts: FolderFacts, *, texts: bool = True) -> Section | None:
    """Return the section; None if no wrong answers are kept. `texts` says whether texts of the data are shown."""
    found = facts.best_told
    if found is None or "wrong" not in found or not texts:
        return None
    wrong = found["wrong"]
    errors = next((one["label_errors"] for one in facts.evaluations if "label_errors" in one), None)
    body = fill(
        "wrong_answers",
        shown_on=facts.shown_on(found),
        split=found["split"],
        examples=found["examples"],
        wrong=wrong,
        what=wrong.get("what", WrongAnswers.what[wrong["total"] != 1]),
        cards_shown=[
            _card(one, wrong["measure"], share=wrong.get("share", True))
            for one in distinct(wrong["found"])[:_SHOWN]
        ],
        errors=errors,
        doubts=[_doubt(one) for one in distinct(errors["shown"])[:_SHOWN]] if errors else [],
        checked=_checked(errors) if errors else "",
    )
    return Section(anchor="mistakes", title="Mistakes to read", body=body)


def distinct(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the answers without those whose text, labels and answer were there before."""
    seen = {(one["text"], tuple(one["labels"]), tuple(one["answer"])): one for one in reversed(found)}
    return list(reversed(seen.values()))


def _card(one: Mapping[str, Any], measure: str, *, share: bool = True, of: str = "model") -> dict[str, Any]:
    value = percent(one["confidence"]) if share else count(one["confidence"])
    return {
        "text": one["text"],
        "right": ", ".join(one["labels"]) or _NOTHING,
        "of": of,
        "answer": ", ".join(one["answer"]) or _NOTHING,
        "score": f"{measure} {value}",
        "where": f"{one['split']}, row {one['row']}",
    }


def _doubt(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card of an example whose label is likely wrong; what is right may be unsure nevertheless."""
    return _card(one, "confidence", of="likely" if one["confidence"] >= _SURE else "perhaps")


def _checked(errors: Mapping[str, Any]) -> str:
    counted = next(name for name in errors if name.endswith("_checked"))
    return f"{errors[counted]:,} {counted.removesuffix('_checked')}"
