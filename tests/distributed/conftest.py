"""A tiny bundle, data for it, and the answers that one process gives.

The tests of test_ray*.py need Ray, which `make test-distributed` installs into a folder of its own; elsewhere they are
left out.
"""

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool.data.inputs import data_files, read_inputs
from ftool.distributed.job import Job, plan
from ftool_runtime.text.files import in_batches
from ftool_runtime.tools.output import write_answers
from tests.helpers.tiny_bundles import write_bundle

collect_ignore_glob = [] if importlib.util.find_spec("ray") else ["test_ray*.py"]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def one_process(bundle: Path) -> Callable[[Path], str]:
    """The lines that `ftool predict` writes for a file, or for the files of a folder one after another."""

    def answer(data: Path) -> str:
        out = io.StringIO()
        with ft.load(bundle) as model:
            for path in data_files(data):
                write_answers(model, in_batches(read_inputs(path, "text", None)), out)
        return out.getvalue()

    return answer


@pytest.fixture(scope="session")
def planned(bundle: Path) -> Callable[..., Job]:
    def make(data: Path, **settings: object) -> Job:
        with ft.load(bundle) as model:
            return plan(model, bundle, data, **{"column": "text", **settings})

    return make
