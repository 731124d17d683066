"""Spoiled bundles: no traceback, no hang, and nothing verified that changes an answer."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers.generator_golden import add_golden
from tests.helpers.spoiled_bundles import SPOILED, Spoiled
from tests.helpers.teachable import teachable_bundle
from tests.helpers.tiny_bundles import failing_graph

import ftool_runtime as ft
from ftool_runtime.errors import BundleError, FtoolError

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no named pipes and devices in folders"),
    pytest.mark.timeout(20),
]

# A second for what a bundle's programs do; all other limits are the defaults.
LIMITS = ft.Limits(call_seconds=1, template_seconds=1)


@pytest.fixture(scope="session")
def sound(make_bundle: Callable[..., Path], make_generator: Callable[..., Path]) -> dict[str, Path]:
    """A sound bundle of each kind."""
    found = {
        "encoder": make_bundle(),
        "decoder": make_generator(files={"chat_template.jinja": "{{ messages[-1].content }}"}),
        "encoder-decoder": make_generator(source=True),
        "teachable": teachable_bundle(make_bundle),
    }
    for kind in ("decoder", "encoder-decoder"):
        add_golden(found[kind])
    return found


def test_what_is_spoiled_was_sound(sound: dict[str, Path]) -> None:
    for folder in sound.values():
        assert verified(folder) == "passes"


@pytest.mark.parametrize("row", SPOILED, ids=lambda row: row.name)
def test_a_spoiled_bundle(row: Spoiled, sound: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(sound[row.bundle], tmp_path / "bundle")
    row.spoil(folder)
    loaded, called = used(folder, teaches=row.bundle == "teachable")
    assert row.load in (loaded, "either")
    assert row.call in (called, "either")
    assert verified(folder) == row.verify


def test_onnxruntime_does_not_print_names_in_a_graph(
    make_bundle: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with ft.load(make_bundle(graph=failing_graph(), golden=False)) as model, pytest.raises(BundleError):
        model("play")
    assert capfd.readouterr() == ("", "")


def used(folder: Path, *, teaches: bool) -> tuple[str, str]:
    """Whether `load` and a call, and with `teaches` a lesson, work or raise their own errors."""
    try:
        model = ft.load(folder, limits=LIMITS)
    except BundleError as error:
        return ("refuses" if "\n" not in str(error) else "refuses in several lines"), "-"
    with model:
        try:
            model(["turn the lights off"])
            if isinstance(model, ft.TextGenerator):
                model.chat([{"role": "user", "content": "turn the lights off"}])
            if teaches:
                assert isinstance(model, ft.TextClassifier)
                model.teach("play", "jazz")
        except FtoolError:
            return "loads", "refuses"
    return "loads", "answers"


def verified(folder: Path) -> str:
    """What `verify` says."""
    try:
        return "passes" if ft.verify(folder, limits=LIMITS).passed else "fails"
    except BundleError:
        return "refuses"


def test_there_are_more_than_a_hundred_kinds() -> None:
    assert len({row.name for row in SPOILED}) == len(SPOILED) > 100
