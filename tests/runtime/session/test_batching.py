"""Texts are divided into batches and padded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.session.batching import cut_into_runs, pad
from ftool_runtime.text.encode import Tokens

lengths = st.lists(st.integers(1, 200), max_size=60)


@given(lengths, st.integers(1, 500))
def test_every_text_is_in_one_run_and_no_run_of_several_exceeds_the_budget(
    lengths: list[int], budget: int
) -> None:
    runs = cut_into_runs(lengths, budget)
    assert sorted(position for run in runs for position in run) == list(range(len(lengths)))
    for run in runs:
        assert len(run) == 1 or len(run) * max(lengths[position] for position in run) <= budget


@given(lengths, st.integers(1, 500))
def test_runs_hold_neighbours_in_length(lengths: list[int], budget: int) -> None:
    in_order = [lengths[position] for run in cut_into_runs(lengths, budget) for position in run]
    assert in_order == sorted(lengths, reverse=True)


def test_padding_goes_right_with_the_contracts_ids() -> None:
    contract = InputContract(
        names=("input_ids", "attention_mask", "token_type_ids"),
        max_length=8,
        pad_token_id=9,
        pad_token_type_id=3,
    )
    feeds = pad([Tokens([1, 2, 3], [0, 0, 1], False), Tokens([4], [0], False)], contract)
    assert all(values.dtype == np.int64 for values in feeds.values())
    assert feeds["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9]]
    assert feeds["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert feeds["token_type_ids"].tolist() == [[0, 0, 1], [0, 3, 3]]


def test_only_what_the_graph_takes_is_fed() -> None:
    tokens = Tokens([1, 2], None, False)
    contract = InputContract(names=("input_ids",), max_length=8)
    assert list(pad([tokens], contract)) == list(pad([tokens, tokens], contract)) == ["input_ids"]


def test_one_text_is_fed_as_a_row_of_many_would_be() -> None:
    contract = InputContract(names=("input_ids", "attention_mask", "token_type_ids"), max_length=8)
    tokens = Tokens([5, 6, 7], [0, 1, 1], False)
    alone, together = pad([tokens], contract), pad([tokens, tokens], contract)
    for name in contract.names:
        np.testing.assert_array_equal(alone[name], together[name][:1])
        assert alone[name].dtype == together[name].dtype
