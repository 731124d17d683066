"""Rows of different lengths: which rows share a run, and that answers equal those for single rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ftool_runtime as ft
from ftool_runtime.session.batching import length_groups
from ftool_runtime.session.decoder.cross_cache import Sources, _concatenated
from ftool_runtime.session.onnx_session import OnnxSession

LENGTHS = (40, 23, 23, 23, 3)


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of `input_ids` in every run that reads more than one token a row."""
    seen: list[tuple[int, ...]] = []
    value, run_all = OnnxSession.value, OnnxSession.run_all

    def noted_value(session: OnnxSession, array: np.ndarray) -> object:
        if array.ndim == 2 and array.dtype == np.int64 and array.shape[1] > 1:
            seen.append(array.shape)
        return value(session, array)

    def noted_run(session: OnnxSession, outputs: object, feeds: dict[str, np.ndarray]) -> object:
        seen.append(feeds["input_ids"].shape)
        return run_all(session, outputs, feeds)  # type: ignore[arg-type]

    monkeypatch.setattr(OnnxSession, "value", noted_value)
    monkeypatch.setattr(OnnxSession, "run_all", noted_run)
    return seen


def rows_of(lengths: tuple[int, ...]) -> list[list[int]]:
    random = np.random.default_rng(3)
    return [random.integers(7, 27, length).tolist() for length in lengths]


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([5], [(0, 1)]),
        ([9, 9, 9], [(0, 3)]),
        ([9, 8, 8], [(0, 1), (1, 3)]),
        ([1, 30, 30, 25, 30], [(0, 1), (1, 3), (3, 4), (4, 5)]),
    ],
)
def test_neighbours_of_the_same_length_share_a_run(lengths: list[int], groups: list[tuple[int, int]]) -> None:
    assert [(group.start, group.stop) for group in length_groups(lengths)] == groups


@pytest.mark.parametrize("beams", [1, 3])
def test_prompts_of_different_lengths_run_separately_and_get_the_answers_of_single_ones(
    make_generator: Callable[..., Path],
    greedy: Callable[..., list[int]],
    shapes: list[tuple[int, ...]],
    beams: int,
) -> None:
    rows = rows_of(LENGTHS)
    with ft.TextGenerator.load(make_generator(), threads=1) as model:
        together = model.generate(rows, max_new_tokens=30, num_beams=beams)
        read = [shape for shape in shapes if shape in {(1, 40), (3, 23), (1, 3)}]
        alone = [model.generate([row], max_new_tokens=30, num_beams=beams)[0] for row in rows]
    assert [row.ids for row in together] == [row.ids for row in alone]
    assert (5, 40) not in shapes
    assert set(read) == {(1, 40), (3, 23), (1, 3)}
    if beams == 1:
        assert [list(row.ids) for row in together] == [greedy(row, 30) for row in rows]


def test_a_second_call_finds_room_for_longer_prompts(
    make_generator: Callable[..., Path], greedy: Callable[..., list[int]]
) -> None:
    with ft.TextGenerator.load(make_generator(), threads=1) as model:
        for lengths in ((9, 1), (80, 2), (30, 20, 10, 1)):  # 80: past the first buffers
            rows = rows_of(lengths)
            answers = model.generate(rows, max_new_tokens=12)
            assert [list(answer.ids) for answer in answers] == [greedy(row, 12) for row in rows]


def test_sources_of_different_lengths_run_separately_and_get_the_answers_of_single_ones(
    make_generator: Callable[..., Path], greedy: Callable[..., list[int]], shapes: list[tuple[int, ...]]
) -> None:
    rows = rows_of((23, 23, 9, 9))
    with ft.Seq2SeqGenerator.load(make_generator(source=True), threads=1) as model:
        answers = model.generate(rows, max_new_tokens=30)
    assert [shape for shape in shapes if shape in {(2, 23), (2, 9), (4, 23)}] == [(2, 23), (2, 9)]
    assert [list(answer.ids) for answer in answers] == [greedy([0], 30, row) for row in rows]


def test_sources_of_any_lengths_are_padded_to_whole_vector_lanes() -> None:
    parts = [
        Sources(
            {"cross.0.key": np.full((1, 2, length, 4), length, np.float32)}, np.ones((1, length), np.int64)
        )
        for length in (5, 17)
    ]
    for given, width in (
        (parts[:1], 16),
        (parts, 32),
    ):  # also for a single source: its sums are the same in a batch
        sources = _concatenated(given)
        assert sources.mask.sum(axis=1).tolist() == [5, 17][: len(given)]
        assert sources.mask.shape == (len(given), width)
        assert sources.values["cross.0.key"].shape == (len(given), 2, width, 4)
        assert sources.values["cross.0.key"][0, :, 5:].max() == 0
