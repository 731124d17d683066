"""The task of a checkpoint is found in its files if the user does not name it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from ftool.tasks.registry import find_task
from ftool_export.checkpoints.pretrained import task_of
from ftool_export.errors import CheckpointError

HEADS: dict[str, Any] = {
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
    "question-answering": AutoModelForQuestionAnswering,
    "text-generation": AutoModelForCausalLM,
}
LABEL = "lights"


@pytest.mark.parametrize(
    ("config", "files", "task"),
    [
        ({"architectures": ["BertForSequenceClassification"]}, (), "text-classification"),
        ({"architectures": ["RobertaForTokenClassification"]}, (), "token-classification"),
        ({"architectures": ["DistilBertForQuestionAnswering"]}, (), "question-answering"),
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, (), "text-generation"),
        ({"architectures": ["BertModel"]}, ("modules.json",), "feature-extraction"),
        ({"architectures": ["BertModel"]}, (), None),  # an encoder may be for anything
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, (), None),  # two tasks
        # what ftool wrote counts for more: its classifiers are laid out as sentence-transformers' models
        ({"ftool": {"pooling": "mean"}}, ("modules.json",), "text-classification"),
        ({"ftool": {"task": "translation"}, "model_type": "t5"}, (), "translation"),
    ],
)
def test_the_task_is_found_in_the_checkpoint(
    tmp_path: Path, config: dict[str, object], files: tuple[str, ...], task: str | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
    for name in files:
        (tmp_path / name).write_text("[]")
    assert task_of(str(tmp_path)) == task


def test_the_task_of_an_encoder_in_a_subfolder_is_found_in_its_modules(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    assert task_of(str(tmp_path)) == "feature-extraction"


def saved_for(task: str, write_checkpoint: Callable[..., Path]) -> Path:
    """A tiny GPT-2 with the head of a task: an architecture that has a class for each of the four."""
    named = (
        {} if task != "question-answering" else {"id2label": {0: "a", 1: "b"}, "label2id": {"a": 0, "b": 1}}
    )
    return write_checkpoint("gpt2", head=HEADS[task], token_types=False, **named)


@pytest.mark.parametrize("asked", HEADS)
@pytest.mark.parametrize("own", HEADS)
def test_a_model_of_another_task_is_refused(
    own: str, asked: str, write_checkpoint: Callable[..., Path]
) -> None:
    source = saved_for(own, write_checkpoint)
    facts = {"outside_label": LABEL} if asked == "token-classification" else {}
    if own == asked:
        find_task(asked).load(str(source), **facts)
        return
    with pytest.raises(
        CheckpointError, match=rf"not for {asked}; use --task {own}, or train a new head on it"
    ):
        find_task(asked).load(str(source), **facts)


@pytest.mark.parametrize("architectures", [None, [], ["GPT2Model"], ["MyClassifier"], ["GPT2ForMaskedLM"]])
def test_a_class_that_names_no_task_is_read_for_any(
    architectures: list[str] | None, write_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(saved_for("text-classification", write_checkpoint), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": architectures}))
    find_task("text-classification").load(str(folder))


def test_a_class_of_a_task_that_ftool_lacks_is_refused(write_checkpoint: Callable[..., Path]) -> None:
    source = write_checkpoint("bert", head=AutoModelForMultipleChoice, id2label={0: "a"}, label2id={"a": 0})
    with pytest.raises(
        CheckpointError, match=re.escape("a model for no task of ftool (BertForMultipleChoice")
    ):
        find_task("text-classification").load(str(source))
