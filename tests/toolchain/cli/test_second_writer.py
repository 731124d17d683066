"""A command is refused while another one writes to the same place, and says which, before it has written anything."""

import shutil
from pathlib import Path

import pytest
from tests.helpers.cli import ftool
from tests.helpers.locks import held
from tests.helpers.tiny_models import TinyModels


@pytest.mark.parametrize(
    ("place", "holder", "arguments"),
    [
        ("model/run", "ftool adapt", ("train", "model")),
        ("model/run", "ftool train", ("adapt", "model", "--text", "the bread", "--label", "food")),
        ("model/bundle", "ftool export", ("export", "model")),
        ("smaller/run", "ftool train", ("shrink", "model", "-o", "smaller", "--layers", "1")),
        ("kb.db", "ftool index", ("index", "docs", "-o", "kb.db", "--embedder", "none")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_second_writer_is_refused(
    trained: TinyModels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    holder: str,
    arguments: tuple[str, ...],
) -> None:
    shutil.copytree(trained["text-classification"], tmp_path / "model")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("rain")
    monkeypatch.chdir(tmp_path)
    with held(Path(place), holder):
        before = set(tmp_path.rglob("*"))
        refused = ftool(*arguments)
        assert set(tmp_path.rglob("*")) == before
    assert refused.exit_code == 2
    assert f"{place}: {holder} (process " in refused.stderr
