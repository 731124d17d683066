"""Checkpoints of strangers: a wrong config.json or index of weights is refused in one line, and no code is run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModel

from ftool_export.checkpoints.classifier import compute_logits, load_classifier
from ftool_export.checkpoints.pretrained import read_config
from ftool_export.checkpoints.weights import read_weights
from ftool_export.errors import CheckpointError


@pytest.fixture
def configured(bert: Path, tmp_path: Path) -> Callable[..., Path]:
    """Returns a copy of a checkpoint whose config.json has other values."""

    def copy(**values: Any) -> Path:
        folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**config, **values}), encoding="utf-8")
        return folder

    return copy


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "num_hidden_layers",
            10**9,
            "num_hidden_layers in config.json must be from 1 to 1,000, got 1000000000",
        ),
        ("num_hidden_layers", -1, "must be from 1 to 1,000, got -1"),
        ("num_hidden_layers", 0, "must be from 1 to 1,000, got 0"),
        ("hidden_size", 0, "must be from 1 to 1,000,000, got 0"),
        ("hidden_size", 10**9, "must be from 1 to 1,000,000, got 1000000000"),
        ("num_attention_heads", 0, "must be from 1 to 10,000, got 0"),
        ("vocab_size", 10**12, "must be from 1 to 10,000,000"),
        ("max_position_embeddings", 10**12, "must be from -1 to 100,000,000"),
        ("type_vocab_size", 10**10, "must be from 0 to 100,000"),
        ("intermediate_size", 10**10, "must be from 1 to 10,000,000"),
        ("num_labels", 10**9, "must be from 1 to 1,000,000"),
        ("hidden_act", "os.system", "no network can be made from config.json (KeyError"),
        ("pad_token_id", 10**9, "no network can be made from config.json (AssertionError"),
        ("intermediate_size", 9_000_000, "parameters, and the files hold"),
    ],
)
@pytest.mark.timeout(60, func_only=True)
def test_a_config_that_no_network_has_is_refused(
    configured: Callable[..., Path], name: str, value: object, message: str
) -> None:
    folder = configured(**{name: value})
    with pytest.raises(CheckpointError) as refused:
        load_classifier(folder)
    assert message in str(refused.value)
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize("name", ["_attn_implementation", "attn_implementation", "experts_implementation"])
@pytest.mark.parametrize("kernel", ["somebody/attention", "flash_attention_2", {"": "somebody/attention"}])
def test_no_code_is_loaded_that_a_config_names(
    configured: Callable[..., Path], name: str, kernel: Any
) -> None:
    folder = configured(**{name: kernel})
    network, _ = read_weights(AutoModel, str(folder), read_config(str(folder)))
    assert network.config._attn_implementation in ("eager", "sdpa")


@pytest.mark.parametrize("name", ["return_dict", "output_attentions", "output_hidden_states"])
def test_what_a_config_wants_returned_changes_nothing(
    configured: Callable[..., Path], bert: Path, texts: list[str], name: str
) -> None:
    folder = configured(**{name: name != "return_dict"})
    answers = compute_logits(load_classifier(folder), texts)
    np.testing.assert_allclose(answers, compute_logits(load_classifier(bert), texts), atol=1e-5)


@pytest.mark.parametrize(
    "index",
    [
        [],
        {},
        {"weight_map": []},
        {"weight_map": {"a": 3}},
        {"weight_map": {"a": "../../weights.safetensors"}},
        {"weight_map": {"a": "/dev/zero"}},
    ],
)
def test_an_index_that_names_no_files_of_the_checkpoint_is_refused(
    configured: Callable[..., Path], index: Any
) -> None:
    folder = configured()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="names no file of the checkpoint for each weight"):
        load_classifier(folder)


def test_a_padding_token_of_minus_1_stands_for_none(configured: Callable[..., Path]) -> None:
    loaded = load_classifier(configured(pad_token_id=-1))
    assert not loaded.model.reads_padding
