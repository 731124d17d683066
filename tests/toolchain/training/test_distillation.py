"""Learning from a trained model: the loss, the teacher's answers beside the training rows, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.tiny_models import TinyModels

from ftool.data.load import load_dataset
from ftool.errors import RecipeError, TrainingError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.tasks.registry import find_task
from ftool.train_model import train
from ftool.training import distillation
from ftool.training.classifier import ClassifierObjective
from ftool.training.distillation import label_columns, load_teacher
from ftool.training.losses import ClassificationLoss, softened_divergence
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_logits, create_classifier
from ftool_export.networks.encoder import hidden_states

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
TAUGHT = torch.tensor([[1.0, 1.0, -2.0], [0.0, 1.0, 0.0]])


def recipe(base: Path, data: Path, task: str = "text-classification", **settings: Any) -> Recipe:
    quick = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "threads": 1, "evaluations_per_epoch": 1}
    return Recipe(
        task=task,
        base=str(base),
        data=DataSettings(path=str(data), label_separator="|" if "tags" in data.name else None),
        train=TrainSettings(**{**quick, **settings}),
    )


# --- the loss


@pytest.mark.parametrize("kind", [{}, {"multi_label": True}, {"regression": True}])
def test_equal_answers_cost_nothing_and_others_do(kind: dict[str, bool]) -> None:
    loss = ClassificationLoss(**{"multi_label": False, **kind})
    assert float(loss.imitation(TAUGHT, TAUGHT, 3.0)) == pytest.approx(0, abs=1e-6)
    assert float(loss.imitation(LOGITS, TAUGHT, 3.0)) > 0.1


def test_the_divergence_is_that_of_softened_probabilities_times_the_squared_temperature() -> None:
    found = softened_divergence(LOGITS, TAUGHT, 2.0)
    teacher, student = (np.exp(one.numpy() / 2) for one in (TAUGHT, LOGITS))
    teacher, student = (one / one.sum(1, keepdims=True) for one in (teacher, student))
    np.testing.assert_allclose(found, 4 * (teacher * np.log(teacher / student)).sum(1), rtol=1e-5)


def test_several_labels_are_compared_one_by_one() -> None:
    loss = ClassificationLoss(multi_label=True)
    teacher, student = (torch.sigmoid(one) for one in (TAUGHT, LOGITS))
    each = teacher * (teacher / student).log() + (1 - teacher) * ((1 - teacher) / (1 - student)).log()
    torch.testing.assert_close(loss.imitation(LOGITS, TAUGHT, 1.0), each.sum(1).mean())


def test_outputs_of_a_teacher_are_taken_in_the_order_of_the_datas_labels() -> None:
    assert label_columns(("a", "b", "c"), ("c", "a", "b"), "teacher") == [1, 2, 0]
    with pytest.raises(TrainingError, match="the label 'd' is one that the data does not have"):
        label_columns(("a", "b"), ("a", "b", "d"), "teacher")
    with pytest.raises(TrainingError, match="the label 'd' is one that the teacher does not have"):
        label_columns(("a", "d"), ("a",), "teacher")


# --- the teacher's answers


@pytest.fixture(scope="module")
def teacher(trained: TinyModels) -> Path:
    return trained["text-classification"]


def objective(base: Path, data: Path, **settings: Any) -> ClassifierObjective:
    made = recipe(base, data, **settings)
    loaded: LoadedClassifier = find_task(made.task).create(made, dataset := _dataset(made))
    return ClassifierObjective(loaded, dataset, made.train)


def _dataset(made: Recipe) -> Any:
    return load_dataset(made.row.reader, made.data, quiet=True)


def test_rows_carry_the_teachers_answers_to_their_texts(tiny_base: Path, topics: Path, teacher: Path) -> None:
    student = objective(tiny_base, topics, distill_hidden=1.0)
    taught = load_teacher(find_task("text-classification"), str(teacher))
    student.learn_from(taught)
    texts = _dataset(recipe(tiny_base, topics)).train.inputs
    np.testing.assert_allclose(
        [row.taught for row in student.rows.rows], compute_logits(taught, texts), atol=1e-5
    )
    row = student.rows.rows[0]
    assert row.hidden is not None
    batch = {name: torch.tensor([value]) for name, value in (("input_ids", row.ids.tolist()),)}
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    _, states = hidden_states(taught.model.encoder, lambda: taught.model(**batch))
    assert row.hidden.shape == (len(row.ids), 2 * 32)  # both layers
    np.testing.assert_allclose(row.hidden[:, 32:], states[2][0].detach(), atol=2e-3)  # float16


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_loss_is_the_share_of_the_labels_and_of_the_teacher(
    tiny_base: Path, few_topics: Path, teacher: Path, weight: float
) -> None:
    student = objective(tiny_base, few_topics, distill_weight=weight)
    student.learn_from(load_teacher(find_task("text-classification"), str(teacher)))
    network = student.network().eval()
    batch = student.rows.collate(student.rows.rows[:8])
    logits = network(**batch)["logits"]
    alone = (
        student.imitation(logits, batch["taught"], batch["labels"], batch["attention_mask"])
        if weight
        else student.loss(logits, batch["labels"], batch["attention_mask"])
    )
    torch.testing.assert_close(network(**batch)["loss"], alone)


def test_a_network_with_the_teachers_weights_has_no_error_in_hidden_states(
    tiny_base: Path, few_topics: Path, teacher: Path
) -> None:
    student = objective(tiny_base, few_topics, distill_hidden=1.0, distill_weight=1.0)
    taught = load_teacher(find_task("text-classification"), str(teacher))
    student.learn_from(taught)
    student.loaded.model.load_state_dict(taught.model.state_dict())
    batch = student.rows.collate(student.rows.rows[:8])  # of several lengths: padding must not count
    assert len({len(row.ids) for row in student.rows.rows[:8]}) > 1
    assert student.network().eval()(**batch)["loss"].item() < 1e-5


@pytest.mark.parametrize("task", ["text-classification", "question-answering"])
def test_a_student_is_trained_from_a_model_folder(
    tiny_base: Path, trained: TinyModels, topics: Path, questions: Path, tmp_path: Path, task: str
) -> None:
    lengths = {"max_length": 24, "stride": 6, "max_answer_length": 4}
    reader = task == "question-answering"
    made = recipe(
        tiny_base,
        questions if reader else topics,
        task,
        distill_from=str(trained[task]),
        distill_weight=1.0,
        distill_hidden=1.0,
        **(lengths if reader else {}),
    )
    report = train(made, tmp_path)
    curve = report.training["fine_tuning"]["loss_curve"]
    assert curve[-1]["loss"] < 0.9 * curve[0]["loss"]
    assert (tmp_path / "run" / "config.json").is_file()


# --- what is refused


def test_a_reader_refuses_a_teacher_that_makes_other_tokens(
    tiny_base: Path, questions: Path, trained: TinyModels, tmp_path: Path
) -> None:
    made = recipe(
        tiny_base,
        questions,
        "question-answering",
        distill_from=str(trained["question-answering"]),
        max_length=16,
        stride=4,
        max_answer_length=4,
    )
    with pytest.raises(TrainingError, match="other tokens of the training texts than the base"):
        train(made, tmp_path)


def test_a_teacher_of_other_data_is_refused(
    tiny_base: Path, tags: Path, teacher: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"data\.multi_label = false, and this data has true"):
        train(recipe(tiny_base, tags, distill_from=str(teacher)), tmp_path)


def test_hidden_states_that_take_too_much_memory_are_refused(
    tiny_base: Path, few_topics: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation, "_MOST_KEPT", 1000)
    student = objective(tiny_base, few_topics, distill_hidden=1.0)
    with pytest.raises(TrainingError, match=r"set train\.distill_hidden to 0"):
        student.learn_from(load_teacher(find_task("text-classification"), str(teacher)))


def test_hidden_states_of_another_width_are_left_out_with_a_warning(
    save_tiny_bert: Any, tiny_base: Path, few_topics: Path, teacher: Path, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    pieces = create_classifier(str(tiny_base), ("a",), multi_label=False).tokenizer.get_vocab()
    save_tiny_bert(
        tmp_path, [piece for piece in pieces if not piece.startswith("[")], length=32, hidden_size=16
    )
    student = objective(tmp_path, few_topics, distill_hidden=1.0)
    student.learn_from(load_teacher(find_task("text-classification"), str(teacher)))
    assert student.lessons is not None
    assert student.lessons.layers == ()
    assert "are 32 and not 16 wide" in caplog.text


def test_a_teacher_needs_a_method_that_trains_the_encoder(tiny_base: Path, topics: Path) -> None:
    with pytest.raises(RecipeError, match=r'distill_from needs train.method "full" or "lora", got "head"'):
        recipe(tiny_base, topics, method="head", distill_from="teacher")


def test_tasks_without_logits_refuse_a_teacher(numbers: Path) -> None:
    with pytest.raises(RecipeError, match=r"train\.distill_from is for .*and the task is translation"):
        recipe(Path("scratch:t5-tiny"), numbers, "translation", distill_from="teacher")


def test_a_missing_teacher_is_named(tiny_base: Path, topics: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"train\.distill_from: nowhere is not a folder"):
        train(recipe(tiny_base, topics, distill_from="nowhere"), tmp_path)


def test_a_teachers_path_is_relative_to_the_recipe_file(
    tiny_base: Path, topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("big").mkdir()
    recipe(tiny_base, topics, distill_from="big").write(Path("small/recipe.toml"))
    assert 'distill_from = "../big"' in Path("small/recipe.toml").read_text()
    read = Recipe.read(tmp_path / "small" / "recipe.toml")
    assert read.train.distill_from is not None
    assert Path(read.train.distill_from).resolve() == tmp_path / "big"
