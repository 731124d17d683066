"""The environment variables of a timed process."""

import pytest

from ftool.bench.engines import app_environment


def test_a_timed_process_stores_compiled_modules_and_keeps_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = app_environment()
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert found["OMP_NUM_THREADS"] == "3"
