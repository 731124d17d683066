"""An option that does not exist names what was probably meant: a setting, or our name of another tool's option."""

from pathlib import Path

import pytest
from tests.helpers.cli import ftool


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["train", "models/m", "--epochs", "2"], "no option --epochs; did you mean --set train.epochs=2?"),
        (["train", "--epochs=2"], "no option --epochs; did you mean --set train.epochs=2?"),
        (["train", "--lr", "3e-5"], "did you mean --set train.learning_rate=3e-5?"),
        (["train", "--learning-rate", "3e-5"], "did you mean --set train.learning_rate=3e-5?"),
        (["train", "--seed", "7"], "did you mean --set train.seed=7?"),
        (["train", "--epoch", "2"], "did you mean --set train.epochs=2?"),
        (["train", "--num_train_epochs", "2"], "did you mean --set train.epochs=2?"),
        (["train", "--max-seq-length", "64"], "did you mean --set train.max_length=64?"),
        (["train", "--epochs"], "did you mean --set train.epochs=VALUE?"),
        (["new", "m", "--model", "minilm"], "no option --model; did you mean --base minilm?"),
        (["train", "--dataset", "bank.csv"], "did you mean --data bank.csv?"),
        (["train", "--output-dir", "m"], "the model folder is the argument FOLDER"),
        (["export", "--quantize", "int8"], "did you mean --precision int8?"),
        (["export", "--label-smoothing", "0.1"], "did you mean --set train.label_smoothing=0.1?"),
    ],
)
def test_an_option_of_another_name_is_told_with_its_value(arguments: list[str], meant: str) -> None:
    result = ftool(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert meant in result.stderr
    assert result.stderr.startswith("Error: no option ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["predict", "--epochs", "2"], ["doctor", "--model", "x"], ["train", "--zzz", "2"]]
)
def test_a_command_that_takes_no_settings_gives_no_such_hint(arguments: list[str]) -> None:
    result = ftool(*arguments)
    assert result.exit_code == 2
    assert "No such option" in result.stderr
    assert "--set" not in result.stderr


def test_an_option_that_is_nearly_right_names_the_right_one() -> None:
    assert "Did you mean" in ftool("train", "--dat", "x").stderr
    assert "--data" in ftool("train", "--dat", "x").stderr


@pytest.mark.parametrize(
    ("assignment", "meant"),
    [
        ("epochs=2", "epochs is not a setting; did you mean train.epochs?"),
        ("epoch=2", "did you mean train.epochs?"),
        ("seed=2", "did you mean data.seed or train.seed?"),
        ("precision=w8", "did you mean export.precision?"),
        ("trian.epochs=2", "did you mean train?"),
        ("bas=minilm", "did you mean base?"),
    ],
)
def test_a_setting_without_its_table_is_told_with_it(tmp_path: Path, assignment: str, meant: str) -> None:
    result = ftool("new", tmp_path / "m", "--data", "builtin:intents", "--set", assignment)
    assert result.exit_code == 2
    assert meant in result.stderr
