"""Training encoders with gradient checkpointing: layers are computed twice, and learn the same weights."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.training import interrupted_after, same_weights, weights_in
from torch import nn
from transformers.models.bert.modeling_bert import BertAttention

from ftool.errors import RecipeError, TrainingError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train
from ftool.training.encoder import NetworkWithLoss


def recipe(base: Path, data: Path, task: str = "text-classification", **settings: Any) -> Recipe:
    quick = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "threads": 1, "bf16": False}
    return Recipe(
        task=task,
        base=str(base),
        data=DataSettings(path=str(data)),
        train=TrainSettings(**{**quick, **settings}),
    )


@contextmanager
def layer_calls() -> Iterator[Counter[str]]:
    """Count how often attention is computed in training: under `forward`, and during a backward pass, under `again`."""
    calls: Counter[str] = Counter()

    def count(module: nn.Module, *_: Any) -> None:
        if isinstance(module, BertAttention) and module.training:
            again = torch._C._current_graph_task_id() != -1  # a backward pass is running
            calls["again" if again else "forward"] += 1

    hook = nn.modules.module.register_module_forward_pre_hook(count)
    try:
        yield calls
    finally:
        hook.remove()


@pytest.mark.parametrize("method", ["full", "lora", "setfit"])
def test_layers_are_computed_twice_and_learn_the_same_weights(
    tiny_base: Path, few_topics: Path, tmp_path: Path, method: str
) -> None:
    plain, checkpointed = tmp_path / "plain", tmp_path / "checkpointed"
    with layer_calls() as calls:
        train(recipe(tiny_base, few_topics, method=method), plain)
    assert calls["forward"] > 0
    assert calls["again"] == 0
    with layer_calls() as calls:
        train(recipe(tiny_base, few_topics, method=method, gradient_checkpointing=True), checkpointed)
    assert calls["again"] == calls["forward"] > 0
    left, right = weights_in(plain), weights_in(checkpointed)
    # dropout is drawn again as it was; on some processors sums depend on where arrays lie
    assert max(float((left[name].float() - right[name].float()).abs().max()) for name in left) < 1e-5


def test_a_resumed_run_ends_with_the_same_weights(tiny_base: Path, few_topics: Path, tmp_path: Path) -> None:
    made = recipe(tiny_base, few_topics, gradient_checkpointing=True)
    with interrupted_after(saves=1):
        train(made, tmp_path / "resumed")
    train(made, tmp_path / "resumed", resume=True)
    train(made, tmp_path / "unbroken")
    assert same_weights(tmp_path / "resumed" / "run", tmp_path / "unbroken" / "run")


def test_resuming_with_another_setting_is_refused(tiny_base: Path, few_topics: Path, tmp_path: Path) -> None:
    with interrupted_after(saves=1):
        train(recipe(tiny_base, few_topics), tmp_path)
    with pytest.raises(TrainingError, match=r"had train\.gradient_checkpointing = False, now it is True"):
        train(recipe(tiny_base, few_topics, gradient_checkpointing=True), tmp_path, resume=True)


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "question-answering"])
def test_tasks_of_encoders_have_the_setting(task: str) -> None:
    made = recipe(Path("base"), Path("data"), task, gradient_checkpointing=True)
    assert made.train.gradient_checkpointing


def test_the_setting_is_refused_for_embedders() -> None:
    with pytest.raises(
        RecipeError, match=r"train\.gradient_checkpointing is for .*, and the task is feature-"
    ):
        recipe(Path("base"), Path("data"), "feature-extraction", gradient_checkpointing=True)


def test_an_encoder_that_lacks_it_is_refused() -> None:
    network: Any = nn.Module()
    network.encoder = nn.Linear(2, 2)
    with pytest.raises(TrainingError, match="Linear has no layers that support it; set it to false"):
        NetworkWithLoss(
            network, lambda *_: torch.zeros(()), lambda *_: torch.zeros(())
        ).activation_checkpointing_enable()
