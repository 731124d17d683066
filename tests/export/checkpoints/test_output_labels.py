"""Labels of outputs: what config.json may say, and what is refused by name."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

from ftool_export.checkpoints.classifier import create_classifier, load_classifier
from ftool_export.checkpoints.tagger import create_tagger, load_tagger
from ftool_export.errors import CheckpointError

WriteCheckpoint = Callable[..., Path]

NAMES = ("O", "lights", "music", "timer", "files")  # for the fixture's five outputs


@pytest.fixture(params=[load_classifier, load_tagger])
def load(
    request: pytest.FixtureRequest, write_checkpoint: WriteCheckpoint, tmp_path: Path
) -> Callable[..., Any]:
    """Loads a checkpoint of five outputs whose config.json has the given fields."""
    head = {} if request.param is load_classifier else {"head": AutoModelForTokenClassification}
    folder = tmp_path / "changed"
    shutil.copytree(write_checkpoint("bert", **head), folder)

    def load(fields: dict[str, Any]) -> Any:
        config = json.loads((folder / "config.json").read_text())
        kept = {name: value for name, value in config.items() if name not in ("id2label", "label2id")}
        (folder / "config.json").write_text(json.dumps({**kept, **fields}))
        return request.param(folder)

    return load


def numbered(names: Any) -> dict[str, Any]:
    return {str(number): name for number, name in enumerate(names)}


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"id2label": numbered(NAMES)}, NAMES),
        ({"id2label": dict(reversed(numbered(NAMES).items()))}, NAMES),
        ({"id2label": numbered(["O", 1, 2, 3, 4.5])}, ("O", "1", "2", "3", "4.5")),
        ({"id2label": None, "label2id": {name: i for i, name in enumerate(NAMES)}}, NAMES),
        ({"id2label": numbered(NAMES), "label2id": {name: 4 - i for i, name in enumerate(NAMES)}}, NAMES),
    ],
)
def test_labels_are_in_the_order_of_the_outputs(
    load: Callable[..., Any], fields: dict[str, Any], labels: tuple[str, ...]
) -> None:
    assert load(fields).labels == labels


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id2label": {"0": "a", "2": "b", "5": "c"}}, "id2label numbers its 3 labels 0, 2, 5; number them"),
        ({"id2label": {str(i + 1): name for i, name in enumerate(NAMES)}}, "1, 2, 3, 4, 5; number them from 0 to 4"),
        ({"id2label": {name: i for i, name in enumerate(NAMES)}}, "O, lights, music, timer, files; number them"),
        ({"id2label": numbered("abc")}, "names 3 labels, but the network has 5 outputs; name 5 labels"),
        ({"id2label": numbered("abcdefg")}, "names 7 labels, but the network has 5 outputs; name 5 labels"),
        ({}, "names no labels, which stands for 2, but the network has 5 outputs"),
        ({"id2label": numbered("abcda")}, "names the outputs 0, 4 all 'a'; give each output its own label"),
        ({"id2label": numbered([1, "1", "2", "3", "4"])}, "names the outputs 0, 1 all '1'"),
        ({"id2label": numbered(["a", None, "b", "c", "d"])}, "names output 1 None; a label is a text"),
        ({"id2label": numbered(["a", " ", "b", "c", "d"])}, "names output 1 ' '; a label is a text"),
        ({"id2label": numbered(["a", ["b"], "c", "d", "e"])}, "names output 1 ['b']; a label is a text"),
        ({"id2label": list(NAMES)}, "write an object such as"),
        ({"id2label": {}, "label2id": {"a": 0, "b": 2}}, "label2id numbers its 2 labels 0, 2"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_the_outputs_are_refused_by_name(
    load: Callable[..., Any], fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load(fields)


def test_label2id_that_contradicts_id2label_is_told(
    load: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    load({"id2label": numbered(NAMES), "label2id": {name: 4 - i for i, name in enumerate(NAMES)}})
    assert "label2id gives 'O' another number than id2label, which is used" in caplog.text


@pytest.mark.parametrize(
    "load",
    [load_classifier, lambda folder: create_classifier(str(folder), NAMES, multi_label=False)],
)
def test_weights_of_another_shape_than_the_configuration_says_are_refused(
    load: Callable[..., Any], write_checkpoint: WriteCheckpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(write_checkpoint("bert"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 99}))
    with pytest.raises(
        CheckpointError, match=r"position_embeddings.* has the shape \(32, 32\) in .*\(99, 32\) by"
    ):
        load(folder)


@pytest.mark.parametrize(
    "fields", [{"hidden_size": "many"}, {"id2label": "abc"}, {"vocab_size": None}, {"model_type": 7}]
)
def test_a_configuration_that_makes_no_sense_is_refused(
    write_checkpoint: WriteCheckpoint, tmp_path: Path, fields: dict[str, Any]
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(write_checkpoint("bert"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))
    with pytest.raises(CheckpointError, match=r"changed"):
        load_classifier(folder)


TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.mark.parametrize(
    "labels",
    [
        tuple(reversed(TAGS)),
        ("B-LOC", "B-PER", "I-LOC", "I-PER", "O"),
        ("O", "B-PER", "I-PER", "B-ORG", "I-ORG"),
        ("B-ORG", "B-PER", "I-PER", "I-ORG", "O", "B-LOC", "I-LOC"),
        ("I-PER", "O"),
        ("O", "B-x"),
    ],
)
@pytest.mark.parametrize("kind", ["tagger", "classifier", "decoder"])
def test_the_head_of_a_base_follows_the_names_of_the_labels(
    write_checkpoint: WriteCheckpoint, labels: tuple[str, ...], kind: str
) -> None:
    head = AutoModelForTokenClassification if kind == "tagger" else AutoModelForSequenceClassification
    names = {"id2label": dict(enumerate(TAGS)), "label2id": {name: i for i, name in enumerate(TAGS)}}
    base = write_checkpoint("gpt2" if kind == "decoder" else "bert", head=head, **names)
    if kind == "tagger":
        before, made = load_tagger(base), create_tagger(str(base), labels, max_length=16)
    else:
        before, made = load_classifier(base), create_classifier(str(base), labels, multi_label=False)
    assert made.labels == labels
    assert made.model.head.out_features == made.config.num_labels == len(labels)
    kept = [(labels.index(name), TAGS.index(name)) for name in labels if name in TAGS]
    for name, rows in made.model.head.state_dict().items():
        rows_before = before.model.head.state_dict()[name]
        for row, row_before in kept:
            torch.testing.assert_close(rows[row], rows_before[row_before], rtol=0, atol=0)


def test_a_base_without_a_head_gets_one_at_random(write_checkpoint: WriteCheckpoint) -> None:
    base = write_checkpoint("bert", head=AutoModel, id2label=dict(enumerate(TAGS)))
    made = create_tagger(str(base), TAGS, max_length=16)
    assert made.labels == TAGS
    assert made.model.head.weight.std() > 0
