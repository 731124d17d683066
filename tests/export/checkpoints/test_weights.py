"""Weights: prefixes are removed, unused weights are named in a warning, and unfit ones are refused."""

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
        ("^", "model."),  # PyTorch Lightning
        ("^", "net."),
        ("^", "model._orig_mod."),
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


LAYER = "bert.encoder.layer.0.output.dense"


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32, torch.bool])
def test_integers_where_the_network_has_floating_point_numbers_are_refused(
    bert: Path, tmp_path: Path, kind: torch.dtype
) -> None:
    folder = changed(
        bert,
        tmp_path / "integers",
        lambda weights: {**weights, f"{LAYER}.weight": (weights[f"{LAYER}.weight"] * 10).to(kind)},
    )
    with pytest.raises(
        CheckpointError, match=rf"already quantised \({re.escape(LAYER)}.weight hold integers\)"
    ):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ({"mystery.weight": (3, 3)}, "nothing reads 1 of the weights in its files (mystery.weight)"),
        ({f"x.{i}.weight": (3, 3) for i in range(5)}, "nothing reads 5 of the weights in its files (x.0.weight, x.1"),
        ({"bert.encoder.layer.2.output.dense.weight": (32, 64)}, "nothing reads 1 of the weights"),
        ({"cls.predictions.bias": (23,), "cls.seq_relationship.weight": (2, 32)}, None),
        ({"qa_outputs.weight": (2, 32), "qa_outputs.bias": (2,)}, None),
        ({"lm_predictions.lm_head.bias": (23,), "mask_predictions.classifier.bias": (1,)}, None),
        ({"bert.embeddings.position_ids": (1, 64)}, None),
    ],
    ids=["one", "several", "a layer more", "pre-training", "another head", "DeBERTa", "positions"],
)  # fmt: skip
@pytest.mark.parametrize("load", [load_classifier, load_embedder])
def test_weights_that_nothing_reads_are_told(
    bert: Path,
    tmp_path: Path,
    texts: list[str],
    caplog: pytest.LogCaptureFixture,
    load: Callable[[Path], Any],
    added: dict[str, tuple[int, ...]],
    told: str | None,
) -> None:
    new = {name: torch.ones(shape) for name, shape in added.items()}
    folder = changed(bert, tmp_path / "more", lambda weights: {**weights, **new})
    load(folder)
    warnings = [one.getMessage() for one in caplog.records if "nothing reads" in one.getMessage()]
    assert (told in warnings[0] and len(warnings) == 1) if told else not warnings


@pytest.mark.parametrize(
    "added",
    [
        f"{LAYER}.lora_A.weight",
        f"{LAYER}.lora_B.default.weight",
        f"base_model.model.{LAYER}.base_layer.weight",
        f"{LAYER}.lora_magnitude_vector.default.weight",
        "base_model.model.classifier.modules_to_save.default.weight",
        f"{LAYER}.ia3_l.default",
    ],
)
@pytest.mark.parametrize("load", [load_classifier, load_embedder])
def test_an_adapter_that_was_not_merged_is_refused_by_name(
    bert: Path, tmp_path: Path, load: Callable[[Path], Any], added: str
) -> None:
    folder = changed(bert, tmp_path / "unmerged", lambda weights: {**weights, added: torch.ones(4, 32)})
    with pytest.raises(CheckpointError, match=r"1 of its weights are those of an adapter .*merge_and_unload"):
        load(folder)


def test_two_copies_of_the_weights_are_told_apart_by_their_prefixes(bert: Path, tmp_path: Path) -> None:
    folder = changed(
        bert,
        tmp_path / "copies",
        lambda weights: {
            f"{copy}.{name}": value + (copy == "ema")
            for copy in ("ema", "net")
            for name, value in weights.items()
        },
    )
    with pytest.raises(
        CheckpointError, match=r"and 34 more are missing .* with the prefixes ema\. and net\."
    ):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pytorch_model.bin", "its weights are pickled (pytorch_model.bin)"),
        ("pytorch_model-00001-of-00002.bin", "its weights are pickled (pytorch_model-00001-of-00002.bin)"),
        ("model.pt", "its weights are pickled (model.pt)"),
        ("last.ckpt", "its weights are pickled (last.ckpt)"),
        ("tf_model.h5", "its weights are those of TensorFlow (tf_model.h5)"),
        ("flax_model.msgpack", "its weights are those of Flax (flax_model.msgpack)"),
        (
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json is missing, which says what is in",
        ),
        ("weights.safetensors", "if weights.safetensors holds the model, give the file that name"),
        ("optimizer.pt", "model.safetensors could not be read"),
    ],
)
def test_what_stands_in_the_place_of_model_safetensors_is_named(
    bert: Path, tmp_path: Path, name: str, told: str
) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "other"))
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(CheckpointError, match=re.escape(told)):
        load_classifier(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "vocab.txt"])
def test_a_pointer_of_git_lfs_is_named(bert: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "pointers"))
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1234\n")
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)}: not the file itself.*git lfs pull"):
        load_classifier(folder)
