"""`ftool export --precision auto`: the bundle, the frontier, resumption, and refusals."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.cli import ftool, told
from tests.helpers.locks import held
from tests.helpers.shared import BuiltOnce
from tests.helpers.tiny_models import TinyModels

from ftool.bench.measure import BenchSettings
from ftool.bench.run import Placement
from ftool.evaluation.evaluate import opened_bundle
from ftool.ladder import climb
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.pipeline import export
from ftool_export.precision_plans import PLANS
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest

AUTO = ("--precision", "auto", "--max-drop", "0.2")
QUICK = BenchSettings(rounds=2, texts_per_round=2, throughput_rounds=1, throughput_texts=4, cold_starts=1)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(climb, "ladder_settings", lambda _: QUICK)
        yield


@pytest.fixture(scope="module")
def climbed(trained: TinyModels, made_once: BuiltOnce) -> tuple[Path, dict[str, Any]]:
    """A classifier's model folder after the command, and what the command printed."""

    def make(place: Path) -> None:
        folder = Path(shutil.copytree(trained["text-classification"], place / "topics"))
        (folder / "told.json").write_text(json.dumps(told("export", folder, *AUTO)))

    folder = made_once("climbed", make) / "topics"
    return folder, json.loads((folder / "told.json").read_text())


@pytest.fixture
def model(climbed: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of that folder, under the same name, which bundles record."""
    return Path(shutil.copytree(climbed[0], tmp_path / climbed[0].name))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The precisions that are exported from now on."""
    names: list[str] = []

    def counted(settings: Any, *given: Any, **options: Any) -> Any:
        names.append(settings.precision)
        return export(settings, *given, **options)

    monkeypatch.setattr("ftool.ladder.rungs.export", counted)
    return names


def test_the_bundle_is_the_chosen_candidate_byte_for_byte(climbed: tuple[Path, dict[str, Any]]) -> None:
    folder, printed = climbed
    chosen = printed["ladder"]["chosen"]
    bundle, proved = folder / "bundle", folder / "ladder" / chosen / "bundle"
    manifest = Manifest.read(bundle)
    assert manifest.files == Manifest.read(proved).files
    check_hashes(bundle, manifest)
    assert (printed["precision"], manifest.precision.name, manifest.name) == (chosen, chosen, folder.name)
    assert printed["gate"]["passed"]


def test_the_manifest_says_that_it_was_chosen_and_among_what(climbed: tuple[Path, dict[str, Any]]) -> None:
    folder, printed = climbed
    evidence = Manifest.read(folder / "bundle").evidence["ladder"]
    assert evidence["chosen"] == printed["precision"]
    assert evidence["limits"] == {
        "max_drop": 0.2, "confidence": 0.95, "max_latency": None, "max_size": None, "prefer": "latency",
    }  # fmt: skip
    assert {one["name"] for one in evidence["candidates"]} >= {"fp32", "int8", "w8", "w4"}
    assert str(folder) not in json.dumps(evidence)


def test_the_frontier_has_every_candidate_and_the_linear_baseline(
    climbed: tuple[Path, dict[str, Any]],
) -> None:
    folder, printed = climbed
    frontier = json.loads((folder / "ladder" / "frontier.json").read_text())
    assert frontier == printed["ladder"]
    fp32 = next(one for one in frontier["candidates"] if one["name"] == "fp32")
    assert fp32["drop"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert fp32["faster"] == 1.0
    for one in frontier["candidates"]:
        assert one["latency_ms"] > 0
        assert one["drop"]["value"] == pytest.approx(frontier["reference"]["value"] - one["score"]["value"])
    reasons = [one["reason"] for one in frontier["candidates"]]
    assert reasons.count("chosen") == 1
    assert any("TF-IDF" in one["title"] for one in frontier["baselines"])


def test_the_page_is_self_contained_and_shows_the_choice(climbed: tuple[Path, dict[str, Any]]) -> None:
    folder, printed = climbed
    page = (folder / "ladder" / "report.html").read_text()
    HTMLParser().feed(page)
    assert "<svg" in page
    assert f"{printed['precision']} (chosen)" in page
    assert "TF-IDF" in page
    assert "<script" not in page
    assert page.count("href=") == page.count('href="#')


def test_a_second_call_builds_nothing_and_takes_the_same(model: Path, built: list[str]) -> None:
    before = json.loads((model / "told.json").read_text())
    shutil.rmtree(model / "bundle")
    assert told("export", model, *AUTO)["ladder"] == before["ladder"]
    assert not built
    check_hashes(model / "bundle", Manifest.read(model / "bundle"))


def test_what_a_killed_call_left_unfinished_is_built_again(model: Path, built: list[str]) -> None:
    (model / "ladder" / "w8" / "rung.json").unlink()  # killed before the candidate was scored
    damaged = model / "ladder" / "w4" / "bundle" / "config.json"
    damaged.write_text(damaged.read_text() + " ")
    told("export", model, *AUTO)
    assert sorted(built) == ["w4", "w8"]
    check_hashes(damaged.parent, Manifest.read(damaged.parent))


def test_other_weights_build_every_candidate_again(model: Path, built: list[str]) -> None:
    loaded = load_classifier(str(model / "run"))
    with torch.no_grad():
        loaded.model.head.weight.mul_(1.5)
    shutil.rmtree(model / "run")
    (model / "run").mkdir()
    loaded.save(model / "run")
    found = told("export", model, *AUTO)
    assert sorted(built) == sorted(one["name"] for one in found["ladder"]["candidates"])


def test_if_none_qualifies_the_bundle_stays_and_the_nearest_is_named(model: Path) -> None:
    before = Manifest.read(model / "bundle")
    result = ftool("export", model, *AUTO, "--max-size", "0.001")
    assert result.exit_code == 1
    assert "no candidate qualifies; nearest: " in result.stdout
    assert "more than --max-size 0.001" in result.stdout
    assert "nothing was written" in result.stdout
    assert Manifest.read(model / "bundle") == before
    assert json.loads((model / "ladder" / "frontier.json").read_text())["chosen"] is None


def test_the_recipe_can_ask_for_it(model: Path, built: list[str]) -> None:
    settings = ("export.precision=auto", "export.max_drop=0.2", "export.prefer=size")
    found = told("export", model, *(part for one in settings for part in ("--set", one)))
    smallest = min(found["ladder"]["candidates"], key=lambda one: one["size_mb"])
    assert (found["precision"], built) == (smallest["name"], [])


@pytest.fixture
def large_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts the tiny model's embedding table among the large ones, which are quantised."""
    plans = {name: replace(plan, smallest_table=64) for name, plan in PLANS["encoder"].items()}
    changed = {**PLANS, "encoder": plans}
    monkeypatch.setattr("ftool_export.precision_plans.PLANS", changed)


@pytest.mark.usefixtures("large_table")
def test_embeddings_in_4_bits_are_tried_for_the_smallest(model: Path, built: list[str]) -> None:
    shutil.rmtree(model / "ladder")
    found = told("export", model, *AUTO, "--prefer", "size")
    bits = {one["name"]: one["embedding_bits"] for one in found["ladder"]["candidates"]}
    assert {"int8": 8, "int8-4bit-embeddings": 4, "w4": 8, "w4-4bit-embeddings": 4}.items() <= bits.items()
    assert "fp32-4bit-embeddings" not in bits
    sizes = {one["name"]: one["size_mb"] for one in found["ladder"]["candidates"]}
    assert all(sizes[f"{name}-4bit-embeddings"] < sizes[name] for name in ("int8", "w4"))
    assert found["ladder"]["chosen"].endswith("-4bit-embeddings")
    manifest = Manifest.read(model / "bundle")
    assert manifest.precision.embedding_bits == 4
    assert f"{found['ladder']['chosen']} (chosen)" in (model / "ladder" / "report.html").read_text()
    told("export", model, *AUTO, "--prefer", "size")
    assert len(built) == len(bits)  # the second call has built nothing


def test_a_second_process_is_refused(model: Path) -> None:
    with held(model / "bundle", "ftool export"):
        result = ftool("export", model, *AUTO)
    assert result.exit_code == 2
    assert "bundle: ftool export (process " in result.stderr


def test_a_distilled_model_is_a_candidate_too(model: Path, built: list[str]) -> None:
    small = model.with_name("small")
    shutil.copytree(model / "run", small / "run")
    found = told("export", model, *AUTO, "--candidate", small)
    assert {one["name"] for one in found["ladder"]["candidates"]} >= {"int8", "small-int8", "small-fp32"}
    assert sorted(built) == sorted(name for name, plan in PLANS["encoder"].items() if "cpu" in plan.devices)


def test_on_a_gpu_it_chooses_between_fp32_and_fp16(
    model: Path, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[str] = []

    def on_cpu(bundle: Path, reference: Any, *, device: str) -> Any:
        devices.append(device)
        return opened_bundle(bundle, reference)

    def placed(*, device: str) -> Placement:
        devices.append(device)
        return Placement()

    monkeypatch.setattr("ftool.ladder.rungs.opened_bundle", on_cpu)
    monkeypatch.setattr("ftool.ladder.timing.Placement", placed)
    found = told("export", model, *AUTO, "--device", "cuda")
    assert built == [one["name"] for one in found["ladder"]["candidates"]] == ["fp32", "fp16"]
    assert devices == ["cuda"] * 3  # two are scored, and both are timed


def test_a_checkpoint_needs_data_to_be_judged_on(model: Path, topics: Path, tmp_path: Path) -> None:
    call = ("export", "--checkpoint", model / "run", "-o", tmp_path / "b", *AUTO)
    result = ftool(*call)
    assert result.exit_code == 2
    assert "name some with --data" in result.stderr
    found = told(*call, "--data", topics)
    assert Manifest.read(tmp_path / "b").precision.name == found["precision"]
    assert (tmp_path / "b.ladder" / "report.html").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--prefer", "size"), "--prefer is for --precision auto"),
        (("--precision", "w8", "--candidate", "x"), "--candidate is for --precision auto"),
        ((*AUTO, "--candidate", "no-such-folder"), "no-such-folder"),
        (("--precision", "auto", "--set", "export.confidence=0.2"), "export.confidence must be at least 0.5"),
    ],
)
def test_wrong_calls_are_explained(model: Path, flags: tuple[str, ...], message: str) -> None:
    result = ftool("export", model, *flags)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(("flag", "value"), [("--candidate", "no-such-folder"), ("--shrink", "small")])
def test_wrong_names_are_refused_before_anything_is_built(
    model: Path, built: list[str], flag: str, value: str
) -> None:
    shutil.rmtree(model / "ladder")
    result = ftool("export", model, *AUTO, flag, value)
    assert result.exit_code == 2
    assert value in result.stderr
    assert not built


@pytest.mark.parametrize("task", ["question-answering", "feature-extraction", "translation"])
def test_other_tasks_have_ladders(trained: TinyModels, tmp_path: Path, task: str) -> None:
    folder = Path(shutil.copytree(trained[task], tmp_path / "model"))
    found = told("export", folder, "--precision", "auto", "--max-drop", "0.5")["ladder"]
    assert found["latency_of"] == ("token" if task == "translation" else "answer")
    assert found["metric"] == Manifest.read(folder / "bundle").evidence["gate"]["metric"]
    assert found["cross_fitted"] == (task == "question-answering")
    assert Manifest.read(folder / "bundle").precision.name == found["chosen"]


@pytest.mark.parametrize("data", ["tags", "questions"])
def test_gate_and_ladder_judge_with_the_same_cross_fitted_thresholds(
    trained: TinyModels, tiny_base: Path, request: pytest.FixtureRequest, tmp_path: Path, data: str
) -> None:
    folder = tmp_path / "model"
    if data == "questions":
        shutil.copytree(trained["question-answering"], folder)
    else:
        tuned = ("train.method=head", "train.thresholds=tuned", 'data.label_separator="|"', "train.threads=1")
        flags = [part for one in tuned for part in ("--set", one)]
        told("new", folder, "--base", tiny_base, "--data", request.getfixturevalue(data), *flags)
        told("train", folder)
    printed = ftool("export", folder, "--precision", "auto", "--max-drop", "0.5").stdout
    found = json.loads((folder / "ladder" / "frontier.json").read_text())
    assert found["cross_fitted"]
    assert "thresholds that were tuned, for each example, on others" in printed
    built = [one for one in found["candidates"] if one["report"] is not None]
    assert {one["name"] for one in built} >= {"fp32", "w8"}
    for one in built:
        gate = one["report"]["gate"]
        assert gate["cross_fitted"]
        assert gate["reference"] == pytest.approx(found["reference"]["value"])
        assert one["score"] is None or gate["bundle"] == pytest.approx(one["score"]["value"], abs=1e-3)
    assert "tuned, for each input, on others" in (folder / "bundle" / "README.md").read_text()
    on_test = told("parity", folder)["metric"]  # the test split tuned nothing
    assert not on_test["cross_fitted"]
    assert told("parity", folder, "--split", "validation")["metric"]["cross_fitted"]
    assert on_test["reference"] == pytest.approx(told("evaluate", folder)["metrics"][found["metric"]])
