"""The answer to a question out of the passages that were found."""

from collections.abc import Sequence
from dataclasses import replace

from ftool_runtime.knowledge.models import Reader
from ftool_runtime.knowledge.results import FoundAnswer, Passage


def read_passages(reader: Reader | None, question: str, passages: Sequence[Passage]) -> FoundAnswer:
    """What `reader` takes from the passages: of all passages that answer, what the surest says."""
    nothing = FoundAnswer(
        question=question,
        text=None,
        score=None,
        document=None,
        heading=None,
        start=None,
        end=None,
        read=reader is not None,
        passages=tuple(passages),
    )
    if reader is None or not passages:
        return nothing
    answers = reader([{"question": question, "context": passage.text} for passage in passages])
    read = list(zip(passages, answers, strict=True))
    given = [(passage, answer) for passage, answer in read if answer.text is not None]
    if not given:
        return replace(nothing, score=float(answers[0].score))
    passage, answer = max(given, key=lambda pair: pair[1].margin)  # the first of equals: the better passage
    assert answer.start is not None
    assert answer.end is not None
    return replace(
        nothing,
        text=answer.text,
        score=float(answer.score),
        document=passage.document,
        heading=passage.heading,
        start=passage.start + answer.start,
        end=passage.start + answer.end,
    )
