"""The Python API: rows in memory become a model folder, and the results are those that the commands print."""

import ast
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas
import pyarrow
import pytest
from tests.helpers.cli import told

import ftool
from ftool.evaluation.metrics import classification
from ftool.evaluation.records import read_evaluations
from ftool.start_model import by_path, new_folder, start_model
from ftool.workspace import ModelFolder
from ftool_runtime.models.classifier import TextClassifier

HEAVY = ("torch", "transformers", "numpy", "pandas", "pyarrow", "onnxruntime", "datasets", "click")
QUICK = {"method": "head", "threads": 1}
SPLITS = ("train", "validation", "test")


def frames(folder: Path) -> dict[str, pandas.DataFrame]:
    return {split: pandas.read_csv(folder / f"{split}.csv") for split in SPLITS}


@pytest.fixture(scope="module")
def run(tiny_base: Path, topics: Path, tmp_path_factory: pytest.TempPathFactory) -> ftool.Run:
    """A classifier trained on DataFrames."""
    folder = tmp_path_factory.mktemp("api") / "topics"
    return ftool.train(frames(topics), base=tiny_base, folder=folder, **QUICK)


@pytest.fixture(scope="module")
def bundle(run: ftool.Run) -> ftool.Bundle:
    return run.export("fp32")


def test_importing_loads_nothing_heavy() -> None:
    code = f"import sys, ftool; print([name for name in {HEAVY!r} if name in sys.modules], *dir(ftool))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, *names = done.stdout.split()
    assert loaded == "[]"
    assert {"train", "open", "Run", "Bundle"} <= set(names)


def test_type_checkers_see_the_names_that_are_there() -> None:
    stub = ast.parse((Path(str(ftool.__file__)).parent / "__init__.pyi").read_text(encoding="utf-8"))
    named = {
        (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    assert {name for _, name in named} | {"__version__"} == set(ftool.__all__)
    assert all(getattr(importlib.import_module(str(at)), name) is getattr(ftool, name) for at, name in named)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        ftool.trian  # type: ignore[attr-defined]  # noqa: B018


def test_every_error_of_ours_has_one_root() -> None:
    errors = [getattr(ftool, name) for name in ftool.__all__ if name.endswith("Error")]
    assert all(issubclass(error, ftool.FtoolError) for error in errors)


def test_rows_in_memory_are_saved_beside_the_recipe(run: ftool.Run, topics: Path) -> None:
    assert {path.name for path in (run.folder / "data").iterdir()} == {f"{split}.parquet" for split in SPLITS}
    assert 'path = "data"' in (run.folder / "recipe.toml").read_text(encoding="utf-8")
    saved = pyarrow.parquet.read_table(run.folder / "data" / "train.parquet").to_pandas()
    assert saved.equals(frames(topics)["train"])


def test_the_reports_are_those_that_the_commands_print(run: ftool.Run, bundle: ftool.Bundle) -> None:
    assert run.report is not None
    assert run.metrics == json.loads(json.dumps(run.report.to_json()))
    assert told("evaluate", run.folder) == run.evaluate().to_json()
    assert told("evaluate", run.folder, "--on", "bundle") == bundle.evaluate().to_json()
    assert bundle.report is not None
    shown = bundle.report.to_json()
    parity = bundle.parity()
    assert parity.passed
    written = json.loads((run.folder / "reports" / "parity.json").read_text())
    assert written.pop("of")  # tells which bundle was compared
    assert written == parity.to_json()
    assert told("parity", run.folder) == parity.to_json()
    assert told("export", run.folder, "--precision", "fp32").keys() == shown.keys()


def test_a_model_folder_is_opened_as_it_was_trained(run: ftool.Run, bundle: ftool.Bundle) -> None:
    opened = ftool.open(run.folder)
    assert (opened.folder, opened.recipe, opened.report) == (run.folder, run.recipe, None)
    assert opened.metrics == run.metrics
    assert opened.bundle == bundle
    assert ftool.open(bundle.folder) == opened


def test_a_bundle_answers_and_verifies_itself(bundle: ftool.Bundle) -> None:
    with bundle.load() as model:
        assert isinstance(model, TextClassifier)
        expected = model(["rain and wind", "a song"])
    assert bundle.predict(["rain and wind", "a song"]) == expected
    assert bundle.predict("a song", top_k=3).top == tuple(model_top(expected[1], bundle))
    assert bundle.manifest.labels == ("food", "music", "weather")
    assert ftool.Bundle(str(bundle.folder)).verify().passed


def model_top(answer: Any, bundle: ftool.Bundle) -> Any:
    with bundle.load() as model:
        return model("a song", top_k=3).top


def test_a_bundle_is_timed_and_the_report_written(run: ftool.Run, bundle: ftool.Bundle) -> None:
    brief = {"rounds": 1, "texts_per_round": 2, "throughput_rounds": 1, "cold_starts": 1}
    report = bundle.bench(against=["none"], **brief)
    assert list(report.timings) == ["ftool-fp32"]
    assert json.loads((run.folder / "reports" / "bench.json").read_text())["split"] == "test"
    alone = ftool.Bundle(bundle.folder).bench(**brief)
    assert alone.split == "golden"
    with pytest.raises(ftool.InputError, match="round is not a setting of a benchmark; did you mean rounds"):
        bundle.bench(round=1)


def test_evaluations_are_kept_for_the_report(run: ftool.Run, topics: Path, tmp_path: Path) -> None:
    copied = ftool.open(shutil.copytree(run.folder, tmp_path / "model"))
    shutil.rmtree(copied.folder / "reports")
    found = copied.evaluate(by=["label"])
    copied.evaluate(frames(topics)["validation"])
    kept = {
        one["data"]: one for one in read_evaluations(ModelFolder(copied.folder))
    }  # of the recipe's data, and of rows in memory
    assert set(kept) == {None, "DataFrame"}
    assert kept[None]["metrics"] == found.metrics
    assert "label" in kept[None]["slices"]
    assert kept[None]["confusions"]["counted"] == "examples"


def test_other_rows_are_measured_with_their_own_columns(run: ftool.Run, topics: Path) -> None:
    rows = frames(topics)["test"].rename(columns={"text": "body", "label": "topic"}).to_dict("records")
    found = run.evaluate(rows, columns={"text": "body", "label": "topic"})
    assert found.metrics == run.evaluate().metrics
    with pytest.raises(ftool.DataError, match="list: "):
        run.evaluate(rows, columns={"text": "nothing"})
    with pytest.raises(ftool.RecipeError, match="txt is not a setting; did you mean text"):
        run.evaluate(rows, columns={"txt": "body"})
    with pytest.raises(ftool.InputError, match="columns are those of other data"):
        run.evaluate(columns={"text": "body"})


def test_an_export_that_loses_too_much_raises_and_keeps_the_bundle(
    run: ftool.Run, bundle: ftool.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([1.0, 0.4] * 20)
    monkeypatch.setattr(classification, "main_score", lambda *_, **__: next(scores))
    before = (bundle.folder / "ftool.json").read_bytes()
    with pytest.raises(
        ftool.GateError, match="no bundle was written: the bundle failed the accuracy gate"
    ) as told:
        run.export("int8")
    assert not told.value.report.verdict.passed
    assert (bundle.folder / "ftool.json").read_bytes() == before


def test_a_wrong_setting_of_an_export_is_named(run: ftool.Run) -> None:
    with pytest.raises(ftool.RecipeError, match="max_drp is not a setting; did you mean max_drop"):
        run.export(max_drp=0.1)
    with pytest.raises(ftool.RecipeError, match='precision must be one of "fp32"'):
        run.export("int4")
    with pytest.raises(ftool.InputError, match="--prefer is for --precision auto"):
        run.export("int8", prefer="size")


FORMS: dict[str, Callable[[dict[str, pandas.DataFrame]], Any]] = {
    "frame": lambda given: given["train"],
    "list": lambda given: given["train"].to_dict("records"),
    "generator": lambda given: iter(given["train"].to_dict("records")),
    "dataset": lambda given: datasets.Dataset.from_pandas(given["train"]),
    "dataset_dict": lambda given: datasets.DatasetDict(
        {split: datasets.Dataset.from_pandas(one) for split, one in given.items()}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_every_kind_start_a_model(
    form: str, tiny_base: Path, few_topics: Path, tmp_path: Path
) -> None:
    start(tmp_path / "m", FORMS[form](frames(few_topics)), tiny_base)
    recipe = ftool.Recipe.read(tmp_path / "m" / "recipe.toml")
    assert recipe.data.path == str(tmp_path / "m" / "data")
    assert (tmp_path / "m" / "data" / "test.parquet").exists() == (form == "dataset_dict")


def start(
    folder: Path, data: Any, base: Path | str, *, replace: bool = False, **settings: Any
) -> ftool.Recipe:
    return start_model(folder, data, task=None, base=str(base), settings=by_path(settings), replace=replace)


def test_a_folder_keeps_its_recipe_unless_told(tiny_base: Path, few_topics: Path, tmp_path: Path) -> None:
    rows = frames(few_topics)
    start(tmp_path / "m", rows, tiny_base, epochs=2)
    file = tmp_path / "m" / "recipe.toml"
    before = file.read_bytes()
    start(tmp_path / "m", rows, tiny_base, epochs=2)
    with pytest.raises(
        ftool.RecipeError, match=r"an earlier recipe has train.epochs = 2.0, and this one 3.0"
    ):
        start(tmp_path / "m", rows, tiny_base, epochs=3)
    with pytest.raises(ftool.DataError, match=r"already holds other files; .* or pass replace=True"):
        start(tmp_path / "m", rows["train"], tiny_base, epochs=2)
    assert file.read_bytes() == before
    changed = start(tmp_path / "m", rows["train"], tiny_base, replace=True, epochs=3)
    assert ftool.Recipe.read(file) == changed
    assert [path.name for path in (tmp_path / "m" / "data").iterdir()] == ["train.parquet"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epocs": 2}, r"epocs is not a setting; did you mean train\.epochs"),
        ({"epochs": "two"}, r"train\.epochs must be a number, got \"two\""),
        ({"train.epoch": 2}, r"did you mean train\.epochs"),
        ({"text": "nothing"}, "nothing"),
        ({"train": {"epochs": 2}}, "train is a table; set one of method"),
    ],
)
def test_a_wrong_setting_leaves_nothing_behind(
    tiny_base: Path, few_topics: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ftool.FtoolError, match=message):
        start(tmp_path / "m", frames(few_topics), tiny_base, **settings)
    assert not (tmp_path / "m").exists()


def test_a_name_that_several_tables_have_means_that_of_the_training() -> None:
    assert by_path({"seed": 7, "data.seed": 3, "label": "x"}) == {
        "train.seed": 7,
        "data.seed": 3,
        "data.label": "x",
    }


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("some/bank.csv.gz", "bank"),
        ("owner/intents:small", "small"),
        ("builtin:dates:50", "dates"),
        ("sqlite:///app.db?table=t", "app"),
        ([{"text": "a"}], "model"),
    ],
)
def test_a_new_folder_is_named_after_the_data(
    data: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new_folder(data) == Path("models") / name
    new_folder(data).mkdir(parents=True)
    assert new_folder(data) == Path("models") / f"{name}-2"


def test_a_mixed_column_is_named(tiny_base: Path, tmp_path: Path) -> None:
    rows = [{"text": f"rain {n}", "label": "ab"[n % 2], "id": n if n % 2 else "x"} for n in range(40)]
    with pytest.raises(ftool.DataError, match="the column 'id' can't be saved, because it holds int, str"):
        start(tmp_path / "m", rows, tiny_base)


def test_without_data_the_folder_s_recipe_is_trained(
    tiny_base: Path, few_topics: Path, tmp_path: Path
) -> None:
    start(tmp_path / "m", str(few_topics), tiny_base, **QUICK)
    again = ftool.train(folder=tmp_path / "m", seed=5)
    assert again.metrics["recipe"]["train"]["seed"] == 5
    assert ftool.open(tmp_path / "m").recipe.train.seed == 13
    with pytest.raises(ftool.InputError, match="name the data, or the folder"):
        ftool.train()
    with pytest.raises(ftool.ModelFolderError, match="create it with `ftool export"):
        again.predict("rain")
