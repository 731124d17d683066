"""The model card of every task says what that model does, and how it is called."""

from typing import Any

import pytest

from ftool_export.bundle.card import model_card
from ftool_runtime.bundle.manifest import (
    EmbeddingContract,
    EntityContract,
    GenerationContract,
    InputContract,
    Languages,
    Manifest,
    Precision,
    QuestionContract,
)


def card(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "ftool": "0.1.0",
        "created": "2026-01-01T00:00:00Z",
        "task": "text-classification",
        "name": "tiny",
        "architecture": "bert",
        "base": "scratch",
        "labels": ("a", "b"),
        "input": InputContract(names=("input_ids", "attention_mask"), max_length=96),
        "precision": Precision(),
        "attention": "plain",
        "files": {},
        **changes,
    }
    return model_card(Manifest(**fields))


EMBEDDING = EmbeddingContract(dimension=384, pooling="mean", normalize=True)
TRANSLATOR = GenerationContract(
    family="encoder-decoder",
    languages=Languages(source="en", target="sw", source_tokens={"en": 1}, target_tokens={"sw": 2}),
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ["exactly one of 2 labels", "answer.label", "Reads the first 96 tokens", "`a`, `b`"]),
        ({"multi_label": True}, ["any number of 2 labels"]),
        ({"pairs": True}, ["Gives two texts exactly one", 'model(("a text", "another"))']),
        ({"regression": True, "labels": ()}, ["Gives a text a number.", "print(answer.score)"]),
        (
            {"task": "token-classification", "labels": ("O", "B-x"), "entities": EntityContract(stride=30)},
            [
                "Finds entities",
                "entity.start, entity.end",
                "windows of 96 tokens that share 30",
                "found the same entities",
            ],
        ),
        (
            {"task": "question-answering", "labels": (), "questions": QuestionContract(stride=20)},
            ["stretch of a context.", "It always answers", "windows of 96 tokens that share 20"],
        ),
        (
            {
                "task": "question-answering",
                "labels": (),
                "questions": QuestionContract(no_answer_threshold=0.0),
            },
            ["or says that it has none"],
        ),
        (
            {"task": "feature-extraction", "labels": (), "embedding": EMBEDDING},
            ["a vector of 384 numbers", "model.similarity", "gave the same vectors"],
        ),
        (
            {"task": "translation", "labels": (), "generation": TRANSLATOR},
            ["Writes text (translation, en to sw)", "model.stream", "Reads the first 96 tokens of a source"],
        ),
    ],
)
def test_a_card_says_what_the_model_does(changes: dict[str, Any], said: list[str]) -> None:
    text = card(**changes)
    for words in said:
        assert words in text
    assert ("## Labels" in text) == bool(changes.get("labels", ("a",)))
