"""Baselines of generators: the answers that are copied from the input or from the training examples."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.files import write_jsonl

from ftool.data.dataset import Dataset
from ftool.data.load import load_dataset
from ftool.data.rows.generation import GenerationExample
from ftool.evaluation.baselines import FittedBaseline
from ftool.evaluation.confidence_intervals import metrics_of
from ftool.evaluation.generation_split import GenerationSplit
from ftool.evaluation.metrics.generation import ScoreFamily
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.training.baselines.simple_answers import BASELINES
from ftool.training.baselines.tfidf import WordVectors, nearest

Rows = list[dict[str, Any]]


def read(tmp_path: Path, recipe: Recipe, **splits: Rows) -> Dataset[GenerationExample]:
    for name, rows in splits.items():
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    return load_dataset(recipe.row.reader, recipe.data)


def baselines_of(
    tmp_path: Path, task: str, family: ScoreFamily, metric: str | None = None, **splits: Rows
) -> dict[str, FittedBaseline]:
    train = TrainSettings() if metric is None else TrainSettings(metric=metric)
    recipe = Recipe(task=task, data=DataSettings(path=str(tmp_path)), train=train)
    data = read(tmp_path, recipe, **splits)
    fitted = GenerationSplit(examples=data.test.examples, rows=[], scores=family, language="en")
    assert recipe.row.baselines is not None
    return {one.name: one for one in recipe.row.baselines(data, fitted, recipe)}


def score(baseline: FittedBaseline, metric: str) -> float:
    statistics = baseline.statistics()
    return metrics_of(statistics, np.arange(len(statistics)))[metric]


def pair(source: str, target: str) -> dict[str, str]:
    return {"source": source, "target": target}


MAPPED = [
    pair("where is the station", "wo ist der Bahnhof"),
    pair("Berlin", "Berlin"),
    pair("good day", "Tag"),
]


def test_a_translator_is_compared_with_its_source_and_the_nearest_translation(tmp_path: Path) -> None:
    test = [pair("Paris", "Paris"), pair("where is my station", "wo ist der Bahnhof")]
    found = baselines_of(tmp_path, "translation", "bleu", train=MAPPED, validation=MAPPED[:1], test=test)
    assert found.keys() == {"copy", "nearest"}
    assert score(found["copy"], "exact_match") == 0.5  # names stay as they are
    assert score(found["nearest"], "exact_match") == 0.5
    assert found["copy"].statistics().main == "bleu"


@pytest.mark.parametrize("count", [1, 3])
def test_a_summarizer_is_compared_with_as_many_first_sentences_as_validation_prefers(
    tmp_path: Path, count: int
) -> None:
    def rows(start: int) -> Rows:
        parts = [[f"{word}{number}." for word in "abcd"] for number in range(start, start + 3)]
        return [pair(" ".join(words), " ".join(words[:count])) for words in parts]

    splits = {"train": rows(0), "validation": rows(10), "test": rows(20)}
    found = baselines_of(tmp_path, "summarization", "rouge", **splits)
    assert found.keys() == {"lead"}
    assert score(found["lead"], "rougeL") == 1
    assert found["lead"].title == ("the first sentence" if count == 1 else "the first 3 sentences")


def test_a_chat_is_compared_with_the_most_frequent_and_the_nearest_answer(tmp_path: Path) -> None:
    def chat(asked: str, answer: str) -> dict[str, Any]:
        turns = [("user", asked), ("assistant", answer)]
        return {"messages": [{"role": role, "content": content} for role, content in turns]}

    train = [chat("hello", "hi"), chat("open the door", "no"), chat("open the window", "no")]
    test = [chat("open a door", "no"), chat("open a window", "no"), chat("hello again", "hi")]
    found = baselines_of(
        tmp_path, "text-generation", "rouge", metric="exact_match", train=train, validation=train, test=test
    )
    assert score(found["majority"], "exact_match") == pytest.approx(2 / 3)
    assert found["majority"].trivial
    assert score(found["nearest"], "exact_match") == 1
    assert {one.statistics().main for one in found.values()} == {"exact_match"}  # as of the model


def test_the_first_of_equally_near_texts_is_taken_and_the_order_of_queries_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ftool.training.baselines.tfidf._CELLS_AT_A_TIME", 4)  # a query at a time
    corpus = ["blue sky", "red apple", "red apple", "天气很好"]
    vectors = WordVectors(corpus)
    found = nearest(vectors(["sky", "red", "unknown", "天气", "!"]), vectors(corpus))
    assert found.tolist() == [0, 1, 0, 3, 0]


def test_large_data_is_sampled_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ftool.training.baselines.tfidf._MOST_CHARACTERS", 13)
    recipe = Recipe(task="translation", data=DataSettings(path=str(tmp_path)))
    data = read(tmp_path, recipe, train=MAPPED, validation=MAPPED[:1], test=MAPPED[:1])  # 34 characters
    found = BASELINES["nearest"](data, data.test.examples, lambda *_: 0.0, 0)
    assert found.learnt_from == 2
    assert found.title.endswith(", of 2 of 3 texts")
