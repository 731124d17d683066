"""`ftool export` and `ftool parity`: output, files and exit status."""

import json
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch
from click.testing import Result
from tests.helpers.cli import ftool

from ftool.bases import NamedBase
from ftool.evaluation.metrics import classification
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool_export.checkpoints.classifier import create_classifier
from ftool_runtime.bundle.golden import Golden
from ftool_runtime.bundle.manifest import Manifest

LABELS = ("food", "music", "weather")


def write_run(
    base: Path, folder: Path, *, seed: int = 0, labels: tuple[str, ...] = LABELS, base_name: str = "tiny"
) -> Path:
    """A classifier with a random head, as `train` would leave it."""
    loaded = create_classifier(str(base), labels, multi_label=False, base_name=base_name)
    torch.manual_seed(seed)
    torch.nn.init.normal_(loaded.model.head.weight, std=3.0)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    loaded.save(folder)
    return folder


@pytest.fixture(scope="module")
def exported(tiny_base: Path, topics: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A model folder after `ftool export`, and what the command printed."""
    folder = tmp_path_factory.mktemp("topics-model")
    Recipe(base=str(tiny_base), data=DataSettings(path=str(topics))).write(folder / "recipe.toml")
    write_run(tiny_base, folder / "run")
    return folder, ftool("export", folder, "--json")


@pytest.fixture
def model(exported: tuple[Path, Result], tmp_path: Path) -> Path:
    """A copy of the exported model folder."""
    return Path(shutil.copytree(exported[0], tmp_path / "model"))


def test_export_prints_one_json_object(exported: tuple[Path, Result]) -> None:
    folder, result = exported
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["bundle"] == str(folder / "bundle")
    assert (told["precision"], told["attention"]) == ("int8", "fused")
    assert told["bytes"] == sum(file["bytes"] for file in told["files"])
    gate = told["gate"]
    assert gate["passed"]
    assert gate["metric"] == "accuracy"
    assert gate["reference"] - gate["bundle"] == pytest.approx(gate["drop"])
    assert Manifest.read(folder / "bundle").name == folder.name


def test_parity_writes_its_report_and_exits_0(exported: tuple[Path, Result]) -> None:
    folder, _ = exported
    result = ftool("parity", folder, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["passed"]
    assert {"examples", "agreement", "max_difference", "batch_effect", "tolerance"} <= set(told)
    assert told["batch_effect"] == 0
    written = json.loads((folder / "reports" / "parity.json").read_text())
    assert written.pop("of")  # tells which bundle was compared
    assert written == told


def test_parity_exits_1_past_a_tolerance_and_says_which(model: Path, tiny_base: Path) -> None:
    write_run(tiny_base, model / "run", seed=1)
    result = ftool("parity", model)
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert "furthest apart" in result.stdout


def test_a_bundle_on_its_own_is_held_against_its_checkpoint_and_timed(
    model: Path, topics: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "b"
    ftool("export", "--checkpoint", model / "run", "-o", bundle, "--task", "text-classification")
    before = sorted(path for path in tmp_path.rglob("*"))
    for more in ((), ("--data", topics)):
        result = ftool("parity", bundle, "--checkpoint", model / "run", *more, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["passed"]
        timed = ftool("bench", bundle, "--rounds", "1", "--texts", "2", *more, "--json")
        assert timed.exit_code == 0, timed.output
        told = json.loads(timed.stdout)
        assert (list(told["engines"]), told["split"]) == (["ftool-int8"], "test" if more else "golden")
    against = ftool("bench", bundle, "--rounds", "1", "--texts", "2", "--checkpoint", model / "run", "--json")
    assert list(json.loads(against.stdout)["engines"]) == ["ftool-int8", "torch-fp32"]
    assert sorted(path for path in tmp_path.rglob("*")) == before  # no report goes into a bundle


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["parity"],
            "is a bundle without a run/ beside it; name what it was exported from with --checkpoint",
        ),
        (["bench", "--against", "torch"], "no model for torch to run; name its checkpoint with --checkpoint"),
        (
            ["parity", "--checkpoint", "RUN", "--outside-label", "X"],
            "--outside-label is for token-classification",
        ),
    ],
)
def test_what_a_bundle_on_its_own_lacks_is_said(
    model: Path, tmp_path: Path, command: list[str], message: str
) -> None:
    bundle = tmp_path / "b"
    ftool("export", "--checkpoint", model / "run", "-o", bundle, "--task", "text-classification")
    given = [str(model / "run") if word == "RUN" else word for word in command[1:]]
    result = ftool(command[0], bundle, *given)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_bundle_inside_a_model_folder_stands_for_the_folder(exported: tuple[Path, Result]) -> None:
    folder, _ = exported
    report = folder / "reports" / "parity.json"
    report.unlink(missing_ok=True)
    assert ftool("parity", folder / "bundle").exit_code == 0
    assert report.is_file()


@pytest.mark.parametrize("command", [["parity"], ["evaluate", "--on", "bundle"]])
def test_an_altered_bundle_is_named_before_anything_is_measured(model: Path, command: list[str]) -> None:
    graph = model / "bundle" / "onnx" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)  # of the same size, so that loading alone can't notice
    result = ftool(command[0], model, *command[1:])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "model.onnx has the right size but was altered" in result.stderr


def test_export_exits_1_where_the_gate_says_no(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = count()
    monkeypatch.setattr(classification, "main_score", lambda *_, **__: 1.0 if next(turn) % 2 == 0 else 0.4)
    before = (model / "bundle" / "ftool.json").read_bytes()
    result = ftool("export", model)
    assert result.exit_code == 1
    assert "the bundle failed the accuracy gate: nothing was written" in result.stdout
    assert "--precision w8" in result.stdout
    assert (model / "bundle" / "ftool.json").read_bytes() == before


def test_any_checkpoint_is_exported_and_said_not_to_be_judged(model: Path, tmp_path: Path) -> None:
    result = ftool("export", "--checkpoint", model / "run", "-o", tmp_path / "b", "--precision", "fp32",
                   "--task", "sequence-classification")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "quality was not measured" in result.stdout
    assert Manifest.read(tmp_path / "b").precision.name == "fp32"


def no_paths_in(bundle: Path, *folders: Path) -> bool:
    texts = [
        path.read_text(encoding="utf-8") for path in bundle.rglob("*") if path.suffix in (".json", ".md")
    ]
    return not any(str(folder) in text for folder in folders for text in texts)


def test_a_bundle_names_a_local_checkpoint_without_its_path(tiny_base: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "b"
    result = ftool("export", "--checkpoint", tiny_base, "-o", bundle, "--task", "feature-extraction",
                   "--precision", "fp32")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert Manifest.read(bundle).base == tiny_base.name
    assert f"exported from `{tiny_base.name}`" in (bundle / "README.md").read_text(encoding="utf-8")
    assert no_paths_in(bundle, tiny_base, tmp_path)


def test_a_bundle_of_a_named_base_has_its_hub_id(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NamedBase, "installed", lambda self: tiny_base)
    bundle = tmp_path / "b"
    result = ftool("export", "--checkpoint", "minilm", "-o", bundle, "--task", "feature-extraction",
                   "--precision", "fp32")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert Manifest.read(bundle).base == "sentence-transformers/all-MiniLM-L6-v2"
    assert no_paths_in(bundle, tiny_base, tmp_path)


def test_a_bundle_names_the_local_base_of_a_run_without_its_path(tiny_base: Path, tmp_path: Path) -> None:
    run = write_run(tiny_base, tmp_path / "run", base_name=str(tiny_base))
    config = json.loads((run / "config.json").read_text())
    config["ftool"]["base"] = str(tiny_base)  # as older versions wrote it
    (run / "config.json").write_text(json.dumps(config))
    bundle = tmp_path / "b"
    result = ftool("export", "--checkpoint", run, "-o", bundle, "--precision", "fp32")
    assert result.exit_code == 0, result.output
    assert Manifest.read(bundle).base == tiny_base.name
    assert no_paths_in(bundle, tiny_base)


def test_golden_texts_are_of_the_data_only_when_asked_for(model: Path, topics: Path, tmp_path: Path) -> None:
    assert Golden.read(model / "bundle").texts == "probes"
    arguments = ("--checkpoint", model / "run", "-o", tmp_path / "b", "--data", topics, "--golden", "data")
    assert ftool("export", *arguments).exit_code == 0
    golden = Golden.read(tmp_path / "b")
    assert golden.texts == "data"
    assert not set(golden.inputs) & set(Golden.read(model / "bundle").inputs)
    recipe = Recipe.read(model / "recipe.toml").with_overrides(["export.golden=data"])
    assert recipe.export.golden == "data"


def test_ranges_of_activations_are_measured_on_data_or_not_at_all(
    model: Path, topics: Path, tmp_path: Path
) -> None:
    arguments = ("--checkpoint", model / "run", "-o", tmp_path / "b", "--precision", "int8-static")
    refused = ftool("export", *arguments)
    assert refused.exit_code == 2
    assert "name data with --data, or use --precision int8-rows" in refused.stderr
    assert not (tmp_path / "b").exists()
    assert ftool("export", *arguments, "--data", topics, "--allow-drift").exit_code == 0
    assert Manifest.read(tmp_path / "b").precision.name == "int8-static"


def test_a_bundle_for_a_gpu_is_in_float16_if_asked_and_says_where_it_was_proved(
    model: Path, tmp_path: Path
) -> None:
    call = ["export", "--checkpoint", model / "run", "-o", tmp_path / "b", "--device", "cuda"]
    result = ftool(*call, "--precision", "fp16", "--allow-drift")
    assert result.exit_code == 0, result.output
    assert (
        f"on the CPU, not on a GPU; there, run: python -m ftool_runtime verify {tmp_path / 'b'}"
        in result.stdout
    )
    assert Manifest.read(tmp_path / "b").precision.name == "fp16"


def test_any_checkpoint_is_judged_on_data(model: Path, topics: Path, tmp_path: Path) -> None:
    result = ftool("export", "--checkpoint", model / "run", "-o", tmp_path / "b", "--data", topics, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["gate"]["judged"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--checkpoint", "run"], "--checkpoint needs --output"),
        (["-o", "bundle"], "--output is for --checkpoint"),
        (["--precision", "int4"], "'int4' is not one of 'fp32', 'fp16', "),
        (["--device", "cuda"], "int8 does not run on 'cuda'; use --precision fp32 or fp16"),
        (
            ["--precision", "fp16"],
            "fp16 does not run on 'cpu'; use --precision fp32 or int8, or --device cuda",
        ),
        (["--max-drop", "2"], "2.0 is not in the range"),
        (
            ["--checkpoint", "run", "-o", "b", "--task", "fill-mask"],
            'task "fill-mask" is unknown',
        ),
        (["--data", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(model: Path, arguments: list[str], error: str) -> None:
    result = ftool("export", model, *arguments)
    assert result.exit_code == 2
    assert error in result.stderr
    assert result.stderr.count("Error:") == 1
    assert result.stdout == ""


def test_nothing_trained_names_the_command_to_run(model: Path) -> None:
    shutil.rmtree(model / "run")
    result = ftool("export", model)
    assert result.exit_code == 2
    assert f"create it with `ftool train {model}`" in result.stderr


def test_data_of_other_labels_is_refused(model: Path, tiny_base: Path) -> None:
    write_run(tiny_base, model / "run", labels=("food", "music"))
    result = ftool("export", model)
    assert result.exit_code == 2
    assert "with the label 'weather', which the model does not know" in result.stderr


@pytest.mark.parametrize(
    "command", [("evaluate",), ("evaluate", "--on", "bundle"), ("export", "--max-drop", "1"), ("parity",)]
)
def test_data_that_lost_a_label_is_read_and_the_label_is_named(
    model: Path, topics: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    data = tmp_path / "left"
    data.mkdir()
    for path in topics.glob("*.csv"):
        lines = path.read_text(encoding="utf-8").splitlines()
        (data / path.name).write_text("\n".join(line for line in lines if "weather" not in line))
    recipe = Recipe.read(model / "recipe.toml")
    recipe.with_overrides([f"data.path={data}"]).write(model / "recipe.toml")
    result = ftool(command[0], model, *command[1:])
    assert result.exit_code == 0, result.output
    assert "no example has 1 of the 3 labels that the model knows: 'weather'" in result.stderr


@pytest.mark.parametrize("command", [("evaluate",), ("evaluate", "--on", "bundle"), ("export",), ("parity",)])
def test_an_unknown_label_is_refused_by_every_command_alike(
    model: Path, topics: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    data = Path(shutil.copytree(topics, tmp_path / "more"))
    test = data / "test.csv"
    test.write_text(test.read_text(encoding="utf-8") + "rain goal,weathr\n", encoding="utf-8")
    recipe = Recipe.read(model / "recipe.toml")
    recipe.with_overrides([f"data.path={data}"]).write(model / "recipe.toml")
    result = ftool(command[0], model, *command[1:])
    assert result.exit_code == 2
    assert "with the label 'weathr', which the model does not know; did you mean 'weather'" in result.stderr


def test_labels_are_matched_by_name_not_by_place(
    model: Path, tiny_base: Path, exported: tuple[Path, Result], rearranged: Callable[[Path], None]
) -> None:
    rearranged(model / "run")
    result = ftool("export", model, "--json")
    assert result.exit_code == 0, result.output
    assert (
        json.loads(result.stdout)["gate"]["reference"] == json.loads(exported[1].stdout)["gate"]["reference"]
    )


@pytest.fixture
def rearranged(tiny_base: Path) -> Callable[[Path], None]:
    """Writes the run of `exported` again with its labels, and the head's rows, in another order."""

    def write(folder: Path) -> None:
        loaded = create_classifier(str(tiny_base), LABELS[::-1], multi_label=False, base_name="tiny")
        torch.manual_seed(0)
        torch.nn.init.normal_(loaded.model.head.weight, std=3.0)
        loaded.model.head.weight.data = loaded.model.head.weight.data.flip(0)
        shutil.rmtree(folder)
        folder.mkdir()
        loaded.save(folder)

    return write
