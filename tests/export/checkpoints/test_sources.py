"""Where checkpoints lie: the hub's cache without a network, folders of a Trainer, weights in several files."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as parts
from transformers import (
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from ftool_export.checkpoints.classifier import compute_logits, create_classifier, load_classifier
from ftool_export.checkpoints.embedder import compute_vectors, load_embedder
from ftool_export.checkpoints.generator import load_generator
from ftool_export.checkpoints.pretrained import task_of, weights_sha256
from ftool_export.checkpoints.reader import load_reader
from ftool_export.checkpoints.tagger import load_tagger
from ftool_export.errors import CheckpointError

WriteCheckpoint = Callable[..., Path]
TAGS = {"id2label": {0: "O", 1: "B-x"}, "label2id": {"O": 0, "B-x": 1}}


# --- the hub's cache --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["offline", "unreachable"])
def cached(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, str], str]:
    """Puts a folder into the hub's cache under an id, as a download does; the hub itself can't be reached."""
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", request.param == "offline")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def put(folder: Path, name: str) -> str:
        name = f"{name}-{tmp_path.name}"  # ftool asks for an id only once
        place, revision = cache / f"models--{name.replace('/', '--')}", "a" * 40
        for path in folder.rglob("*"):
            if path.is_file():
                copy = place / "snapshots" / revision / path.relative_to(folder)
                blob = place / "blobs" / f"{len(list((place / 'blobs').glob('*'))):040x}"
                for one in (copy, blob):
                    one.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, blob)
                copy.symlink_to(blob)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(revision)
        return name

    return put


LOADERS: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "text-classification": (AutoModelForSequenceClassification, load_classifier),
    "token-classification": (AutoModelForTokenClassification, load_tagger),
    "question-answering": (AutoModelForQuestionAnswering, load_reader),
    "text-generation": (AutoModelForCausalLM, lambda source: load_generator(source, "text-generation")),
}


@pytest.mark.parametrize("task", LOADERS)
def test_a_model_in_the_hubs_cache_is_read_by_its_id_without_a_network(
    task: str, write_checkpoint: WriteCheckpoint, cached: Callable[[Path, str], str]
) -> None:
    head, load = LOADERS[task]
    architecture = "llama" if task == "text-generation" else "bert"
    folder = write_checkpoint(architecture, head=head, **(TAGS if task == "token-classification" else {}))
    if task == "question-answering":
        folder = write_checkpoint(architecture, head=head, num_labels=2, id2label=None, label2id=None)
    name = cached(folder, "owner/model")
    begun = time.perf_counter()
    assert task_of(name) == task
    loaded = load(name)
    assert time.perf_counter() - begun < 10
    assert weights_sha256(loaded.model) == weights_sha256(load(str(folder)).model)
    assert loaded.base == name


def test_a_sentence_transformers_model_in_the_cache_keeps_its_layout(
    bert: Path, tmp_path: Path, texts: list[str], cached: Callable[[Path, str], str]
) -> None:
    folder = tmp_path / "st"
    SentenceTransformer(
        modules=[parts.Transformer(str(bert)), parts.Pooling(32, pooling_mode="cls"), parts.Normalize()]
    ).save(str(folder))
    expected = compute_vectors(load_embedder(folder), texts)
    name = cached(folder, "owner/st")
    assert task_of(name) == "feature-extraction"
    np.testing.assert_array_equal(compute_vectors(load_embedder(name), texts), expected)


@pytest.mark.parametrize("configured", [False, True])
def test_an_adapter_and_its_base_in_the_cache_are_merged(
    bert: Path, tmp_path: Path, texts: list[str], cached: Callable[[Path, str], str], configured: bool
) -> None:
    network = AutoModelForSequenceClassification.from_pretrained(bert)
    adapted = get_peft_model(network, LoraConfig(task_type="SEQ_CLS", init_lora_weights=False))
    folder = tmp_path / "adapter"
    adapted.save_pretrained(folder)
    if configured:  # as some tools upload it
        shutil.copy(bert / "config.json", folder)
    expected = compute_logits(load_classifier(folder), texts)
    settings = json.loads((folder / "adapter_config.json").read_text())
    named = {**settings, "base_model_name_or_path": cached(bert, "owner/base")}
    (folder / "adapter_config.json").write_text(json.dumps(named))
    name = cached(folder, "owner/adapter")
    assert task_of(name) == "text-classification"
    np.testing.assert_array_equal(compute_logits(load_classifier(name), texts), expected)


# --- a Trainer's folder -----------------------------------------------------------------------------------------------


def test_a_trainers_folder_with_a_model_and_checkpoints_is_the_model(
    bert: Path, write_checkpoint: WriteCheckpoint, tmp_path: Path, texts: list[str]
) -> None:
    folder = tmp_path / "output"
    shutil.copytree(bert, folder)
    other = write_checkpoint("bert", hidden_size=16)
    for step in (500, 1000):
        shutil.copytree(other, folder / f"checkpoint-{step}")
        for name in (
            "optimizer.pt",
            "training_args.bin",
            "trainer_state.json",
            "scheduler.pt",
            "rng_state.pth",
        ):
            (folder / f"checkpoint-{step}" / name).write_text("{}")
    expected = compute_logits(load_classifier(bert), texts)
    np.testing.assert_array_equal(compute_logits(load_classifier(folder), texts), expected)
    assert load_classifier(folder / "checkpoint-500").model.config.hidden_size == 16


# --- weights in several files -----------------------------------------------------------------------------------------


@pytest.fixture
def sharded(bert: Path, tmp_path: Path) -> Path:
    """The checkpoint with its weights in several files."""
    folder = tmp_path / "sharded"
    shutil.copytree(bert, folder)
    (folder / "model.safetensors").unlink()
    network = AutoModelForSequenceClassification.from_pretrained(bert)
    network.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    return folder


def test_weights_in_several_files_are_read(sharded: Path, bert: Path, texts: list[str]) -> None:
    expected = compute_logits(load_classifier(bert), texts)
    np.testing.assert_array_equal(compute_logits(load_classifier(sharded), texts), expected)
    created = create_classifier(str(sharded), ["a", "b"], multi_label=False)
    before = load_classifier(bert).model.encoder.bert
    assert weights_sha256(created.model.encoder.bert) == weights_sha256(before)


@pytest.mark.parametrize("damage", ["missing", "cut", "index", "names"])
def test_damage_to_one_of_several_files_is_named(sharded: Path, damage: str) -> None:
    first = min(sharded.glob("model-*-of-*.safetensors"))
    index = sharded / "model.safetensors.index.json"
    if damage == "missing":
        first.unlink()
    elif damage == "cut":
        first.write_bytes(first.read_bytes()[:-9])
    elif damage == "index":
        index.write_text("{")
    else:
        content = json.loads(index.read_text())
        kept = {name: file for name, file in content["weight_map"].items() if file != first.name}
        index.write_text(json.dumps({**content, "weight_map": kept}))
    with pytest.raises(CheckpointError, match="sharded"):
        load_classifier(sharded)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_read_in_full(
    bert: Path, tmp_path: Path, texts: list[str], dtype: torch.dtype
) -> None:
    folder = tmp_path / "half"
    shutil.copytree(bert, folder)
    AutoModelForSequenceClassification.from_pretrained(bert, dtype=dtype).save_pretrained(folder)
    loaded = load_classifier(folder)
    assert next(loaded.model.parameters()).dtype == torch.float32
    expected = compute_logits(load_classifier(bert), texts)
    np.testing.assert_allclose(compute_logits(loaded, texts), expected, atol=0.1 * np.abs(expected).max())
