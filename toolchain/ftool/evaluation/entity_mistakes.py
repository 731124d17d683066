"""A tagger's costliest confusions and surest mistakes, and entities of the data whose labels are likely wrong."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ftool.data.rows.tag_schemes import OUTSIDE, TypedSpan, spans_of_tags, tags_of_spans
from ftool.data.rows.tagged_text import TaggedText
from ftool.evaluation.metrics.entities import entity_metrics, entity_statistics
from ftool.evaluation.mistakes import (
    FEWEST,
    MOST_CONFUSIONS,
    NOTHING,
    Confusion,
    Doubt,
    LabelErrors,
    Mistakes,
)
from ftool.evaluation.statistics import with_main
from ftool.extras import require
from ftool_runtime.numerics import softmax
from ftool_runtime.postprocessing.entities import WordTags

_TRUSTED: Final = 0.5  # share of the entities of a kind that are found, or of the answers that are right
OTHER_WORDS = ", other words"  # behind the kind of an entity that has other words than the right one


@dataclass(frozen=True)
class Mismatch:
    """An entity that a model gives otherwise than the data.

    Attributes:
        text: the position of the text.
        truth: the entity of the data; None if the model gives an entity where there is none.
        answer: the model's entity that overlaps `truth` most; None if the model gives none.
    """

    text: int
    truth: TypedSpan | None
    answer: TypedSpan | None

    @property
    def kinds(self) -> tuple[str, str]:
        """The kinds of both entities, as a confusion names them."""
        truth, answer = self.truth, self.answer
        kind = NOTHING if answer is None else answer.kind
        if truth is not None and answer is not None and truth[:2] != answer[:2]:
            kind += OTHER_WORDS
        return NOTHING if truth is None else truth.kind, kind

    @property
    def words(self) -> slice:
        """The words of the model's entity, or those of the entity that the model missed."""
        span = self.answer or self.truth
        assert span is not None, "one of them is there"
        return slice(span.first, span.last)


def find_entity_mistakes(
    examples: Sequence[TaggedText], answers: Sequence[WordTags], *, split: str, metric: str | None
) -> Mistakes:
    """Return the mistakes of a tagger.

    Entities are mixed up (other kind), cut otherwise (other words), missed or invented.

    Args:
        examples: the texts.
        answers: the model's tags of the words of each text.
        split: the name of the texts' split.
        metric: the name of the main metric; None for F1.
    """
    given = [spans_of_tags(one.tags) for one in answers]
    groups: dict[tuple[str, str], list[Mismatch]] = defaultdict(list)
    doubts = []
    for text, (one, answer) in enumerate(zip(examples, answers, strict=True)):
        for found in mismatches(text, spans_of_tags(one.tags), given[text]):
            groups[found.kinds].append(found)
            sureness = float(answer.certainties[found.words].mean())
            doubts.append(_doubt(split, one, found.truth, found.answer, sureness))
    frequent = sorted(groups.items(), key=lambda group: -len(group[1]))[:MOST_CONFUSIONS]
    name, costs = _costs(examples, given, [found for _, found in frequent], metric)
    confusions = [
        Confusion(truth=truth, answer=answer, count=len(found), cost=cost)
        for ((truth, answer), found), cost in zip(frequent, costs, strict=True)
    ]
    return Mistakes(
        metric=name,
        confusions=sorted(confusions, key=lambda one: (-one.cost, -one.count, one.truth, one.answer)),
        confident=sorted(doubts, key=lambda one: -one.confidence),
        counted="entities",
    )


def find_entity_label_errors(
    texts: Sequence[tuple[str, TaggedText]],
    words: Sequence[NDArray[np.int64]],
    logits: Sequence[NDArray[np.float32]],
    labels: Sequence[str],
    *,
    how: str,
) -> LabelErrors:
    """Return the entities that are likely labelled wrongly, missing or too much, by cleanlab's confident learning.

    A model that misses most entities of a kind, or mostly gives the kind where the data does not, can't tell which
    labels are wrong. So a label is doubted only if the models find at least half of the entities of its kind, and an
    answer counts only if at least half of the answers of its kind agree with the data.

    Args:
        texts: the texts, each with the name of its split.
        words: the positions of each text's words that were judged.
        logits: the logits of these words' tags, of models that did not learn from the text, float32 (words, labels).
        labels: the tags in the order of the logits.
        how: how the logits were made.
    """
    require("data-checks")
    from cleanlab.token_classification.filter import find_label_issues

    number = {label: place for place, label in enumerate(labels)}
    scores = [softmax(one) for one in logits]
    targets = [[number[one.tags[word]] for word in own] for (_, one), own in zip(texts, words, strict=True)]
    found = find_label_issues(
        targets,
        scores,
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
        min_examples_per_class=FEWEST,
    )
    answers = [
        _word_tags(len(one.words), own, judged, labels)
        for (_, one), own, judged in zip(texts, words, scores, strict=True)
    ]
    found_share, right_share = _shares([one.tags for _, one in texts], [one.tags for one in answers])
    doubts: dict[Mismatch, Doubt] = {}
    for text, judged in found:
        split, one = texts[text]
        word = int(words[text][judged])
        truth, answer = (_around(word, tags) for tags in (one.tags, answers[text].tags))
        mismatch = Mismatch(text, truth, answer)
        trusted = (truth is None or found_share[truth.kind] >= _TRUSTED) and (
            answer is None or right_share[answer.kind] >= _TRUSTED
        )
        if trusted and truth != answer:
            sureness = float(answers[text].certainties[mismatch.words].mean())
            doubts[mismatch] = _doubt(split, one, truth, answer, sureness)
    return LabelErrors(
        checked=sum(map(len, words)),
        how=how,
        found=list(doubts.values()),
        counted="words",
        not_judged=tuple(kind for kind, share in found_share.items() if share < _TRUSTED),
    )


def mismatches(text: int, truth: Sequence[TypedSpan], answer: Sequence[TypedSpan]) -> list[Mismatch]:
    """Return the entities of one text that differ; each of `truth` is paired with the answer that shares most words.

    Further answers that overlap an entity of `truth` are part of the same mistake.
    """
    wanted = [one for one in truth if one not in answer]
    given = [one for one in answer if one not in truth]
    found = []
    for one in wanted:
        overlapping = [other for other in given if _shared(one, other) > 0]
        nearest = max(
            overlapping, key=lambda other: (_shared(one, other), other.kind == one.kind), default=None
        )
        found.append(Mismatch(text, one, nearest))
    alone = [other for other in given if not any(_shared(one, other) > 0 for one in wanted)]
    return found + [Mismatch(text, None, other) for other in alone]


def _shares(truth: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]) -> tuple[dict[str, float], ...]:
    """Return the share of the entities of each kind that are found, and the share of the answers that are right."""
    kinds = entity_metrics(truth, answers)["per_class"]
    return tuple({kind: row[name] for kind, row in kinds.items()} for name in ("recall", "precision"))


def _costs(
    examples: Sequence[TaggedText],
    given: Sequence[Sequence[TypedSpan]],
    groups: Sequence[Sequence[Mismatch]],
    metric: str | None,
) -> tuple[str, list[float]]:
    """Return the main metric's name, and how much higher the metric would be without the mistakes of each group.

    All texts and the corrected texts of all groups are counted once; a group then weighs its corrected texts in place
    of the texts as they are.
    """
    truth = [one.tags for one in examples]
    answers = [tags_of_spans(spans, len(tags)) for spans, tags in zip(given, truth, strict=True)]
    corrected: list[tuple[int, int, list[str]]] = []  # of each group and text
    for number, group in enumerate(groups):
        spans: dict[int, list[TypedSpan]] = {}
        for one in group:
            spans[one.text] = _corrected(spans.get(one.text, given[one.text]), one)
        corrected += [(number, text, tags_of_spans(own, len(truth[text]))) for text, own in spans.items()]
    statistics = with_main(
        entity_statistics(
            [*truth, *(truth[text] for _, text, _ in corrected)],
            [*answers, *(tags for *_, tags in corrected)],
        ),
        metric,
    )
    weights = np.zeros((len(groups) + 1, len(statistics)), dtype=np.int64)
    weights[:, : len(truth)] = 1
    for place, (number, text, _) in enumerate(corrected, len(truth)):
        weights[number + 1, text], weights[number + 1, place] = 0, 1
    before, *after = np.nan_to_num(statistics.metrics(weights)[statistics.main]).tolist()
    return statistics.main, [one - before for one in after]


def _corrected(spans: Sequence[TypedSpan], mistake: Mismatch) -> list[TypedSpan]:
    """Return a text's entities with the right one in place of the wrong one and of all that overlap the right one."""
    right = mistake.truth
    kept = [one for one in spans if one != mistake.answer and (right is None or not _shared(one, right) > 0)]
    return sorted([*kept, *([] if right is None else [right])])


def _word_tags(
    count: int, words: NDArray[np.int64], scores: NDArray[np.float64], labels: Sequence[str]
) -> WordTags:
    """Return the most probable tags of a text's words; a word that was not judged has the tag O."""
    tags, certainties = [OUTSIDE] * count, np.ones(count)
    for word, place, own in zip(words, scores.argmax(axis=1), scores.max(axis=1), strict=True):
        tags[word], certainties[word] = labels[place], own
    return WordTags(tags, certainties)


def _around(word: int, tags: Sequence[str]) -> TypedSpan | None:
    return next((one for one in spans_of_tags(tags) if one.first <= word < one.last), None)


def _shared(one: TypedSpan, other: TypedSpan) -> int:
    """Return the number of words that two entities share; 0 or less if they do not overlap."""
    return min(one.last, other.last) - max(one.first, other.first)


def _doubt(
    split: str, one: TaggedText, truth: TypedSpan | None, answer: TypedSpan | None, sureness: float
) -> Doubt:
    def named(span: TypedSpan | None) -> tuple[str, ...]:
        if span is None:
            return ()
        return (f"{span.kind}: {one.text[one.words[span.first][0] : one.words[span.last - 1][1]]}",)

    return Doubt(
        split=split,
        row=one.row,
        text=one.text,
        labels=named(truth),
        answer=named(answer),
        confidence=sureness,
    )
