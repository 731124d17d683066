"""Each kind of data in docs/data.md is read or refused as the page says."""

from pathlib import Path

import pytest
from tests.helpers.data_kinds import READ, REFUSED, Kind, page_with_section
from tests.helpers.paths import REPOSITORY

from ftool.data.dataset import Example
from ftool.data.load import load_dataset
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings


def settings(kind: Kind, folder: Path) -> DataSettings:
    (folder / "names.txt").write_text("1\ta\n2\tb\n", encoding="utf-8")
    path = kind.write(folder)
    given = {
        name: value.replace("HERE", str(folder)) if isinstance(value, str) else value
        for name, value in kind.settings.items()
    }
    return DataSettings(**{"path": path, "validation": path, "test": path, **given})


def plain(example: Example) -> tuple[object, object]:
    """The text of an example, and its label, labels, numbers, tags or answers."""
    if hasattr(example, "question"):
        return example.question, example.answers  # type: ignore[attr-defined]
    if hasattr(example, "tags"):
        return example.text, example.tags  # type: ignore[attr-defined]
    return example.input, example.classes or getattr(example, "scores", ())


@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.given)
def test_data_is_read_as_the_page_says(tmp_path: Path, kind: Kind) -> None:
    data = load_dataset(kind.reader, settings(kind, tmp_path))
    found = {plain(example) for split in data.splits.values() for example in split.examples}
    if data.facts.get("multi_label") is False:
        found = {(text, *labels) for text, labels in found}  # type: ignore[misc]
    assert found == kind.expected
    assert kind.says
    assert any(kind.says in line for line in (*data.warnings, *data.notes))


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.given)
def test_data_is_refused_as_the_page_says(tmp_path: Path, kind: Kind) -> None:
    given = settings(kind, tmp_path)
    if isinstance(kind.content, dict):
        given = DataSettings(path=given.path)
    with pytest.raises(DataError) as refused:
        load_dataset(kind.reader, given)
    assert kind.says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_page_lists_these_kinds() -> None:
    page = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
    assert page == page_with_section(page), "run: python -m tests.helpers.data_kinds docs/data.md"
