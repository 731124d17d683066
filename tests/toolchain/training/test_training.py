"""Training a tiny classifier: which files a run writes, how it is resumed, and what is refused."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.helpers.locks import held
from tests.helpers.training import interrupted_after, same_weights

from ftool.data.dataset import fingerprint
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.errors import TrainingError
from ftool.evaluation.evaluate import evaluate
from ftool.evaluation.results import TrainReport
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train
from ftool.training.classifier import ClassifierObjective
from ftool.training.head.features import cached_features, features_key
from ftool.training.objective import finetune
from ftool.workspace import cache_folder
from ftool_export.checkpoints.classifier import compute_logits, create_classifier, load_classifier
from ftool_runtime.errors import BusyError


def recipe(base: Path, data: Path, **settings: Any) -> Recipe:
    quick = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "threads": 1}
    separator = "|" if "tags" in data.name else None
    return Recipe(
        base=str(base),
        data=DataSettings(path=str(data), label_separator=separator),
        train=TrainSettings(**{**quick, **settings}),
    )


def fine_tuning(report: TrainReport) -> dict[str, Any]:
    """What fine-tuning did, the clock left out."""
    return {name: value for name, value in report.training["fine_tuning"].items() if name != "seconds"}


def test_the_head_alone_learns_and_leaves_the_encoder_as_it_was(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    report = train(recipe(tiny_base, topics, method="head"), tmp_path)
    assert report.test.metrics["accuracy"] > 0.6  # chance is a third; the encoder is random
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "run/config.json",
        "run/config_sentence_transformers.json",
        "run/metrics.json",
        "run/model.safetensors",
        "run/modules.json",
        "run/sentence_bert_config.json",
        "run/tokenizer.json",
        "run/tokenizer_config.json",
        "run/1_Pooling/config.json",
        "run/3_Dense/config.json",
        "run/3_Dense/model.safetensors",
        "reports/evaluations/run-test.json",
    }
    before = load_file(tiny_base / "model.safetensors")
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_metrics_json_says_what_was_made_and_how(tiny_base: Path, topics: Path, tmp_path: Path) -> None:
    made = recipe(tiny_base, topics, method="full", epochs=1)
    report = train(made, tmp_path)
    content = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert content == json.loads(json.dumps(report.to_json()))
    assert (content["task"], content["on"], content["split"]) == ("text-classification", "run", "test")
    assert content["examples"] == 36
    single = {
        "accuracy",
        "f1_macro",
        "f1_weighted",
        "per_class",
        "confusion_matrix",
        "expected_calibration_error",
    }
    assert single <= content["metrics"].keys()
    assert single <= content["validation"]["metrics"].keys()
    training = content["training"]
    assert {
        "seconds",
        "examples_per_second",
        "peak_memory_mb",
        "kept",
        "head",
        "fine_tuning",
    } <= training.keys()
    assert len(training["fine_tuning"]["validation_curve"]) == 2  # evaluations_per_epoch
    assert all(np.isfinite(point["loss"]) for point in training["fine_tuning"]["loss_curve"])
    assert content["recipe"]["train"]["method"] == "full"
    assert len(content["data"]["sha256"]) == 64
    loaded = load_classifier(tmp_path / "run")
    assert (loaded.training_sha256, loaded.training_examples) == (content["data"]["sha256"], 120)
    assert "accuracy" in report.table()
    assert "hardest on test" in report.table()


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("samples", ["multi", "single"])
def test_fine_tuning_is_never_worse_than_its_head_on_validation(
    tiny_base: Path, topics: Path, tmp_path: Path, method: str, samples: str
) -> None:
    report = train(recipe(tiny_base, topics, method=method, samples=samples, epochs=1), tmp_path)
    assert report.validation.metrics["accuracy"] >= report.training["head"]["best"]["score"]
    assert not (tmp_path / "run.partial").exists()


def test_lora_leaves_a_plain_checkpoint(tiny_base: Path, topics: Path, tmp_path: Path) -> None:
    report = train(recipe(tiny_base, topics, method="lora", epochs=1), tmp_path)
    assert report.training["fine_tuning"]["merge_difference"] < 1e-4
    assert (
        load_file(tiny_base / "model.safetensors").keys()
        == load_file(tmp_path / "run/model.safetensors").keys()
    )


def test_several_labels_get_thresholds_of_their_own(tiny_base: Path, tags: Path, tmp_path: Path) -> None:
    report = train(recipe(tiny_base, tags, method="head", thresholds="tuned"), tmp_path)
    loaded = load_classifier(tmp_path / "run")
    assert loaded.multi_label
    assert loaded.thresholds is not None
    assert len(loaded.thresholds) == 3
    made = recipe(tiny_base, tags, method="head", thresholds="tuned")
    assert loaded.tuned_on == fingerprint(load_dataset(LabelReader, made.data).validation.examples)
    assert report.validation.metrics["f1_macro"] == pytest.approx(report.training["head"]["best"]["score"])
    assert {"f1_micro", "subset_accuracy"} <= report.test.metrics.keys()


def test_two_runs_of_one_seed_are_equal(tiny_base: Path, few_topics: Path, tmp_path: Path) -> None:
    made = recipe(tiny_base, few_topics, method="full", epochs=1, max_length=4)
    first, second = (train(made, tmp_path / name) for name in ("a", "b"))
    assert same_weights(tmp_path / "a/run", tmp_path / "b/run")
    assert fine_tuning(first) == fine_tuning(second)


def test_texts_that_are_too_long_are_cut_counted_and_said(
    tiny_base: Path, topics: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = recipe(tiny_base, topics, method="head", max_length=4)
    made.write(tmp_path / "recipe.toml")
    report = train(made, tmp_path)
    assert report.to_json()["data"]["texts_cut"]["train"] == 120
    assert (
        "120 of 120 train texts have more than 4 tokens and were cut; raise train.max_length" in caplog.text
    )
    caplog.clear()
    tested = len(load_dataset(LabelReader, made.data).test)
    evaluate(tmp_path)
    assert f"{tested} of {tested} test texts have more than 4 tokens and were cut" in caplog.text


# --- fine-tuning and resuming


def run_finetune(
    base: Path, data: Path, folder: Path, resume_from: Path | None = None
) -> tuple[Any, dict[str, Any]]:
    """Fine-tuning from a head of zeros, so that there is much to gain."""
    made = recipe(base, data)
    read = load_dataset(LabelReader, made.data)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    loaded = create_classifier(str(base), read.labels, multi_label=False)
    objective = ClassifierObjective(loaded, read, made.train)
    objective.keep_start = False
    objective.begin = lambda: None  # type: ignore[method-assign]
    happened = finetune(objective, folder=folder, resume_from=resume_from)
    del happened["seconds"]
    return loaded, happened


def test_a_resumed_run_ends_where_the_unbroken_one_does(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    unbroken, expected = run_finetune(tiny_base, topics, tmp_path / "unbroken")
    assert expected["best_score"] > expected["start_score"]
    assert expected["best_step"] > 0
    with interrupted_after(saves=3):
        run_finetune(tiny_base, topics, tmp_path / "broken")
    checkpoint = max(
        (tmp_path / "broken").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1])
    )
    resumed, result = run_finetune(tiny_base, topics, tmp_path / "broken", checkpoint)
    assert result == expected
    left, right = unbroken.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_resumed_run_stops_early_where_the_unbroken_one_does(
    tiny_base: Path, few_topics: Path, tmp_path: Path
) -> None:
    # a learning rate that changes nothing: early stopping waits from the first evaluation to the fourth
    waiting = {"learning_rate": 1e-12, "epochs": 6, "evaluations_per_epoch": 1, "early_stopping_patience": 3}
    made = recipe(tiny_base, few_topics, method="full", **waiting)
    with interrupted_after(saves=3):
        train(made, tmp_path)
    resumed = train(made, tmp_path, resume=True)
    unbroken = train(made, tmp_path / "unbroken")
    assert (fine_tuning(unbroken)["updates"], fine_tuning(unbroken)["best_step"]) == (12, 0)  # of 18
    assert fine_tuning(resumed) == fine_tuning(unbroken)


def test_ctrl_c_leaves_the_old_run_and_what_resume_needs(
    tiny_base: Path, few_topics: Path, tmp_path: Path
) -> None:
    train(recipe(tiny_base, few_topics, method="head"), tmp_path)
    old = (tmp_path / "run" / "metrics.json").read_bytes()
    made = recipe(tiny_base, few_topics, method="full", max_length=4)
    with interrupted_after(saves=3):
        train(made, tmp_path)
    assert (tmp_path / "run" / "metrics.json").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports", "run", "run.partial"]
    resumed = train(made, tmp_path, resume=True)
    assert not (tmp_path / "run.partial").exists()
    unbroken = train(made, tmp_path / "unbroken")
    assert fine_tuning(resumed) == fine_tuning(unbroken)
    assert same_weights(tmp_path / "run", tmp_path / "unbroken/run")


def test_a_second_training_in_the_same_folder_is_refused(
    tiny_base: Path, few_topics: Path, tmp_path: Path
) -> None:
    made = recipe(tiny_base, few_topics, method="full", max_length=4)
    with held(tmp_path / "run", "ftool adapt"):
        with pytest.raises(BusyError, match=r"run: ftool adapt \(process \d+\) is writing there"):
            train(made, tmp_path)
        assert not (tmp_path / "run.partial").exists()
    train(made, tmp_path)


def test_a_loss_that_is_no_number_stops_with_the_remedy(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    made = recipe(tiny_base, topics, learning_rate=1e30, max_grad_norm=0.0, warmup_ratio=0.0)
    with pytest.raises(TrainingError, match=r"no longer a number at update \d+; lower train\.learning_rate"):
        train(made, tmp_path)
    assert not (tmp_path / "run").exists()


# --- the feature cache


def test_features_are_computed_once(
    tiny_base: Path, few_topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTOOL_CACHE", str(tmp_path / "cache"))
    made = recipe(tiny_base, few_topics, method="head")
    train(made, tmp_path / "a")
    files = {path: path.stat().st_mtime_ns for path in cache_folder().iterdir()}
    assert len(files) == 2  # train and validation
    train(made, tmp_path / "b")
    assert {path: path.stat().st_mtime_ns for path in cache_folder().iterdir()} == files
    assert same_weights(tmp_path / "a/run", tmp_path / "b/run")


def test_what_features_depend_on_is_in_their_key(tiny_base: Path) -> None:
    def key(texts: list[str], **settings: Any) -> str:
        options: dict[str, Any] = {"multi_label": False, **settings}
        return features_key(create_classifier(str(tiny_base), ["a", "b"], **options), texts)

    keys = {
        key(["rain", "sun"]),
        key(["rain", "sun "]),
        key(["rainsun", ""]),
        key(["rain", "sun"], max_length=5),
        key(["rain", "sun"], pooling="cls"),
    }
    assert len(keys) == 5
    loaded = create_classifier(str(tiny_base), ["a", "b"], multi_label=False)
    before = features_key(loaded, ["rain"])
    compute_logits(loaded, ["rain", "sun"])  # tokenizers remember how they were called last
    assert features_key(loaded, ["rain"]) == before
    with torch.no_grad():
        next(loaded.model.encoder.parameters()).add_(1e-3)
    assert features_key(loaded, ["rain"]) != before


def test_a_torn_cache_file_is_computed_again(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FTOOL_CACHE", str(tmp_path))
    loaded = create_classifier(str(tiny_base), ["a", "b"], multi_label=False)
    texts = ["rain", "the sun", "a song"]
    expected = np.array(cached_features(loaded, texts))
    (path,) = cache_folder().iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    np.testing.assert_array_equal(cached_features(loaded, texts), expected)
    assert "computing it again" in caplog.text


def test_a_full_disk_is_named_and_leaves_nothing(
    tiny_base: Path, topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("FTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("ftool.training.head.features._reserve", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*set FTOOL_CACHE"):
        train(recipe(tiny_base, topics, method="head"), tmp_path / "model")
    assert list(cache_folder().iterdir()) == []
    assert not (tmp_path / "model" / "run").exists()


def test_a_disk_that_fills_while_run_is_written_leaves_the_old_run(
    tiny_base: Path, few_topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe(tiny_base, few_topics, method="head"), tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}

    def torn(_: Any, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ftool_export.checkpoints.classifier.LoadedClassifier.save", torn)
    with pytest.raises(OSError, match="No space left"):
        train(recipe(tiny_base, few_topics, method="head", seed=1), tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


# --- several processes


def test_two_processes_train_one_model(tiny_base: Path, topics: Path, tmp_path: Path) -> None:
    recipe(tiny_base, topics, epochs=1, threads=None).write(tmp_path / "recipe.toml")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",
        "--no-python",
    ]
    ftool = str(Path(sys.executable).with_name("ftool"))
    done = subprocess.run(
        [*command, ftool, "train", str(tmp_path), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)  # one process prints
    assert report["training"]["processes"] == 2
    assert report["metrics"]["accuracy"] > 0.6
    assert compute_logits(load_classifier(tmp_path / "run"), ["rain"]).shape == (1, 3)
