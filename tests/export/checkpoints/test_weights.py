"""Weights: prefixes of wrapped models are taken off, and quantised ones are refused by name."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification

from ftool_export.checkpoints.classifier import compute_logits, create_classifier, load_classifier
from ftool_export.checkpoints.embedder import compute_vectors, load_embedder
from ftool_export.checkpoints.pretrained import task_of
from ftool_export.checkpoints.tagger import create_tagger, load_tagger
from ftool_export.errors import CheckpointError

WriteCheckpoint = Callable[..., Path]


def changed(folder: Path, copy: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """A copy of a checkpoint with changed weights."""
    shutil.copytree(folder, copy)
    weights = change(load_file(copy / "model.safetensors"))
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


@pytest.mark.parametrize(
    ("pattern", "wrapped"),
    [
        ("^", "_orig_mod."),
        ("^", "module."),
        ("^", "module._orig_mod."),
        ("^", "_orig_mod.module."),
        ("^", "_fsdp_wrapped_module._orig_mod."),
        (r"^bert\.", "bert._orig_mod."),
        (r"layer\.0\.", "layer.0._checkpoint_wrapped_module."),
    ],
)
def test_prefixes_of_wrapped_models_are_taken_off(
    bert: Path, tmp_path: Path, texts: list[str], pattern: str, wrapped: str
) -> None:
    folder = changed(
        bert,
        tmp_path / "wrapped",
        lambda weights: {re.sub(pattern, wrapped, name): value for name, value in weights.items()},
    )
    expected = compute_logits(load_classifier(bert), texts)
    np.testing.assert_array_equal(compute_logits(load_classifier(folder), texts), expected)
    vectors = compute_vectors(load_embedder(bert), texts)
    np.testing.assert_array_equal(compute_vectors(load_embedder(folder), texts), vectors)
    base, plain = (create_classifier(str(one), ["a", "b"], multi_label=False) for one in (folder, bert))
    for name, value in plain.model.encoder.bert.state_dict().items():
        torch.testing.assert_close(base.model.encoder.bert.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    "load",
    [
        load_classifier,
        load_embedder,
        lambda folder: create_classifier(str(folder), ["a", "b"], multi_label=False),
        lambda folder: create_classifier(str(folder), ["a", "b"], multi_label=False, pooling="mean"),
        lambda folder: create_tagger(str(folder), ["O", "B-x"], max_length=16),
    ],
)
def test_an_encoder_that_lacks_weights_is_refused_for_training_too(
    bert: Path, tmp_path: Path, load: Callable[[Path], Any]
) -> None:
    kept = "bert.encoder.layer.0."
    folder = changed(
        bert,
        tmp_path / "partly",
        lambda weights: {name: value for name, value in weights.items() if not name.startswith(kept)},
    )
    with pytest.raises(
        CheckpointError, match=r"the weights of (bert\.)?encoder\.layer\.0\..* are missing in model"
    ):
        load(folder)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"quant_method": "gptq", "bits": 4}, "quantization_config in config.json: gptq"),
        ({"quant_method": "awq", "bits": 4}, "quantization_config in config.json: awq"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "quantization_config in config.json: bitsandbytes"),
        ({"load_in_4bit": True}, "already quantised (quantization_config in config.json), and"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"quant_method": "unheard-of"}, "unheard-of"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("load", [task_of, load_classifier, load_embedder])
def test_a_quantised_checkpoint_is_refused_by_name(
    bert: Path, tmp_path: Path, load: Callable[[str], Any], config: dict[str, Any], words: str
) -> None:
    folder = changed(bert, tmp_path / "quantised", lambda weights: weights)
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**written, "quantization_config": config}))
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load(str(folder))


@pytest.mark.parametrize("ending", ["SCB", "weight_scale", "qzeros"])
def test_quantised_weights_without_a_word_in_the_configuration_are_refused(
    write_checkpoint: WriteCheckpoint, tmp_path: Path, ending: str
) -> None:
    name = "bert.encoder.layer.0.output.dense"

    def quantise(weights: dict[str, Any]) -> dict[str, Any]:
        small = (weights[f"{name}.weight"] * 100).to(torch.int8)
        return {**weights, f"{name}.weight": small, f"{name}.{ending}": torch.ones(1)}

    source = write_checkpoint("bert", head=AutoModelForTokenClassification)
    with pytest.raises(CheckpointError, match=r"already quantised \(its weights have scales\)"):
        load_tagger(changed(source, tmp_path / "quantised", quantise))
