"""`--layout standard` for encoders: what other libraries read, and that it leads to the runtime's answers."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from sentence_transformers.sentence_transformer import modules as sentence_modules
from transformers import AutoModel, AutoModelForQuestionAnswering, AutoTokenizer

import ftool_runtime as ft
from ftool.tasks.registry import find_task
from ftool_export.bundle import writer
from ftool_export.checkpoints.embedder import load_embedder
from ftool_export.checkpoints.sentence_layout import write_modules
from ftool_export.errors import ExportError, GuardError
from ftool_export.examples.embedding import EmbeddingExamples
from ftool_export.layouts.proof import prove_parts
from ftool_export.networks.per_token import SpanReader
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE

WriteCheckpoint = Callable[..., Path]

SAME = 1e-5  # of vectors of length 1: the same numbers, pooled in another order


def exported(loaded: Any, examples: Any, folder: Path, **changes: Any) -> Path:
    """Export whatever the gate says of random weights."""
    settings = {"precision": "int8-rows", "layout": "standard", "allow_drift": True, **changes}
    bundle = export(ExportSettings(bundle=folder, **settings), loaded, examples).bundle
    assert bundle == folder
    return bundle


def graph_outputs(bundle: Path, texts: list[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Run all texts in one padded batch, as other libraries do: the outputs by name, and the mask."""
    encoded = AutoTokenizer.from_pretrained(bundle)(texts, padding=True, return_tensors="np")
    session = onnxruntime.InferenceSession(bundle / MODEL_FILE, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {entry.name: encoded[entry.name] for entry in session.get_inputs()})
    return dict(zip(names, found, strict=True)), encoded["attention_mask"]


@pytest.fixture(scope="module")
def embedder(
    write_checkpoint: WriteCheckpoint, tiny: PassSettings, texts: list[str], tmp_path_factory: Any
) -> Path:
    """A tiny embedder that pools by the first token, in int8-rows with standard names."""
    checkpoint = write_checkpoint("bert", head=AutoModel)
    folder = Path(shutil.copytree(checkpoint, tmp_path_factory.mktemp("cls") / "checkpoint"))
    write_modules(folder, [None], pooling="cls", width=32, max_length=32, settings={})
    loaded = load_embedder(folder)
    return exported(loaded, EmbeddingExamples(inputs=texts), folder.parent / "bundle", passes=tiny)


def test_sentence_transformers_modules_pool_the_graphs_token_vectors_to_the_runtimes(
    embedder: Path, texts: list[str]
) -> None:
    outputs, mask = graph_outputs(embedder, texts)
    assert list(outputs) == ["last_hidden_state", "sentence_embedding"]  # fastembed pools the first
    features = {
        "token_embeddings": torch.from_numpy(outputs["last_hidden_state"]),
        "attention_mask": torch.from_numpy(mask),
    }
    kinds = [
        module["type"].rsplit(".", 1)[-1] for module in json.loads((embedder / "modules.json").read_text())
    ]
    assert kinds == ["Transformer", "Pooling", "Normalize"]
    pooled = sentence_modules.Pooling.load(str(embedder / "1_Pooling"))(features)
    vectors = sentence_modules.Normalize()(pooled)["sentence_embedding"].numpy()
    with ft.load(embedder) as model:
        expected = model(texts)
    np.testing.assert_allclose(vectors, expected, atol=SAME)
    np.testing.assert_allclose(outputs["sentence_embedding"], expected, atol=SAME)
    assert len({*map(len, texts)}) > 1  # so that the batch had padding


def test_a_bundle_with_standard_names_passes_parity_and_verifies(embedder: Path, texts: list[str]) -> None:
    manifest = Manifest.read(embedder)
    assert (manifest.layout, manifest.output) == ("standard", "sentence_embedding")
    assert manifest.evidence["standard_layout"]["largest_difference"] < SAME
    loaded = load_embedder(embedder.parent / "checkpoint")
    failed = parity(loaded, embedder, EmbeddingExamples(inputs=texts)).to_json()["failed"]
    assert not {"weight_error", "constant_error", "rounding", "batch_effect"}.intersection(failed)
    assert ft.verify(embedder).passed


def test_parts_that_lead_elsewhere_are_refused(
    write_checkpoint: WriteCheckpoint, tiny: PassSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"num_labels": 2, "id2label": None, "label2id": None}
    row = find_task("question-answering")
    loaded = row.load(str(write_checkpoint("bert", head=AutoModelForQuestionAnswering, **names)))
    examples = row.samples(loaded)
    bundle = exported(loaded, examples, tmp_path / "reader", passes=tiny)
    outputs, _ = graph_outputs(bundle, ["turn the lights off", "stop"])
    assert list(outputs) == ["start_logits", "end_logits", "logits"]
    both = np.stack([outputs["start_logits"], outputs["end_logits"]], axis=-1)
    np.testing.assert_array_equal(both, outputs["logits"])
    monkeypatch.setattr(SpanReader, "combine", lambda self, parts, mask: torch.stack(parts[::-1], dim=-1))
    with pytest.raises(GuardError, match="lead to other numbers than logits"):
        prove_parts(bundle / MODEL_FILE, loaded, examples.inputs)


def test_a_precision_whose_answers_depend_on_the_batch_is_refused(
    bert: Path, texts: list[str], tmp_path: Path
) -> None:
    row = find_task("text-classification")
    loaded = row.load(str(bert))
    with pytest.raises(ExportError, match=r"share a scale.*use --precision int8-rows, or leave out --layout"):
        exported(loaded, row.samples(loaded), tmp_path / "bundle", precision="int8")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("inline", "expected"), [(1_000_000, {}), (0, {"use_external_data_format": {"model.onnx": 1}})]
)
def test_every_encoder_tells_transformers_js_which_files_to_read(
    inline: int,
    expected: dict[str, Any],
    bert: Path,
    tiny: PassSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "_MAX_INLINE", inline)
    row = find_task("text-classification")
    loaded = row.load(str(bert))
    bundle = exported(loaded, row.samples(loaded), tmp_path / "bundle", layout="ftool", passes=tiny)
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    assert config["transformers.js_config"] == {"dtype": "fp32", **expected}
    assert Manifest.read(bundle).files["config.json"].bytes == (bundle / "config.json").stat().st_size
    assert (bundle / f"{MODEL_FILE}_data").exists() == bool(expected)


def test_a_tokenizers_class_has_the_name_that_transformers_4_knows(
    write_checkpoint: WriteCheckpoint, tiny: PassSettings, tmp_path: Path
) -> None:
    row = find_task("text-classification")
    loaded = row.load(str(write_checkpoint("bert")))
    loaded = replace(loaded)
    loaded.tokenizer.init_kwargs["max_length"] = 8  # of an older padding; fastembed would cut texts there
    loaded.tokenizer.add_special_tokens({"extra_special_tokens": ["stop"]})
    bundle = exported(loaded, row.samples(loaded), tmp_path / "bundle", layout="ftool", passes=tiny)
    settings = json.loads((bundle / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "max_length" not in settings
    assert settings["additional_special_tokens"] == ["stop"]
    assert AutoTokenizer.from_pretrained(bundle).extra_special_tokens == [
        "stop"
    ]  # read by transformers 5 too
    assert settings["model_max_length"] == 32
