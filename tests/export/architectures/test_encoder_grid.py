"""Each encoder is exported for each of its tasks; in the runtime, its outputs equal torch's for a grid of shapes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.paths import REPOSITORY
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from ftool_export.architectures.supported import ENCODER_TASKS, ENCODERS, Encoder, architectures_page
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.checkpoints.embedder import load_embedder
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.reader import create_reader, load_reader
from ftool_export.checkpoints.tagger import load_tagger
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.examples.embedding import EmbeddingExamples
from ftool_export.examples.questions import QuestionExamples
from ftool_export.examples.tagging import TaggingExamples
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest

WriteCheckpoint = Callable[..., Path]

TAGS = dict(enumerate(("O", "B-device", "I-device", "B-time", "I-time")))
HEADS = dict(
    zip(
        ENCODER_TASKS,
        (
            AutoModelForSequenceClassification,
            AutoModelForSequenceClassification,
            AutoModelForTokenClassification,
            AutoModelForQuestionAnswering,
            AutoModel,
        ),
        strict=True,
    )
)
# What tells architectures of one model type apart, and what a tiny network must have to show what a large one does.
CHANGES: dict[str, dict[str, Any]] = {
    "DeBERTa-v2": {"conv_kernel_size": 3, "conv_act": "gelu", "norm_rel_ebd": "layer_norm", "type_vocab_size": 0},
    "DeBERTa-v3": {"norm_rel_ebd": "layer_norm", "type_vocab_size": 0},
    "RoBERTa": {"type_vocab_size": 1},
    "XLM-R": {"type_vocab_size": 1},
}  # fmt: skip
# One for each mechanism: types that are needed, a window as bias, an attention of its own, scores by place.
IN_CI = {
    ("BERT", "text-classification of pairs"),
    ("BERT", "question-answering"),
    ("ModernBERT", "token-classification"),
    ("MPNet", "feature-extraction"),
    ("DeBERTa-v3", "question-answering"),
}


def checkpoint(row: Encoder, task: str, write: WriteCheckpoint) -> Path:
    changes = {**CHANGES.get(row.name, {})}
    if task == "token-classification":
        changes |= {"id2label": TAGS, "label2id": {tag: number for number, tag in TAGS.items()}}
    if task == "question-answering":
        changes |= {"id2label": {0: "start", 1: "end"}, "label2id": {"start": 0, "end": 1}}
    # RoBERTa's tokenizers make no types, for its table of them has one row; those of the others do, read or not.
    return write(row.model_type, head=HEADS[task], token_types=row.token_types != "one", **changes)


def loaded_with_examples(task: str, folder: Path, texts: list[str]) -> tuple[Any, Any]:
    if task.startswith("text-classification"):
        classifier = replace(load_classifier(folder), pairs=task.endswith("pairs"))
        pairs = [{"text": one, "text_pair": two} for one, two in zip(texts, reversed(texts), strict=True)]
        inputs: list[Any] = pairs if task.endswith("pairs") else texts
        return classifier, ClassificationExamples(loaded=classifier, inputs=inputs)
    if task == "token-classification":
        tagger = load_tagger(folder)
        return tagger, TaggingExamples(loaded=tagger, inputs=texts)
    if task == "question-answering":
        reader = load_reader(folder)
        asked = [{"question": "turn what on", "context": text} for text in texts]
        return reader, QuestionExamples(loaded=reader, inputs=asked)
    embedder = load_embedder(folder)
    return embedder, EmbeddingExamples(inputs=texts)


def test_every_architecture_in_the_table_has_a_name_of_its_own() -> None:
    assert len({row.name for row in ENCODERS}) == len(ENCODERS) == 10


@pytest.mark.parametrize(
    ("row", "task"),
    [
        pytest.param(row, task, id=f"{row.name}, {task}", marks=() if (row.name, task) in IN_CI else pytest.mark.slow)
        for row in ENCODERS
        for task in ENCODER_TASKS
    ],
)  # fmt: skip
def test_a_bundle_answers_as_torch_does_in_every_shape(
    row: Encoder,
    task: str,
    write_checkpoint: WriteCheckpoint,
    tiny: PassSettings,
    texts: list[str],
    tmp_path: Path,
) -> None:
    loaded, examples = loaded_with_examples(task, checkpoint(row, task, write_checkpoint), texts)
    settings = ExportSettings(bundle=tmp_path / "bundle", precision="fp32", passes=tiny)
    exported = export(settings, loaded, examples)
    assert exported.bundle is not None
    assert exported.attention == row.attention
    names = Manifest.read(exported.bundle).input.names
    two_texts = task in ("text-classification of pairs", "question-answering")
    assert ("token_type_ids" in names) == (row.token_types == "needed" and two_texts)

    report = parity(loaded, exported.bundle, examples)
    assert report.passed, report.to_json()
    assert report.agreement == 1
    assert report.logit_difference < 1e-4  # sums in another order differ by 1e-6 or so a layer
    assert report.batch_effect < 1e-5
    assert len(report.found.grid) == 6
    assert max(one.logit_difference for one in report.found.grid) < 1e-4


def test_docs_list_the_architectures_that_are_tried() -> None:
    page = REPOSITORY / "docs" / "architectures.md"
    assert page.read_text(encoding="utf-8") == architectures_page(), (
        "python -m ftool_export.architectures.supported docs/…"
    )


def test_a_reader_can_be_made_on_a_classifier_of_any_number_of_labels(
    write_checkpoint: WriteCheckpoint,
) -> None:
    reader = create_reader(str(write_checkpoint("bert")), max_length=24)  # five labels
    rows = reader.rows([{"question": "turn what on", "context": "turn the lights on"}])[0]
    assert compute_outputs(reader, rows)[0].shape == (len(rows[0].ids), 2)
