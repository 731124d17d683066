"""The measurements of benchmarks/ can be run: each module is imported, as its command does first."""

import importlib
import pkgutil

import benchmarks
import pytest

_WORKERS = "benchmarks.peers.workers"  # each runs in the environment of another engine
MODULES = [
    module.name
    for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")
    if not module.name.startswith(_WORKERS)
]


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_is_imported(name: str) -> None:
    """A name that a module no longer has is found here, not after an hour of measurements."""
    importlib.import_module(name)
