"""Training tiny generators with random weights: what they learn, which files are written, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.cli import ftool
from tests.helpers.tiny_models import TinyModels
from tests.helpers.training import interrupted_after, same_weights, weights_in

from ftool.errors import TrainingError
from ftool.evaluation.evaluate import evaluate
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import GenerationSettings, TrainSettings
from ftool.train_model import train
from ftool_export.checkpoints.generator import load_generator
from ftool_export.checkpoints.generator_inference import decode, generate_tokens, tokenize_sources
from ftool_runtime.bundle.manifest import Languages


def recipe(data: Path, task: str = "translation", base: str = "scratch:t5-tiny", **settings: Any) -> Recipe:
    quick = {"epochs": 2, "batch_size": 16, "learning_rate": 3e-3, "threads": 1, "vocabulary_size": 400}
    quick |= {"max_length": 32, "max_target_length": 16, "evaluation_examples": 8}
    return Recipe(
        task=task,
        base=base,
        data=DataSettings(path=str(data)),
        train=TrainSettings(**{**quick, **settings}),
        generation=GenerationSettings(num_beams=2, no_repeat_ngram_size=5),
    )


@pytest.fixture(scope="module")
def translator(trained: TinyModels) -> Path:
    """A model folder whose run/ turns number words into numerals, mostly."""
    return trained["translation"]


def test_a_translator_learns_from_random_weights(translator: Path) -> None:
    content = json.loads((translator / "run" / "metrics.json").read_text())
    assert (
        content["metrics"]["token_accuracy"] > 0.5
    )  # chance, which knows how often each comes, has about 0.3
    curve = content["training"]["fine_tuning"]["loss_curve"]
    assert curve[-1]["loss"] < curve[0]["loss"] / 3
    assert set(content["metrics"]) > {"bleu", "chrf", "exact_match", "perplexity", "signatures"}
    assert content["training"]["fine_tuning"]["best_step"] > 0
    assert content["data"]["texts_cut"]["train"] == {"sources": 0, "answers": 0}
    assert "shown" not in json.dumps(content)


def test_run_holds_how_to_answer_and_loads_without_ftool(translator: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    left = {path.name for path in (translator / "run").iterdir()}
    assert left == {
        "config.json",
        "generation_config.json",
        "metrics.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((translator / "run" / "generation_config.json").read_text())
    assert (config["num_beams"], config["no_repeat_ngram_size"], config["max_new_tokens"]) == (2, 5, 16)
    tokenizer = AutoTokenizer.from_pretrained(translator / "run")
    model = AutoModelForSeq2SeqLM.from_pretrained(translator / "run")
    ids = model.generate(**tokenizer(["one two"], return_tensors="pt"))
    loaded = load_generator(translator / "run", "translation")
    answers = generate_tokens(loaded, tokenize_sources(loaded, ["one two"]))
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == decode(loaded, answers)[0]


def test_evaluate_gives_the_figures_of_training_again(translator: Path) -> None:
    content = json.loads((translator / "run" / "metrics.json").read_text())
    again = evaluate(translator)
    assert again.to_json() == {key: content[key] for key in again.to_json()}
    assert "->" in again.table()


@pytest.mark.parametrize(
    ("task", "base", "settings"),
    [
        ("translation", "scratch:t5-tiny", {}),
        ("summarization", "scratch:bart-tiny", {"label_smoothing": 0.1, "optimizer": "adafactor"}),
        ("text-generation", "scratch:gpt2-tiny", {"method": "lora"}),
        ("text-generation", "scratch:llama-tiny", {"label_smoothing": 0.1, "gradient_accumulation": 2}),
    ],
)
def test_a_resumed_run_ends_where_the_unbroken_one_does(
    few_numbers: Path,
    tmp_path: Path,
    task: str,
    base: str,
    settings: dict[str, Any],
) -> None:
    made = recipe(few_numbers, task, base, **settings)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    report = train(made, whole)
    with interrupted_after(saves=2):
        train(made, broken)
    assert not (broken / "run").exists()
    with pytest.raises(TrainingError, match=r"train\.learning_rate"):
        train(recipe(few_numbers, task, base, **settings, learning_rate=1e-3), broken, resume=True)
    resumed = train(made, broken, resume=True)
    assert same_weights(whole, broken)
    assert resumed.test.metrics == report.test.metrics
    assert not (broken / "run.partial").exists()


@pytest.mark.parametrize("base", ["scratch:gpt2-tiny", "scratch:llama-tiny"])
def test_a_chat_learns_to_answer_and_to_stop(chats: Path, tmp_path: Path, base: str) -> None:
    made = recipe(
        chats,
        "text-generation",
        base,
        epochs=9,
        evaluations_per_epoch=1,
        dropout=0.0,
        max_length=64,
        metric="token_accuracy",
    )
    report = train(made, tmp_path)
    assert report.test.metrics["token_accuracy"] > 0.7
    assert 0.5 < report.test.metrics["length_ratio"] < 2  # it ends its turn
    loaded = load_generator(tmp_path / "run", "text-generation")
    assert loaded.tokenizer.chat_template
    assert loaded.tokenizer.eos_token == "<|im_end|>"


def test_a_conversation_that_leaves_no_room_is_judged_in_a_bundle_as_in_its_run(
    chats: Path, tmp_path: Path
) -> None:
    made = recipe(chats, "text-generation", "scratch:gpt2-tiny", epochs=0.5, max_length=64)
    made.write(tmp_path / "recipe.toml")
    train(made, tmp_path)
    exported = ftool("export", str(tmp_path), "--precision", "fp32", "--max-drop", "1")
    assert exported.exit_code == 0, exported.output
    turns = [{"role": "user", "content": "seven " * 60}, {"role": "assistant", "content": "7"}]
    (tmp_path / "long.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    data = DataSettings(path=str(tmp_path / "long.jsonl"))
    run, bundle = (evaluate(tmp_path, on=on, data=data).metrics for on in ("run", "bundle"))
    assert {**bundle, "perplexity": 0} == {**run, "perplexity": 0}
    assert bundle["perplexity"] == pytest.approx(run["perplexity"], rel=1e-4)


def test_bare_texts_are_learnt_as_a_whole(documents: Path, tmp_path: Path) -> None:
    made = recipe(documents, "text-generation", "scratch:gpt2-tiny", epochs=8, dropout=0.0)
    report = train(made, tmp_path)
    assert set(report.test.metrics) == {"token_accuracy", "perplexity"}  # there is nothing to answer
    assert report.test.metrics["token_accuracy"] > 0.6
    made.write(tmp_path / "recipe.toml")
    refused = ftool("evaluate", str(tmp_path), "--predictions", str(tmp_path / "answers.jsonl"))
    assert refused.exit_code == 2
    assert "these examples have no answers to write" in refused.stderr


@pytest.mark.parametrize(
    ("task", "base"), [("translation", "t5"), ("translation", "bart"), ("text-generation", "llama")]
)
def test_lora_leaves_a_plain_checkpoint(numbers: Path, tmp_path: Path, task: str, base: str) -> None:
    full, lora = tmp_path / "full", tmp_path / "lora"
    train(recipe(numbers, task, f"scratch:{base}-tiny", epochs=0.2), full)
    made = recipe(numbers, task, str(full / "run"), method="lora", lora_rank=4, epochs=1)
    report = train(made, lora)
    assert report.training["fine_tuning"]["merge_difference"] < 1e-4
    assert weights_in(full).keys() == weights_in(lora).keys()
    changed = [
        name for name, value in weights_in(lora).items() if not torch.equal(value, weights_in(full)[name])
    ]
    assert changed
    assert all("embed" not in name and "shared" not in name and "lm_head" not in name for name in changed)


def test_gradient_checkpointing_learns_the_same_weights(few_numbers: Path, tmp_path: Path) -> None:
    plain, checkpointed = tmp_path / "plain", tmp_path / "checkpointed"
    train(recipe(few_numbers, epochs=0.5, bf16=False), plain)  # dropout too is drawn again as it was
    train(recipe(few_numbers, epochs=0.5, bf16=False, gradient_checkpointing=True), checkpointed)
    left, right = (
        weights_in(plain),
        weights_in(checkpointed),
    )  # on some processors sums depend on where arrays lie
    assert max(float((left[name] - right[name]).abs().max()) for name in left) < 1e-5


def test_single_samples_take_an_update_each(numbers: Path, tmp_path: Path) -> None:
    report = train(recipe(numbers, samples="single", epochs=0.25), tmp_path)
    assert report.training["fine_tuning"]["updates"] == 40  # a quarter of 160


def test_a_base_that_training_does_not_beat_is_kept(numbers: Path, translator: Path, tmp_path: Path) -> None:
    made = recipe(numbers, base=str(translator / "run"), learning_rate=0.3, epochs=0.2, warmup_ratio=0.0)
    report = train(made, tmp_path)
    assert report.training["kept"] == "the weights it began with, which fine-tuning did not beat"
    assert same_weights(translator, tmp_path)


def test_a_loss_that_is_no_number_stops_training(few_numbers: Path, tmp_path: Path, translator: Path) -> None:
    loaded = load_generator(translator / "run", "translation")
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight.fill_(float("nan"))
    (tmp_path / "broken").mkdir()
    loaded.save(tmp_path / "broken")
    with pytest.raises(TrainingError, match="no longer a number"):
        train(recipe(few_numbers, base=str(tmp_path / "broken")), tmp_path / "model")
    assert not (tmp_path / "model" / "run").exists()


def test_cut_texts_are_counted(few_numbers: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = recipe(few_numbers, max_length=4, max_target_length=3, epochs=0.2)
    report = train(made, tmp_path)
    cut = report.data["texts_cut"]["train"]
    assert cut["sources"] > 0
    assert cut["answers"] > 0
    assert "raise train.max_target_length" in caplog.text


def test_the_metric_that_decides_can_be_named(few_numbers: Path, tmp_path: Path) -> None:
    made = recipe(few_numbers, epochs=1, metric="token_accuracy")
    curve = train(made, tmp_path).training["fine_tuning"]["validation_curve"]
    assert all(0 < point["score"] < 1 for point in curve)


def test_a_prefix_goes_before_every_source_and_into_run(few_numbers: Path, tmp_path: Path) -> None:
    made = recipe(few_numbers, epochs=0.2)
    train(replace(made, data=replace(made.data, prefix="say: ")), tmp_path)
    assert load_generator(tmp_path / "run", "translation").prefix == "say: "


def test_a_scratch_translator_records_its_languages_and_what_its_tokenizer_alters(
    few_numbers: Path, tmp_path: Path
) -> None:
    made = recipe(few_numbers, epochs=0.2).with_overrides(
        ["data.source_language=en", "data.target_language=zh"]
    )
    train(made, tmp_path)
    languages = load_generator(tmp_path / "run", "translation").languages
    assert languages == Languages(source="en", target="zh")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["data"]["training_texts_altered"] == 0


def test_a_decoders_checkpoint_keeps_its_own_context(few_numbers: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train(recipe(few_numbers, "text-generation", "scratch:llama-tiny", epochs=0.2, max_length=64), first)
    train(recipe(few_numbers, "text-generation", str(first / "run"), epochs=0.2, max_length=32), second)
    assert load_generator(second / "run", "text-generation").max_length == 64
