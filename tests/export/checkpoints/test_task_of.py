"""The task of a checkpoint is found in its files if the user does not name it."""

import json
from pathlib import Path

import pytest

from ftool_export.checkpoints.pretrained import task_of


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
