"""Every encoder task has a bundle in every precision, which verifies and whose answers are independent of the batch."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

import ftool_runtime as ft
from ftool.tasks.registry import find_task
from ftool_export.passes import PassSettings
from ftool_export.pipeline import capture_source, export
from ftool_export.precision_plans import PLANS
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest

TAGS = ["O", "B-x", "I-x"]
HEADS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text-classification": (AutoModelForSequenceClassification, {}),
    "token-classification": (
        AutoModelForTokenClassification,
        {"id2label": dict(enumerate(TAGS)), "label2id": {tag: i for i, tag in enumerate(TAGS)}},
    ),
    "question-answering": (
        AutoModelForQuestionAnswering,
        {"num_labels": 2, "id2label": None, "label2id": None},
    ),
    "feature-extraction": (AutoModel, {}),
}


@pytest.mark.parametrize(("task", "bits"), [*((task, 8) for task in HEADS), ("token-classification", 4)])
def test_a_task_in_every_precision(
    task: str, bits: int, write_checkpoint: Callable[..., Path], tiny: PassSettings, tmp_path: Path
) -> None:
    head, names = HEADS[task]
    row = find_task(task)
    loaded = row.load(str(write_checkpoint("bert", head=head, **names)))
    examples = row.samples(loaded)
    captured = capture_source(loaded, examples.inputs, tiny)
    passes = replace(tiny, embedding_bits=bits)
    for precision, plan in PLANS["encoder"].items():
        if bits == 4 and plan.quantize_products is None:
            continue
        folder = tmp_path / precision
        settings = ExportSettings(
            bundle=folder, precision=precision, device=plan.devices[-1], allow_drift=True, passes=passes
        )
        assert export(settings, loaded, examples, captured=captured).bundle == folder
        assert ft.verify(folder).passed, precision
        manifest = Manifest.read(folder)
        assert (manifest.precision.name, manifest.precision.rows_share_scale) == (
            precision,
            plan.rows_share_scale,
        )
        assert manifest.precision.embedding_bits == bits
        with ft.load(folder) as model:
            effect = examples.batch_effect(model).probability
        assert effect <= (0 if plan.rows_share_scale else 1e-5), precision
