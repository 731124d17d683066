"""The longest input of a checkpoint, whatever its files say or leave out about it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.checkpoints.encoder import all_rows

WriteCheckpoint = Callable[..., Path]


@pytest.mark.parametrize(
    ("architecture", "written", "length", "said"),
    [
        ("xlnet", "", 512, True),
        ("xlnet", "null", 512, True),
        ("xlnet", "1e30", 512, True),
        ("xlnet", "-1", 512, True),
        ("xlnet", "0", 512, True),
        ("xlnet", "Infinity", 512, True),
        ("xlnet", "true", 512, True),
        ("xlnet", '"many"', 512, True),
        ("xlnet", '"48"', 48, False),
        ("xlnet", "48.0", 48, False),
        ("xlnet", "1000", 1000, False),
        ("bert", "-1", 32, False),  # 32 positions
        ("bert", "Infinity", 32, False),
        ("bert", "20", 20, False),
    ],
)
def test_a_checkpoint_without_a_limit_gets_one_and_says_so(
    write_checkpoint: WriteCheckpoint,
    architecture: str,
    written: str,
    length: int,
    said: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(write_checkpoint(architecture), folder)
    path = folder / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    del config["model_max_length"]
    path.write_text(json.dumps({**config, **({"model_max_length": json.loads(written)} if written else {})}))
    loaded = load_classifier(folder)
    assert loaded.max_length == length
    assert [len(row.ids) for row in all_rows(loaded, ["turn the lights off " * 300])] == [length]
    assert ("no file limits the length of inputs, so they are cut to 512 tokens" in caplog.text) is said
