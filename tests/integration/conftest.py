"""Fixtures: one run of `ftool demo`, which the tests of the whole way share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.cli import succeeds, told
from tests.helpers.paths import INTENTS

from ftool.bench.measure import BenchSettings
from ftool.bench.report import BenchReport
from ftool.bench.run import bench


@pytest.fixture(scope="session", autouse=True)
def _brief_benchmarks() -> Iterator[None]:
    """Time little in demos: tests ask whether it is timed, never how fast something is."""
    brief = BenchSettings(
        rounds=1, texts_per_round=6, throughput_rounds=1, cold_starts=1, throughput_texts=12
    )

    def briefly(engines: Any, texts: Any, _: BenchSettings, **rest: Any) -> BenchReport:
        return bench(engines, texts, brief, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ftool.demo.bench", briefly)
        yield


@pytest.fixture(scope="session")
def intents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of builtin:intents, half of its texts, with a recipe that trains only the head."""
    data = tmp_path_factory.mktemp("intents")
    for split, step in (("train", 2), ("validation", 1), ("test", 2)):
        head, *rows = (INTENTS / f"{split}.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        (data / f"{split}.csv").write_text("".join([head, *rows[::step]]), encoding="utf-8")
    folder = tmp_path_factory.mktemp("models") / "intents"
    settings = ("--set", "train.method=head", "--set", f"data.path={data}")
    succeeds("new", folder, "--from", "intents", *settings)
    return folder


@pytest.fixture(scope="session")
def demo(intents: Path) -> dict[str, Any]:
    """What `ftool demo --json` printed."""
    return told("demo", intents)


@pytest.fixture(scope="session")
def intents_bundle(intents: Path, demo: dict[str, Any]) -> Path:
    """The int8 bundle that the demo left."""
    return intents / "bundle"
