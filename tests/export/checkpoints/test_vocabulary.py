"""Tokenizers with tokens that the network has no embedding for: exported, and texts with such tokens are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

import ftool_runtime as ft
from ftool_export.checkpoints.classifier import compute_logits, load_classifier
from ftool_export.checkpoints.embedder import load_embedder
from ftool_export.checkpoints.generator import LoadedGenerator, load_generator
from ftool_export.checkpoints.reader import load_reader
from ftool_export.checkpoints.tagger import load_tagger
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_export.tokenizers.runtime_tokens import runtime_tokens
from ftool_runtime.errors import InputError

WriteCheckpoint = Callable[..., Path]

WORDS = "text 1 holds '<new>', which the tokenizer knows but the model has no embedding for"


def with_new_tokens(folder: Path, copy: Path) -> Path:
    """A copy of a checkpoint whose tokenizer got two tokens, one of them special, and whose network did not."""
    shutil.copytree(folder, copy)
    tokenizer = AutoTokenizer.from_pretrained(copy)
    rows = json.loads((copy / "config.json").read_text())["vocab_size"]
    tokenizer.add_tokens([f"<{number}>" for number in range(rows - len(tokenizer))])
    tokenizer.add_tokens(["<new>"])
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.save_pretrained(copy)
    return copy


def test_a_bundle_refuses_a_text_with_a_token_that_has_no_embedding(
    bert: Path, tmp_path: Path, texts: list[str]
) -> None:
    loaded = load_classifier(with_new_tokens(bert, tmp_path / "copy"))
    settings = ExportSettings(bundle=tmp_path / "bundle", name="new", precision="fp32")
    report = export(settings, loaded, ClassificationExamples(loaded=loaded, inputs=texts))
    assert report.bundle is not None
    with ft.TextClassifier.load(report.bundle) as model:
        assert model.logits(texts) == pytest.approx(compute_logits(load_classifier(bert), texts), abs=1e-5)
        with pytest.raises(InputError, match=WORDS):
            model(["turn the lights off", "turn <new> on"])


@pytest.mark.parametrize(
    ("head", "load", "given"),
    [
        (AutoModelForSequenceClassification, load_classifier, ["on", "off <new>"]),
        (AutoModelForSequenceClassification, load_embedder, ["on", "off <new>"]),
        (AutoModelForTokenClassification, load_tagger, ["on", "off <new>"]),
        (
            AutoModelForQuestionAnswering,
            load_reader,
            [{"question": "on", "context": "off"}, {"question": "on", "context": "off <new>"}],
        ),
    ],
)
def test_torch_refuses_such_a_text_too(
    head: Any,
    load: Callable[[Path], Any],
    given: list[Any],
    write_checkpoint: WriteCheckpoint,
    tmp_path: Path,
) -> None:
    names = {"id2label": {0: "O", 1: "B-x"}, "label2id": {"O": 0, "B-x": 1}}
    loaded = load(with_new_tokens(write_checkpoint("bert", head=head, **names), tmp_path / "copy"))
    loaded.rows(given[:1])
    with pytest.raises(InputError, match=WORDS):
        loaded.rows(given)


def test_prompts_of_generators_are_refused_too(
    make_generator: Callable[..., LoadedGenerator], tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    make_generator("gpt2").save(tmp_path / "made")
    loaded = load_generator(with_new_tokens(tmp_path / "made", tmp_path / "copy"), "text-generation")
    tokens = runtime_tokens(loaded).texts
    tokens.encode("turn the lights", 0)
    with pytest.raises(InputError, match=WORDS):
        tokens.encode("turn <new>", 1)
