"""Fixtures for tests of training: a tiny base model and small data sets, made once per test session."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.files import write_jsonl
from tests.helpers.shared import BuiltOnce
from tests.helpers.tiny_bert import save_tiny_base
from tests.helpers.tiny_models import TinyModels

WORDS = {
    "weather": ["rain", "sun", "wind", "cloud", "storm", "snow"],
    "music": ["song", "band", "guitar", "drum", "melody", "choir"],
    "food": ["bread", "soup", "cheese", "apple", "rice", "pepper"],
}
FILLERS = ["the", "a", "please", "tell", "me", "about", "some", "more", "of", "and"]


def sentence(label: str, rng: random.Random) -> str:
    """A few words of the label's own among fillers."""
    words = rng.sample(WORDS[label], 2) + rng.sample(FILLERS, rng.randint(1, 6))
    rng.shuffle(words)
    return " ".join(words)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers, width 32, in sentence-transformers' layout: mean pooling, normalised."""
    folder = tmp_path_factory.mktemp("tiny-base")
    save_tiny_base(folder, [*FILLERS, *(word for words in WORDS.values() for word in words)])
    return folder


@pytest.fixture(scope="session")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of train, validation and test files: short sentences about weather, music or food."""
    return _write_topics(tmp_path_factory.mktemp("topics"), train=40, rest=12)


@pytest.fixture(scope="session")
def few_topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three batches of such sentences, for tests that ask how a run goes and not what it learns."""
    return _write_topics(tmp_path_factory.mktemp("few-topics"), train=16, rest=4)


def _write_topics(folder: Path, train: int, rest: int) -> Path:
    rng = random.Random(0)
    seen: set[str] = set()
    for name, count in (("train", train), ("validation", rest), ("test", rest)):
        rows = []
        for label in WORDS:
            while sum(row[1] == label for row in rows) < count:
                text = sentence(label, rng)
                if text not in seen:
                    seen.add(text)
                    rows.append((text, label))
        rng.shuffle(rows)
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return folder


@pytest.fixture(scope="session")
def tags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The multi-label sort: a sentence is about one topic, two, or none."""
    folder = tmp_path_factory.mktemp("tags")
    rng = random.Random(1)
    seen: set[str] = set()
    for name, count in (("train", 150), ("validation", 50), ("test", 50)):
        rows = []
        while len(rows) < count:
            labels = [
                label for label, share in zip(WORDS, (0.5, 0.4, 0.15), strict=True) if rng.random() < share
            ]
            text = " ".join([*rng.sample(FILLERS, 4), *(rng.choice(WORDS[label]) for label in labels)])
            if text not in seen:
                seen.add(text)
                rows.append((text, "|".join(labels)))
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return folder


NUMERALS = dict(
    zip(["one", "two", "three", "four", "five", "six"], ["一", "二", "三", "四", "五", "六"], strict=True)
)


def _numbers(rng: random.Random) -> list[str]:
    return [rng.choice([*NUMERALS]) for _ in range(rng.randint(1, 4))]


def _write_splits(
    folder: Path, row: Callable[[random.Random], dict[str, Any]], train: int = 160, rest: int = 24
) -> Path:
    rng = random.Random(0)
    for name, count in (("train", train), ("validation", rest), ("test", rest)):
        write_jsonl(folder / f"{name}.jsonl", [row(rng) for _ in range(count)])
    return folder


def _number_pair(rng: random.Random) -> dict[str, Any]:
    words = _numbers(rng)
    return {"source": " ".join(words), "target": "".join(NUMERALS[word] for word in words)}


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pairs: English number words and the same as Chinese numerals."""
    return _write_splits(tmp_path_factory.mktemp("numbers"), _number_pair)


@pytest.fixture(scope="session")
def few_numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four batches of such pairs, for tests that ask how a run goes and not what it learns."""
    return _write_splits(tmp_path_factory.mktemp("few-numbers"), _number_pair, train=64, rest=6)


@pytest.fixture(scope="session")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of conversations: a user says a number word, the assistant says it as a numeral."""

    def row(rng: random.Random) -> dict[str, Any]:
        word = rng.choice([*NUMERALS])
        turns = [("user", word), ("assistant", NUMERALS[word])]
        return {"messages": [{"role": role, "content": content} for role, content in turns]}

    return _write_splits(tmp_path_factory.mktemp("chats"), row)


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bare texts: counting, from a word on."""

    def row(rng: random.Random) -> dict[str, Any]:
        first = rng.randrange(6)
        return {"text": " ".join([*NUMERALS][(first + step) % 6] for step in range(rng.randint(4, 12)))}

    return _write_splits(tmp_path_factory.mktemp("documents"), row)


TOPICS = [word for words in WORDS.values() for word in words]


def said(words: list[str], rng: random.Random) -> str:
    """The words among fillers, in any order."""
    parts = words + rng.sample(FILLERS, rng.randint(1, 5))
    rng.shuffle(parts)
    return " ".join(parts)


@pytest.fixture(scope="session")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two words asked for, and the same two words among other fillers."""
    folder = tmp_path_factory.mktemp("searches")
    rng = random.Random(3)
    for name, count in (("train", 96), ("validation", 32), ("test", 32)):
        rows = []
        for _ in range(count):
            words = rng.sample(TOPICS, 2)
            rows.append({"query": said(words, rng), "passage": said(words, rng)})
        write_jsonl(folder / f"{name}.jsonl", rows)
    return folder


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries with four documents each, of which the one that names a topic of the first four is relevant."""
    folder = tmp_path_factory.mktemp("judged")
    rng = random.Random(7)
    for name, count in (("train", 60), ("validation", 20), ("test", 20)):
        rows = []
        for number in range(count):
            query = f"{said([], rng)} {number}"
            words = [rng.choice(TOPICS[:4]), *rng.choices(TOPICS[4:], k=3)]
            rows += [
                {
                    "query": query,
                    "document": said([word], rng),
                    "score": int(word in TOPICS[:4]),
                }
                for word in rng.sample(words, 4)
            ]
        write_jsonl(folder / f"{name}.jsonl", rows)
    return folder


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences of two words each, and how many of them are the same: 0, 1 or 2, as STS-B has 0 to 5."""
    folder = tmp_path_factory.mktemp("scored")
    rng = random.Random(4)
    for name, count in (("train", 96), ("validation", 32), ("test", 32)):
        rows = []
        for _ in range(count):
            first, second = rng.sample(TOPICS, 2), rng.sample(TOPICS[:4], 2)
            second = first[: rng.randint(0, 2)] + second
            rows.append(
                {
                    "sentence1": said(first, rng),
                    "sentence2": said(second[:2], rng),
                    "score": 2.5 * len({*first} & {*second[:2]}),
                }
            )
        write_jsonl(folder / f"{name}.jsonl", rows)
    return folder


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SQuAD files whose answer is always the word behind "about"; a quarter of the contexts have none."""
    folder = tmp_path_factory.mktemp("questions")
    rng = random.Random(0)
    for name, count in (("train", 160), ("validation", 40), ("test", 40)):
        paragraphs = []
        for number in range(count):
            words = [rng.choice(WORDS["weather"]) for _ in range(rng.randint(1, 12))]
            thing = rng.choice(WORDS["music"])
            answered = number % 4 > 0
            if answered:
                words += ["about", thing]
            words += [rng.choice(WORDS["weather"]) for _ in range(rng.randint(1, 12))]
            context = " ".join(words)
            answers = [{"text": thing, "answer_start": context.index(thing)}] if answered else []
            question = {"id": f"{name}{number}", "question": "tell me about", "answers": answers}
            paragraphs.append({"context": context, "qas": [question | {"is_impossible": not answered}]})
        (folder / f"{name}.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return folder


# --- models that several files use, made by the commands -------------------------------------------------------------


@pytest.fixture(scope="session")
def trained(request: pytest.FixtureRequest, made_once: BuiltOnce) -> TinyModels:
    """The model folder of a task after `ftool train`; a test that changes it copies it first."""
    return TinyModels(made_once, request.getfixturevalue, exported=False)


@pytest.fixture(scope="session")
def exported(request: pytest.FixtureRequest, made_once: BuiltOnce) -> TinyModels:
    """The model folder of a task with an int8 bundle too; a test that changes it copies it first."""
    return TinyModels(made_once, request.getfixturevalue, exported=True)


@pytest.fixture(scope="session")
def searcher(exported: TinyModels) -> Path:
    """A trained embedder's model folder with an int8 bundle; it has a prompt for queries."""
    return exported["feature-extraction"]


@pytest.fixture(scope="session")
def reader_folder(exported: TinyModels) -> Path:
    """A trained reader's model folder with an int8 bundle."""
    return exported["question-answering"]
