"""Models that many threads call, load and close give the answers of one thread: a short `make test-threads`."""

import pytest

from tests.helpers.shared import BuiltOnce
from tests.threads.bundles import NAMES, write_bundles
from tests.threads.campaign import AT_ONCE, THREADS, Tally, run
from tests.threads.table import table


@pytest.fixture(scope="module")
def tally(made_once: BuiltOnce) -> Tally:
    """A short run."""
    return run(made_once("threads", write_bundles), calls=2 * AT_ONCE, loads=0.05)


def test_every_answer_is_that_of_one_thread(tally: Tally) -> None:
    assert tally.wrong == []
    assert sum(tally.calls.values()) == 2 * AT_ONCE
    assert min(tally.calls[name] for name in NAMES) > AT_ONCE / 4
    assert tally.threads == THREADS
    assert tally.loads > 20


def test_another_answer_is_told(made_once: BuiltOnce, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.threads.campaign._answers", lambda folder, made: ["other"] * len(made))
    tally = run(made_once("threads", write_bundles), calls=AT_ONCE, threads=2)
    assert len(tally.wrong) == AT_ONCE


def test_growth_is_that_of_the_median_at_the_end(tally: Tally) -> None:
    found = Tally(
        threads=24, memory_mib=[100.0, *[104.0] * 10, 103.0, 109.0], allocated_mib=[9.0, 9.5], loads=3
    )
    assert found.growth == pytest.approx(0.04)
    assert "| 100.0 | 104.0 | 104.0 | 4.0% | 109.0 | 9.0 | 9.5 | 9.2 |" in table(
        [("as it is", found.to_json())]
    )
