"""Parts of training, each tested on small arrays that are written by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812
from transformers import TrainingArguments

from ftool.data.rows.labels import LabelledText
from ftool.errors import TrainingError
from ftool.recipe.sections import TrainSettings
from ftool.training import checkpoints
from ftool.training.batches import SimilarLengths
from ftool.training.hardware import has_bf16, use_bf16, use_threads
from ftool.training.head.fit import HeadTrial, LabelledFeatures, choose, fit_head, head_logits
from ftool.training.head.fit_online import fit_head_online
from ftool.training.head.teach import teach_head
from ftool.training.loop import trainer_arguments
from ftool.training.losses import ClassificationLoss, class_weights, encode_targets, output_weights
from ftool.training.runs import training_summary
from ftool_runtime.errors import InputError


def clusters(count: int, seed: int, *, offset: float = 0.0) -> LabelledFeatures:
    """Three classes of 8-dimensional points, each around a corner of its own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    features = rng.normal(scale=0.3, size=(count, 8)) + 2 * np.eye(8)[labels] + offset
    return LabelledFeatures(features=features.astype(np.float32), targets=torch.tensor(labels))


def accuracy(examples: LabelledFeatures) -> Callable[[np.ndarray], float]:
    return lambda logits: float((logits.argmax(1) == examples.targets.numpy()).mean())


SINGLE = ClassificationLoss(multi_label=False)


# --- losses


def labelled(*labels: str) -> list[LabelledText]:
    """Texts with labels of one letter each."""
    return [LabelledText(f"text {row}", tuple(names)) for row, names in enumerate(labels)]


def test_the_errors_of_several_numbers_weigh_the_same_on_every_scale() -> None:
    texts = [LabelledText(f"text {row}", scores=(row / 4, 100.0 * row)) for row in range(5)]
    targets = encode_targets(texts, ("a", "b"), multi_label=False, regression=True)
    loss = ClassificationLoss(multi_label=False, regression=True, weights=output_weights(targets))
    means = targets.mean(dim=0)
    torch.testing.assert_close(loss(means.expand(5, 2), targets), torch.tensor(1.0))  # variance / variance
    torch.testing.assert_close(
        loss(torch.stack([targets[:, 0], means[1].expand(5)], 1), targets), torch.tensor(0.5)
    )
    alone = targets[:, :1]
    assert output_weights(alone) is None
    plain = ClassificationLoss(multi_label=False, regression=True)
    torch.testing.assert_close(plain(alone + 0.5, alone), torch.tensor(0.25))


def test_balanced_weights_make_every_class_weigh_the_same() -> None:
    targets = encode_targets(labelled("a", "a", "a", "b"), ("a", "b"), multi_label=False)
    weights = class_weights("balanced", targets, ("a", "b"))
    assert weights is not None
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 2.0]))  # 4 examples, 2 classes, counts 3 and 1


def test_balanced_weights_of_several_labels_are_the_root_of_negatives_by_positives() -> None:
    targets = encode_targets(labelled("a", "a", "a", "a", "ab"), ("a", "b"), multi_label=True)
    weights = class_weights("balanced", targets[:, 1:], ("b",))
    assert weights is not None
    torch.testing.assert_close(weights, torch.tensor([2.0]))  # the root of 4 / 1


def test_given_weights_leave_the_other_labels_at_one_and_refuse_unknown_ones() -> None:
    targets = encode_targets(labelled("a", "b", "c"), ("a", "b", "c"), multi_label=False)
    weights = class_weights({"b": 2.5}, targets, ("a", "b", "c"))
    assert weights is not None
    assert weights.tolist() == [1.0, 2.5, 1.0]
    with pytest.raises(TrainingError, match="names 'd', which is not a label; labels are a, b, c"):
        class_weights({"d": 2.0}, targets, ("a", "b", "c"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5])])
def test_the_softmax_loss_is_torchs_own(weights: torch.Tensor | None, smoothing: float) -> None:
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    loss = ClassificationLoss(multi_label=False, weights=weights, smoothing=smoothing)
    expected = F.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, targets), expected)


def test_the_sigmoid_loss_sums_over_labels_and_weighs_positives() -> None:
    logits, targets = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    loss = ClassificationLoss(multi_label=True, weights=torch.tensor([3.0, 1.0]))
    # Each of the four terms is log 2, the positive one thrice that; two examples.
    assert loss(logits, targets).item() == pytest.approx((3 + 3) * np.log(2) / 2)


# --- the order of examples


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=300),
    batch_size=st.integers(1, 16),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 5),
)
def test_every_example_comes_once_an_epoch(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    sampler = SimilarLengths(lengths, batch_size, seed)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(len(lengths)))


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    lengths = list(range(100))
    first, again = SimilarLengths(lengths, 8, 1), SimilarLengths(lengths, 8, 1)
    torch.rand(7)  # whatever the global generator does
    assert list(first) == list(again)
    first.set_epoch(1)
    assert list(first) != list(again)
    assert list(SimilarLengths(lengths, 8, 2)) != list(again)


def test_batches_hold_texts_of_like_length() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 60, 1000).tolist()
    order = list(SimilarLengths(lengths, 10, 0))
    batches = [[lengths[i] for i in order[start : start + 10]] for start in range(0, 1000, 10)]
    padding = sum(max(batch) * len(batch) - sum(batch) for batch in batches)
    assert padding < 0.1 * sum(lengths)  # random batches pad by about 80%
    assert [max(batch) for batch in batches] != sorted(
        max(batch) for batch in batches
    )  # yet batches are mixed


# --- the head


def test_the_head_finds_the_classes_and_the_penalty_that_validates_best() -> None:
    train, validation = clusters(300, 0), clusters(100, 1)
    head = torch.nn.Linear(8, 3)
    result = fit_head(head, train, validation, SINGLE, accuracy(validation))
    assert result.best.score == max(trial.score for trial in result.trials) == 1.0
    assert accuracy(validation)(head_logits(head, validation)) == result.best.score
    assert result.best is result.trials[0]  # of equal scores the strongest penalty


def test_fine_tuning_starts_from_the_strongest_penalty_that_is_nearly_as_good() -> None:
    trials = [
        HeadTrial(strength=1 / i, train_loss=1 / i, score=s) for i, s in enumerate((0.8, 0.895, 0.9, 0.9), 1)
    ]
    weights = [{"weight": torch.full((1, 1), float(i)), "bias": torch.zeros(1)} for i in range(4)]
    head = torch.nn.Linear(1, 1)
    result = choose(head, trials, weights)
    assert (result.best, result.start) == (trials[2], trials[1])
    assert head.weight.item() == 2.0
    assert result.start_weights is weights[1]


def test_training_the_head_is_the_same_wherever_features_lie_and_however_long_they_are() -> None:
    """Penalties mean the same for every encoder, because features are centred and scaled."""
    plain, moved = clusters(200, 0), clusters(200, 0)
    moved = LabelledFeatures(
        features=moved.features * 50 + 1000 * np.arange(8, dtype=np.float32), targets=moved.targets
    )
    losses = []
    for examples in (plain, moved):
        head = torch.nn.Linear(8, 3)
        result = fit_head(head, examples, examples, SINGLE, accuracy(examples))
        losses.append([trial.train_loss for trial in result.trials])
        assert result.best.score == 1.0  # judged on the plain features
    np.testing.assert_allclose(losses[0][:2], losses[1][:2], rtol=0.02)  # float32, weak penalties stop early


def test_one_example_an_update_learns_the_classes_too() -> None:
    train, validation = clusters(300, 0), clusters(100, 1)
    settings = TrainSettings(samples="single", head_learning_rate=0.01, epochs=2)
    heads = [torch.nn.Linear(8, 3) for _ in range(2)]
    results = [
        fit_head_online(head, train, validation, SINGLE, accuracy(validation), settings) for head in heads
    ]
    assert results[0].best.score > 0.98
    assert results[0].trials == results[1].trials  # the seed decides
    torch.testing.assert_close(heads[0].weight, heads[1].weight, rtol=0, atol=0)


# --- one example


def test_teaching_moves_the_example_and_leaves_what_is_unlike_it() -> None:
    head = torch.nn.Linear(4, 3)
    example, unlike = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0, 0.0])
    wrong = int(head(example).argmin())
    before = head(unlike).detach().clone()
    lesson = teach_head(head, example, [wrong], thresholds=None)
    assert lesson.learned
    assert 0 < lesson.updates < 50
    assert head(example).softmax(0)[wrong] >= 0.5
    torch.testing.assert_close(head(unlike), before, rtol=0, atol=0)  # orthogonal to the example


def test_teaching_what_is_known_changes_nothing() -> None:
    head = torch.nn.Linear(4, 3)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
    before = {name: value.clone() for name, value in head.state_dict().items()}
    lesson = teach_head(head, torch.ones(4) / 2, [0], thresholds=None)
    assert (lesson.updates, lesson.learned) == (0, True)
    assert all(torch.equal(before[name], value) for name, value in head.state_dict().items())


def test_teaching_several_labels_raises_each_to_its_threshold_and_no_other() -> None:
    head = torch.nn.Linear(4, 3)
    features = torch.tensor([0.5, 0.5, 0.5, 0.5])
    with torch.no_grad():
        head.bias.copy_(torch.tensor([-3.0, -3.0, -3.0]))
    untouched = head(features)[1].item()
    lesson = teach_head(head, features, [0, 2], thresholds=(0.3, 0.5, 0.7))
    scores = head(features).sigmoid()
    assert lesson.learned
    assert scores[0] >= 0.3
    assert scores[2] >= 0.7
    assert head(features)[1].item() == untouched


# --- hardware


def test_bf16_that_the_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftool.training.hardware.has_bf16", lambda: False)
    assert use_bf16("auto") is False
    with pytest.raises(TrainingError, match=r"train\.bf16 is true, and this machine has no bfloat16"):
        use_bf16(True)
    monkeypatch.undo()
    assert use_bf16("auto") is has_bf16()


@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_threads_out_of_reason_are_refused(threads: int) -> None:
    with pytest.raises(InputError, match="threads must lie between 1 and"):
        use_threads(threads)


# --- what Trainer is told


def test_settings_reach_trainer(tmp_path: Path) -> None:
    settings = TrainSettings(
        epochs=2,
        batch_size=8,
        gradient_accumulation=2,
        learning_rate=2e-4,
        weight_decay=0.05,
        warmup_ratio=0.2,
        schedule="cosine",
        max_grad_norm=0.5,
        evaluations_per_epoch=4,
        seed=7,
    )
    made = TrainingArguments(**trainer_arguments(settings, 100, tmp_path))
    assert made.num_train_epochs == 2
    assert (made.per_device_train_batch_size, made.gradient_accumulation_steps) == (8, 2)
    assert (made.learning_rate, made.weight_decay, made.max_grad_norm) == (2e-4, 0.05, 0.5)
    assert (made.warmup_steps, made.lr_scheduler_type) == (0.2, "cosine")
    assert made.eval_steps == made.save_steps == 2  # 7 updates an epoch, rounded up
    assert made.seed == 7


def test_single_samples_divide_the_learning_rate_by_the_root_of_the_batch_they_replace(
    tmp_path: Path,
) -> None:
    settings = TrainSettings(samples="single", batch_size=8, gradient_accumulation=2, learning_rate=4e-4)
    made = TrainingArguments(**trainer_arguments(settings, 100, tmp_path))
    assert (made.per_device_train_batch_size, made.gradient_accumulation_steps) == (1, 1)
    assert made.learning_rate == pytest.approx(1e-4)


# --- checkpoints


def checkpoint(folder: Path, step: int, *, complete: bool = True, best: str | None = None) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    (path / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": best}))
    if complete:
        arguments = SimpleNamespace(output_dir=str(folder))
        state = SimpleNamespace(is_world_process_zero=True, global_step=step, best_model_checkpoint=best)
        checkpoints.MarkComplete().on_save(arguments, state, None)  # type: ignore[arg-type]
    return path


def test_a_run_resumes_from_its_last_whole_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run.partial"
    checkpoints.begin(folder, {"train.seed": 1})
    checkpoint(folder, 90)
    whole = checkpoint(folder, 100, best="/elsewhere/run.partial/checkpoint-90")
    torn = checkpoint(folder, 200, complete=False)
    assert checkpoints.resume(folder, {"train.seed": 1}) == whole
    assert not torn.exists()
    state = json.loads((whole / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == str(folder / "checkpoint-90")  # the model folder was moved


def test_only_the_best_and_the_last_checkpoint_stay(tmp_path: Path) -> None:
    folder = tmp_path / "run.partial"
    checkpoints.begin(folder, {})
    best = checkpoint(folder, 10)
    for step in (20, 30):
        last = checkpoint(folder, step, best=str(best))
    assert sorted(path for path in folder.iterdir() if path.is_dir()) == [best, last]


def test_a_kill_while_a_checkpoint_is_deleted_leaves_no_half_of_it_to_resume_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        (folder / "trainer_state.json").unlink()
        raise KeyboardInterrupt

    folder = tmp_path / "run.partial"
    checkpoints.begin(folder, {})
    checkpoint(folder, 10)
    with monkeypatch.context() as patch:
        patch.setattr("ftool.training.checkpoints.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint(folder, 20)
    assert checkpoints.resume(folder, {}) == folder / "checkpoint-20"


def test_a_kill_while_a_run_is_discarded_leaves_nothing_to_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run.partial"
    checkpoints.begin(folder, {})
    (checkpoint(folder, 10) / "trainer_state.json").unlink()
    monkeypatch.setattr(
        "ftool.training.checkpoints.shutil.rmtree", lambda *_, **__: None
    )  # killed before that
    checkpoints.discard(folder)
    with pytest.raises(TrainingError, match="start one without --resume"):
        checkpoints.resume(folder, {})


def test_a_run_cut_off_before_its_first_checkpoint_starts_again(tmp_path: Path) -> None:
    checkpoints.begin(tmp_path / "p", {})
    assert checkpoints.resume(tmp_path / "p", {}) is None


def test_resuming_with_other_settings_names_the_one_that_changed(tmp_path: Path) -> None:
    checkpoints.begin(tmp_path / "p", {"train.seed": 1, "base": "minilm"})
    with pytest.raises(TrainingError, match=r"had train\.seed = 1, now it is 2; restore the setting"):
        checkpoints.resume(tmp_path / "p", {"train.seed": 2, "base": "minilm"})


def test_resuming_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no interrupted run to resume"):
        checkpoints.resume(tmp_path / "p", {})


def test_a_new_run_empties_the_old_ones_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints.begin(tmp_path / "p", {})
    old = checkpoint(tmp_path / "p", 5)
    checkpoints.begin(tmp_path / "p", {})
    assert not old.exists()
    assert "--resume would have continued it" in caplog.text


# --- what a run tells of itself


@pytest.mark.parametrize(
    ("best", "kept"), [(0, "the weights it began with, which fine-tuning did not beat"), (6, "update 6 of 8")]
)
def test_an_account_says_which_weights_were_kept_and_how_fast_it_went(best: int, kept: str) -> None:
    tuned = {"best_step": best, "updates": 8, "examples_seen": 60, "seconds": 4.0}
    summary = training_summary(
        {}, tuned, initial_weights="the weights it began with", examples=20, seconds=5.0
    )
    assert (summary["kept"], summary["fine_tuning"], summary["seconds"]) == (kept, tuned, 5.0)
    assert summary["examples_per_second"] == 15
    assert {"device", "threads", "versions"} <= summary.keys()
