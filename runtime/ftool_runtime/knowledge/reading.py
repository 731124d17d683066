"""Extract the answer to a question from the passages that a search found."""

from collections.abc import Sequence
from dataclasses import replace

from ftool_runtime.knowledge.models import Reader
from ftool_runtime.knowledge.results import FoundAnswer, Passage, nothing_found


def read_passages(reader: Reader | None, question: str, passages: Sequence[Passage]) -> FoundAnswer:
    """Let the reader answer the question from each passage, and return the answer with the largest margin.

    Without a reader, or if no passage contains an answer, the result's text is None.
    """
    best = passages[0].score if passages else None
    nothing = nothing_found(question, best, read=reader is not None, passages=tuple(passages))
    if reader is None or not passages:
        return nothing
    answers = reader([{"question": question, "context": passage.text} for passage in passages])
    read = list(zip(passages, answers, strict=True))
    answered = [(passage, answer) for passage, answer in read if answer.text is not None]
    if not answered:
        return replace(nothing, score=float(answers[0].score))
    # Among answers with equal margins, the first one, from the best passage.
    passage, answer = max(answered, key=lambda pair: pair[1].margin)
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
