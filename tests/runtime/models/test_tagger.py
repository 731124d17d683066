"""Entities in texts of any length: positions refer to the given text, single and batched texts give the same."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.helpers.tiny_bundles import relist

import ftool_runtime as ft
from ftool_runtime.bundle.golden import encoder_golden
from ftool_runtime.bundle.manifest import EntityContract, Manifest
from ftool_runtime.bundle.verify import verify
from ftool_runtime.tools import cli

VOCABULARY = 17
MAX_LENGTH, STRIDE = 16, 5
TAGS = ("O", "B-thing", "I-thing", "B-time", "I-time")
# The only tag of each word that is none of the first; special tokens would be entities if anyone asked them.
TAG_OF = {"[CLS]": 1, "[SEP]": 1, "lights": 1, "music": 1, "timer": 2, "ten": 3, "minutes": 4}
IDS = {"[CLS]": 2, "[SEP]": 3, "lights": 6, "music": 10, "timer": 13, "ten": 15, "minutes": 16}


@pytest.fixture(scope="session")
def make_tagger(make_bundle: Callable[..., Path], onnx_writer: SimpleNamespace) -> Callable[..., Path]:
    """Makes a bundle whose graph is a table of five logits a token."""
    table = np.zeros((VOCABULARY, len(TAGS)), dtype=np.float32)
    for word, tag in TAG_OF.items():
        table[IDS[word], tag] = 4
    graph = onnx_writer.model(
        [onnx_writer.node("Gather", ["table", "input_ids"], ["logits"])],
        [onnx_writer.tensor("table", table)],
        [onnx_writer.value(name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask")],
        [onnx_writer.value("logits", 1, ("batch", "sequence", len(TAGS)))],
    )

    def make(**changes: Any) -> Path:
        contract = EntityContract(stride=STRIDE, aggregation="first")
        fields = {"task": "token-classification", "labels": TAGS, "entities": contract, **changes}
        return make_bundle(graph=graph, golden=False, **fields)

    return make


@pytest.fixture(scope="session")
def tagger_bundle(make_tagger: Callable[..., Path]) -> Path:
    return make_tagger()


@pytest.fixture(scope="session")
def tagger(tagger_bundle: Path) -> Iterable[ft.TokenTagger]:
    with ft.TokenTagger.load(tagger_bundle, threads=2) as loaded:
        assert isinstance(loaded, ft.TokenTagger)
        yield loaded


def shown(entities: ft.Entities) -> list[tuple[str, str, int]]:
    return [(one.text, one.label, one.start) for one in entities]


def test_entities_have_their_places_in_the_text(tagger: ft.TokenTagger) -> None:
    found = tagger("turn\tthe LIGHTS timer on,  for Ten minutes")
    assert shown(found) == [("LIGHTS timer", "thing", 9), ("Ten minutes", "time", 31)]
    assert found[0].score == pytest.approx(np.exp(4) / (np.exp(4) + 4))
    assert found[0].end == 21


def test_a_text_without_entities_has_an_empty_list(tagger: ft.TokenTagger) -> None:
    assert tagger("turn off") == []
    assert tagger([]) == []


def test_answers_are_independent_of_the_batch(tagger: ft.TokenTagger) -> None:
    texts = ["music", "turn the lights off", "set a timer for ten minutes " * 9]
    assert tagger(texts) == [tagger(text) for text in texts]
    assert list(tagger.predict_iter(iter(texts), batch_size=2)) == tagger(texts)


def test_a_long_text_is_read_whole_and_nothing_twice(tagger: ft.TokenTagger) -> None:
    text = "turn the lights timer off for ten minutes " * 20
    found = tagger(text)
    assert [one.text for one in found] == ["lights timer", "ten minutes"] * 20
    assert [one.start for one in found] == sorted({one.start for one in found})


def test_the_aggregation_is_the_bundles_unless_a_call_says(tagger: ft.TokenTagger) -> None:
    found = tagger("ten minutes", aggregation="none")
    assert [(one.text, one.label) for one in found] == [("ten", "B-time"), ("minutes", "I-time")]
    with pytest.raises(
        ft.InputError, match="aggregation must be one of none, simple, first, average, max, got 'best'"
    ):
        tagger("ten minutes", aggregation="best")  # type: ignore[call-overload]


def test_words_that_are_given_get_a_tag_each(tagger: ft.TokenTagger) -> None:
    sentences = [["play", "music", "timer", "."], ["ten"]]
    assert tagger.tags(sentences) == [["O", "B-thing", "I-thing", "O"], ["B-time"]]
    assert tagger.word_tags(["ten  minutes"], [[(0, 3), (5, 12)]]) == [["B-time", "I-time"]]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["play music"], "sentence 0 must be a list of words, got str"),
        ([["a"], []], "sentence 1 must be a list of words, got list"),
        ([["a", ""]], "sentence 0 holds '', which is not a word"),
        ([["a", 3]], "sentence 0 holds 3, which is not a word"),
    ],
)
def test_anything_but_a_list_of_words_is_refused(
    tagger: ft.TokenTagger, sentences: Any, message: str
) -> None:
    with pytest.raises(ft.InputError, match=message):
        tagger.tags(sentences)


@pytest.mark.parametrize("text", ["", " \n", 7, "a\ud800"])
def test_anything_but_a_text_is_refused_with_its_row(tagger: ft.TokenTagger, text: Any) -> None:
    with pytest.raises(ft.InputError) as error:
        tagger(["music", text])
    assert error.value.row == 1


def test_a_bundle_without_the_contract_is_refused(make_tagger: Callable[..., Path]) -> None:
    with pytest.raises(ft.BundleError, match="the manifest has no entities; export the bundle again"):
        ft.load(make_tagger(entities=None))


def test_the_command_line_prints_entities(tagger_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(tagger_bundle), "set ten minutes"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "set ten minutes"
    assert told["truncated"] is False
    (entity,) = told["entities"]
    assert (entity["text"], entity["label"], entity["start"], entity["end"]) == ("ten minutes", "time", 4, 15)
    assert 0 < entity["score"] < 1


def test_the_command_line_takes_an_aggregation(
    tagger_bundle: Path, shared_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(tagger_bundle), "ten minutes", "--threads", "1", "--aggregation", "none"]
    assert cli.main(["predict", *asked]) == 0
    given = json.loads(capsys.readouterr().out)["entities"]
    assert [(one["text"], one["label"]) for one in given] == [("ten", "B-time"), ("minutes", "I-time")]
    assert cli.main(["predict", str(shared_bundle), "ten", "--aggregation", "max"]) == 2
    assert "--aggregation is not for text-classification" in capsys.readouterr().err


def test_verify_replays_every_window(make_tagger: Callable[..., Path]) -> None:
    bundle = make_tagger()
    inputs = ("play music", "set a timer for ten minutes " * 5)
    for moved in (0.0, 1.0):
        with ft.TokenTagger.load(bundle, threads=1) as model:
            outputs = [row + np.float32(moved) for row in model.outputs(inputs)]
            assert len(outputs) > len(inputs)
            golden = encoder_golden(model, inputs, outputs, source="bundle", tolerance=1e-4, texts="probes")
        golden.write(bundle)
        relist(bundle, "golden.json")
        assert verify(bundle, threads=1).passed == (moved == 0.0)
    assert golden.answers[0]["entities"][0].keys() >= {"text", "label", "start", "end", "score"}


def test_verify_names_the_entities_that_other_labels_change(make_tagger: Callable[..., Path]) -> None:
    bundle = make_tagger()
    inputs = ["play music"]
    with ft.TokenTagger.load(bundle, threads=1) as model:
        golden = encoder_golden(
            model, inputs, model.outputs(inputs), source="bundle", tolerance=1e-4, texts="probes"
        )
    golden.write(bundle)
    manifest = Manifest.read(bundle)
    replace(manifest, labels=tuple(reversed(manifest.labels))).write(bundle)
    relist(bundle, "golden.json")
    report = verify(bundle, threads=1)
    assert not report.passed
    assert report.replay is not None
    assert "'play music'" in report.replay.changed[0]
    assert "entities" in report.replay.changed[0]


def test_a_row_counts_from_the_start_of_the_stream(tagger: ft.TokenTagger) -> None:
    answers = tagger.predict_iter(["a", "music", "b", " "], batch_size=2)
    assert shown(list(answers_before_error(answers))[1]) == [("music", "thing", 0)]
    with pytest.raises(ft.InputError) as error:
        list(tagger.predict_iter(["a", "music", "b", " "], batch_size=2))
    assert error.value.row == 3


def answers_before_error(answers: Iterable[ft.Entities]) -> Iterable[ft.Entities]:
    try:
        yield from answers
    except ft.InputError:
        return
