"""Each kind of checkpoint in docs/checkpoints.md is read, or refused by name."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.checkpoint_kinds import READ, REFUSED, Kind, Workshop, answers_of, page

from ftool.tasks.registry import find_task
from ftool_export.errors import CheckpointError


@pytest.fixture
def shop(write_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Workshop(write=write_checkpoint, place=tmp_path / "work", cache=tmp_path / "hub")


@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.given[:60])
def test_what_is_read(kind: Kind, shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    source = str(kind.make(shop))
    caplog.clear()
    loaded = find_task(kind.task).load(source, **kind.facts)
    for name, value in kind.has.items():
        assert getattr(loaded, name) == value
    if kind.answers is not None:
        np.testing.assert_allclose(
            answers_of(loaded), kind.answers(shop), atol=1e-5
        )  # float32 rounding order
    warnings = [
        one.getMessage()
        for one in caplog.records
        if one.name.startswith("ftool") and one.levelname == "WARNING"
    ]
    if kind.says:
        assert kind.says in "\n".join(warnings)
    else:
        assert warnings == []


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.given[:60])
def test_what_is_refused(kind: Kind, shop: Workshop) -> None:
    source = str(kind.make(shop))
    with pytest.raises(CheckpointError, match=re.escape(kind.says)) as caught:
        find_task(kind.task).load(source, **kind.facts)
    assert "\n" not in str(caught.value)
    assert source.rsplit("/", 1)[-1] in str(caught.value)


def test_every_kind_that_is_read_has_a_check_that_can_fail() -> None:
    assert [kind.given for kind in READ if not (kind.has or kind.says or kind.answers)] == []


def test_the_page_is_the_table() -> None:
    path = Path(__file__).parents[3] / "docs" / "checkpoints.md"
    assert path.read_text(encoding="utf-8") == page(), (
        "run: python -m tests.helpers.checkpoint_kinds docs/checkpoints.md"
    )
