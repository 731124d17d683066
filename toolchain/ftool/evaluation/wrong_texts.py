"""Wrong answers of models that answer with texts: written ones, and spans of a context."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ftool.data.rows.generation import GenerationExample
from ftool.data.rows.questions import Question
from ftool.evaluation.metrics.answers import score_answers
from ftool.evaluation.mistakes import MOST_READ, Doubt, WrongAnswers

NO_ANSWER: Final = "(no answer)"


def find_wrong_texts(
    examples: Sequence[GenerationExample], answers: Sequence[str], *, split: str
) -> WrongAnswers:
    """Return the written answers that equal none of their references, those least like them first.

    Their score is chrF++ of the answer alone (sacreBLEU's `sentence_score`), 0 to 1. White space at either end does not
    count.

    Args:
        examples: the examples.
        answers: the model's answer to each of them.
        split: the name of the examples' split.
    """
    from sacrebleu.metrics import CHRF

    metric = CHRF(word_order=2)
    wrong = [
        (float(metric.sentence_score(answer, list(one.targets)).score) / 100, place)
        for place, (one, answer) in enumerate(zip(examples, answers, strict=True))
        if answer.strip() not in {text.strip() for text in one.targets}
    ]
    found = [
        Doubt(
            split=split,
            row=examples[place].row,
            text=examples[place].whole_input,
            labels=examples[place].targets,
            answer=(answers[place],),
            confidence=score,
        )
        for score, place in sorted(wrong)[:MOST_READ]
    ]
    return WrongAnswers(
        order="those least like their reference first", measure="chrF++", total=len(wrong), found=found
    )


def find_wrong_spans(
    examples: Sequence[Question], answers: Sequence[str], confidence: NDArray[np.float64], *, split: str
) -> WrongAnswers:
    """Return the answers to questions that match none of the correct ones (SQuAD's exact match), the surest first.

    Args:
        examples: the questions.
        answers: the model's answer to each of them; "" for none.
        confidence: the probability of each answer, float64 (questions,).
        split: the name of the questions' split.
    """
    exact, _ = score_answers(answers, [one.answers for one in examples])
    wrong = [int(place) for place in np.argsort(-confidence, kind="stable") if exact[place] == 0]
    found = [
        Doubt(
            split=split,
            row=examples[place].row,
            text=f"{examples[place].question}\n{examples[place].context}",
            labels=tuple(dict.fromkeys(examples[place].answers)) or (NO_ANSWER,),
            answer=(answers[place] or NO_ANSWER,),
            confidence=float(confidence[place]),
        )
        for place in wrong[:MOST_READ]
    ]
    return WrongAnswers(
        order="the most confident first",
        measure="confidence",
        right="were answered correctly",
        total=len(wrong),
        found=found,
    )
