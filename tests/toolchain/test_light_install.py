"""A classifier needs no extra: each part that needs one names it, and nothing else imports its packages."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.helpers.cli import ftool
from tests.helpers.paths import REPOSITORY

from ftool.errors import DataError
from ftool.extras import EXTRAS, require
from ftool.tasks.registry import find_task, task_names
from ftool_runtime.errors import RuntimeMissingError

OPTIONAL = sorted(
    {module for extra in EXTRAS.values() for module in extra.modules} - {"markdown_it"}
)  # rich's too
SEPARATE = {"ray"}  # not in `all`: it takes as much disk space as all others together
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]

CLASSIFIER = """
import sys
sys.modules.update(dict.fromkeys({optional}))  # importing one of these fails now
from ftool.cli import main
base, data, model = sys.argv[1:]
for arguments in (
    ["new", model, "--base", base, "--data", data, "--set", "train.threads=1", "--set", "train.epochs=1"],
    ["train", model, "--json"],
    ["train", model, "--set", "train.method=head", "--json"],
    ["evaluate", model, "--by", "label", "--json"],
    ["export", model, "--precision", "fp32", "--json"],
    ["parity", model, "--json"],
    ["predict", model, "rain"],
    ["doctor"],
):
    try:
        main(arguments, prog_name="ftool")
    except SystemExit as done:
        assert not done.code, (arguments, done.code)
"""


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes importing a module fail, as if it was not installed."""

    def hide(module: str) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == module]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)

    return hide


def test_a_classifier_is_trained_exported_and_asked_without_any_extra(
    tiny_base: Path, few_topics: Path, tmp_path: Path
) -> None:
    code = CLASSIFIER.format(optional=OPTIONAL)
    command = [sys.executable, "-c", code, tiny_base, few_topics, tmp_path / "model"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"label"' in done.stdout
    assert "for training or measuring models that write text: pip install 'ftool[generate]'" in done.stdout


@pytest.mark.parametrize("task", [name for name in task_names() if find_task(name).extra is not None])
def test_a_training_names_the_extra_that_it_needs(
    task: str, tmp_path: Path, without: Callable[[str], None], numbers: Path, tiny_base: Path
) -> None:
    extra = find_task(task).extra
    assert extra is not None
    without(EXTRAS[extra].modules[-1])
    (tmp_path / "recipe.toml").write_text(
        f'task = "{task}"\nbase = "{tiny_base}"\n[data]\npath = "{numbers}"\n', encoding="utf-8"
    )
    result = ftool("train", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {EXTRAS[extra].use} needs {EXTRAS[extra].modules[-1]}")
    assert f"pip install 'ftool[{extra}]'" in result.stderr


def test_setfit_names_its_extra(
    tmp_path: Path, without: Callable[[str], None], few_topics: Path, tiny_base: Path
) -> None:
    without("sentence_transformers")
    call = (
        "train",
        tmp_path / "m",
        "--base",
        tiny_base,
        "--data",
        few_topics,
        "--set",
        "train.method=setfit",
    )
    assert "pip install 'ftool[embed]'" in ftool(*call).stderr


def test_documents_name_theirs(tmp_path: Path, without: Callable[[str], None]) -> None:
    (tmp_path / "a.html").write_text("<p>rain</p>", encoding="utf-8")
    (tmp_path / "a.txt").write_text("rain", encoding="utf-8")
    without("lxml")
    words_only = ("-o", tmp_path / "kb.db", "--embedder", "none")
    assert "pip install 'ftool[search]'" in ftool("index", tmp_path / "a.html", *words_only).stderr
    assert ftool("index", tmp_path / "a.txt", *words_only).exit_code == 0


def test_excel_data_names_its_extra(tmp_path: Path, without: Callable[[str], None]) -> None:
    from ftool.data.sources.find import read_file

    (tmp_path / "a.xlsx").write_bytes(b"PK")
    without("openpyxl")
    with pytest.raises(DataError, match=r"pip install 'ftool\[excel\]'"):
        read_file(tmp_path / "a.xlsx", None)


def test_the_project_s_extras_install_what_is_asked_for() -> None:
    """Every module of EXTRAS belongs to a package of the extra, and to none that is always installed."""
    distributions = {"pptx": "python-pptx"}
    extras = PROJECT["optional-dependencies"]
    always = {Requirement(one).name for one in PROJECT["dependencies"]}
    for name, extra in EXTRAS.items():
        inner = {part for one in extras[name] for part in Requirement(one).extras if part in extras}
        listed = [one for key in (name, *inner) for one in extras[key]]
        packages = {Requirement(one).name for one in listed}
        for module in extra.modules:
            package = distributions.get(module, module.replace("_it", "-it-py").replace("_", "-"))
            of_runtime = "ftool-runtime" in packages  # whose extra of the same name brings the module
            assert package in packages or of_runtime, (name, module)
            assert package not in always
    (everything,) = extras["all"]
    assert Requirement(everything).extras >= EXTRAS.keys() - {"excel"} - SEPARATE


def test_an_installed_extra_is_accepted() -> None:
    for name in EXTRAS.keys() - SEPARATE:
        require(name)
    with pytest.raises(KeyError):
        require("nothing")


def test_mistakes_name_their_extra(without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from ftool.evaluation.mistakes import find_label_errors

    without("cleanlab")
    with pytest.raises(RuntimeMissingError, match=r"pip install 'ftool\[data-checks\]'"):
        find_label_errors(np.zeros((2, 2)), np.zeros(2, int), "ab", [], how="", multi_label=False)
