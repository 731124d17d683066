"""Exports of checkpoints that don't say whether an input is one text or two: the data, the card or a flag says so."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.cli import ftool, told
from tests.helpers.files import write_jsonl
from transformers import AutoModelForSequenceClassification, BertConfig

import ftool_runtime as ft
from ftool_export.checkpoints.classifier import compute_logits, load_classifier


@pytest.fixture
def unstated(tiny_base: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a classifier of so many outputs without names; the fields of its configuration may be changed."""

    def write_checkpoint(outputs: int, card: str = "", **fields: Any) -> Path:
        folder = tmp_path / "checkpoint"
        torch.manual_seed(1)
        config = BertConfig.from_pretrained(tiny_base, num_labels=outputs, initializer_range=0.5, **fields)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_text((tiny_base / name).read_text())
        if card:
            (folder / "README.md").write_text(card)
        return folder

    return write_checkpoint


EXPORT = ("--task", "text-classification", "--precision", "fp32", "--max-drop", "1")
PARAPHRASES = [
    {"sentence1": f"rain {word}", "sentence2": f"the {other} song", "label": number % 2}
    for number, (word, other) in enumerate(product(["sun", "wind", "cloud"], ["soup", "bread", "rice"]))
]
NUMBERS = [row | {"label": row["label"] + 0.5} for row in PARAPHRASES]


@pytest.mark.parametrize(
    ("outputs", "data", "flags", "pairs", "words"),
    [
        (2, PARAPHRASES, (), True, "has two per row, so the bundle takes pairs"),
        (2, [row | {"label": f"LABEL_{row['label']}"} for row in PARAPHRASES], (), True, "has two per row"),
        (1, NUMBERS, (), True, "has two per row"),
        (2, PARAPHRASES, ("--pairs",), True, ""),
        (2, PARAPHRASES, ("--single-texts",), False, ""),
        (2, PARAPHRASES, ("--text-column", "sentence1", "--pair-column", "sentence2"), True, "has two per row"),
        (2, PARAPHRASES, ("--text-column", "sentence2"), False, ""),
        (2, [{"text": row["sentence1"], "label": row["label"]} for row in PARAPHRASES], (), False, ""),
        (2, None, ("--pairs",), True, ""),
        (1, None, ("--pairs",), True, ""),
        (2, None, (), False, "if it was trained on pairs, give --pairs, or --data with two texts per row"),
        (1, None, (), False, "if it was trained on pairs, give --pairs"),
    ],
)  # fmt: skip
def test_the_data_or_a_flag_says_that_a_checkpoint_takes_pairs(
    unstated: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    outputs: int,
    data: Any,
    flags: tuple[str, ...],
    pairs: bool,
    words: str,
) -> None:
    folder, bundle = unstated(outputs), tmp_path / "bundle"
    given = () if data is None else ("--data", write_jsonl(tmp_path / "data.jsonl", data))
    report = told("export", "--checkpoint", folder, *EXPORT, "-o", bundle, *given, *flags)
    assert ft.Manifest.read(bundle).pairs is pairs
    found = [record.getMessage() for record in caplog.records if "one text or two" in record.getMessage()]
    assert (words in found[0]) if words else not found
    if pairs:
        loaded = load_classifier(folder, pairs=True)
        expected = compute_logits(loaded, [{"text": "rain sun", "text_pair": "the soup song"}])
        kind = ft.TextRegressor if loaded.regression else ft.TextClassifier
        with kind.load(bundle, threads=1) as model:
            np.testing.assert_allclose(model.logits([("rain sun", "the soup song")]), expected, atol=1e-4)
    if data is PARAPHRASES and pairs:
        inputs = [{"text": row["sentence1"], "text_pair": row["sentence2"]} for row in PARAPHRASES]
        answers = compute_logits(loaded, inputs).argmax(axis=1)
        right = np.mean(answers == [row["label"] for row in PARAPHRASES])
        assert report["gate"]["reference"] == pytest.approx(right)


@pytest.mark.parametrize(
    ("outputs", "card", "fields", "pairs"),
    [
        (1, "---\npipeline_tag: text-ranking\n---\n", {}, True),
        (1, "---\ntags:\n- reranker\n---\n", {}, True),
        (2, "---\ntags:\n- cross-encoder\n---\n", {}, True),
        (2, "---\ntags: null\n---\n", {}, None),
        (2, "---\nlicense: mit\ntags:\n- text-classification\n---\n", {}, None),
        (3, "", {"id2label": {0: "contradiction", 1: "neutral", 2: "ENTAILMENT"}}, True),
        (2, "", {"id2label": {0: "no", 1: "yes"}}, None),
    ],
)
def test_a_card_or_labels_say_that_a_checkpoint_takes_pairs(
    unstated: Callable[..., Path], outputs: int, card: str, fields: dict[str, Any], pairs: bool | None
) -> None:
    folder = unstated(outputs, card, **fields)
    assert load_classifier(folder).pairs is pairs
    assert load_classifier(folder, pairs=False).pairs is False


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--task", "feature-extraction", "--pairs"), "--pairs is for text-classification; leave it out for feature-e"),
        (("--task", "text-classification", "--outside-label", "x"), "--outside-label is for token-classification"),
        (("--task", "text-classification", "--source-language", "de"), "--source-language is for summarization"),
    ],
)  # fmt: skip
def test_a_fact_that_the_task_does_not_know_is_refused(
    unstated: Callable[..., Path], tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    result = ftool("export", "--checkpoint", unstated(2), "-o", tmp_path / "bundle", *flags)
    assert result.exit_code == 2
    assert words in result.output
