"""The model card, for each task, says what the model does, how to call it and how it was made."""

from itertools import pairwise
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

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
    TrainingData,
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
        ({"regression": True, "labels": ()}, ["Gives a text a number.", "print(answer.value)"]),
        ({"regression": True}, ["Gives a text 2 numbers.", "print(answer.values)", "## Numbers", "`a`, `b`"]),
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
            ["with a passage of a context.", "It always answers", "windows of 96 tokens that share 20"],
        ),
        (
            {
                "task": "question-answering",
                "labels": (),
                "questions": QuestionContract(no_answer_threshold=0.0),
            },
            ["or says that the context has no answer"],
        ),
        (
            {"task": "feature-extraction", "labels": (), "embedding": EMBEDDING},
            ["a vector of 384 numbers", "model.similarity", "found the same nearest text"],
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
    assert ("## Labels" in text) == bool(changes.get("labels", "regression" not in changes))


GATE = {
    "judged": True, "metric": "mrr", "reference": 0.9, "bundle": 0.8,
    "examples": 3, "agreement": 1.0, "largest_difference": 0.25,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "the difference of a probability was at most 0.250"),
        (
            {"task": "feature-extraction", "labels": (), "embedding": EMBEDDING},
            "1 minus the cosine similarity of a text's two vectors was at most 0.250",
        ),
        ({"labels": (), "regression": True}, "as a share of the numbers' range, was at most 0.250"),
    ],
)
def test_a_card_says_what_the_largest_difference_measures(changes: dict[str, Any], said: str) -> None:
    assert said in card(**changes, evidence={"gate": GATE})


HOSTILE = [
    "a`b``c",
    "<img src=x onerror=alert(1)>",
    "one | two",
    "x: [y\n---\n# Heading",
    "*bold* _it_ [l](http://x)",
    "&lt;",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_values_that_a_user_chose_are_shown_as_they_are(value: str) -> None:
    text = card(labels=(value, "b"), name=value, licence=value, base=value)
    shown = " ".join(value.split())
    header, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(header)["license"] == value
    tokens = MarkdownIt().parse(body)
    inline = [child for token in tokens for child in token.children or ()]
    spans = [child.content.strip() for child in inline if child.type == "code_inline"]
    assert spans.count(shown) == 2  # base and label
    assert not [child for child in inline if child.type in ("html_inline", "link_open", "strong_open")]
    assert not [token for token in tokens if token.type == "html_block"]
    headings = [
        after
        for token, after in pairwise(tokens)
        if token.type == "heading_open" and token.tag != "h3"  # of a program to run it in
    ]
    assert _plain(headings[0]) == shown
    assert [heading.content for heading in headings[1:]] == [
        "Use", "Labels", "Quality", "Precision", "Training data", "Limits"
    ]  # fmt: skip
    licence = next(token for token in tokens if token.content.startswith("Licence of the base model"))
    assert _plain(licence) == f"Licence of the base model, as its own card names it: {shown}."


def _plain(token: Any) -> str:
    return "".join(child.content for child in token.children or ())


def test_a_table_cell_keeps_its_row() -> None:
    gate = {"judged": True, "metric": "a | b", "reference": 0.9, "bundle": 0.8, "examples": 3}
    text = card(evidence={"gate": {**gate, "agreement": 0.5, "largest_difference": 0.1}})
    html = MarkdownIt("commonmark").enable("table").render(text.split("---\n", 2)[2])
    assert "<th>a | b on validation</th>" in html
    assert "| this bundle, fp32 | 0.8000 |" in text


def test_a_card_says_whether_ftool_trained_the_model() -> None:
    assert "A bert model,\nexported from `scratch` with ftool 0.1.0" in card()
    trained = card(training_data=TrainingData(sha256="0" * 64, examples=7))
    assert "fine-tuned from `scratch`" in trained
    assert "7 examples" in trained


@pytest.mark.parametrize(
    ("changes", "words", "said"),
    [
        ({"precision": Precision(name="int8", rows_share_scale=True)}, "Inputs run one at a time", True),
        ({"precision": Precision(name="w8")}, "one at a time", False),
        ({"evidence": {"gate": {"drift": ["agreement"]}}}, "written with `--allow-drift`", True),
        ({"evidence": {"gate": {"drift": []}}}, "--allow-drift", False),
        ({"evidence": {"golden": {"inputs": "data"}}}, "inputs from the user's own data", True),
        ({"evidence": {"golden": {"inputs": "probes"}}}, "none of the user's data", True),
        ({}, "golden.json", False),
    ],
)
def test_a_card_says_how_the_bundle_was_made(changes: dict[str, Any], words: str, said: bool) -> None:
    assert (words in card(**changes)) is said


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        (Precision(name="int8"), "quantised during inference, embeddings in 8 bits per row."),
        (
            Precision(name="int8", embedding_bits=4),
            "quantised during inference, embeddings in 4-bit blocks of 32.",
        ),
        (
            Precision(name="w4", embedding_bits=4),
            "the output layer in 8 bits, embeddings in 4-bit blocks of 32.",
        ),
    ],
)
def test_the_card_says_how_embeddings_are_stored(precision: Precision, said: str) -> None:
    assert said in card(precision=precision)


OTHER = {"license": "other", "license_name": "own-terms"}


@pytest.mark.parametrize(
    ("licence", "fields"),
    [
        ("apache-2.0", {"license": "apache-2.0"}),
        ("other (own-terms, LICENSE.md)", {**OTHER, "license_link": "LICENSE.md"}),
        ("other (own-terms)", OTHER),
        ("other", {"license": "other"}),
        ("mit and llama3.1", {"license": "other", "license_name": "mit and llama3.1"}),
        (None, {}),
    ],
)
def test_the_header_names_the_licence_in_the_hubs_fields(licence: str | None, fields: dict[str, str]) -> None:
    text = card(licence=licence)
    header = yaml.safe_load(text.split("---\n")[1])
    assert {key: value for key, value in header.items() if key.startswith("license")} == fields
    assert f"names it: {licence or 'none is named; find out before you ship'}." in text


def test_random_weights_have_no_licence_of_a_base() -> None:
    text = card(base="scratch:t5-tiny")
    assert "Trained from random weights" in text
    assert "as its own card names it" not in text
