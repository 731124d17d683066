"""Blocks hold about as many tokens as asked for, and every row once."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftool_runtime as ft
from ftool.data.inputs import read_rows
from ftool.distributed import Answers
from ftool.distributed.blocks import blocks_of, bytes_per_token, part_name
from ftool.distributed.job import Job, check_worker, plan
from ftool.distributed.scorer import Scorer, score
from ftool.errors import ClusterError
from ftool_runtime.errors import InputError
from ftool_runtime.text.input_rows import InputRow
from tests.distributed.data import answers, sentences, write_csv, write_jsonl
from tests.helpers.onnx_writer import ONNX_WRITER
from tests.helpers.tiny_generators import write_generator


@given(st.lists(st.text(max_size=40), min_size=1, max_size=400), st.integers(1, 3000))
def test_every_row_is_in_one_block_in_order(texts: list[str], tokens: int) -> None:
    rows = [InputRow(number, text) for number, text in enumerate(texts, 2)]
    blocks = list(blocks_of(rows, 3, tokens=tokens, bytes_per_token=4))
    assert [row for block in blocks for row in block.read()] == rows
    assert [block.number for block in blocks] == list(range(len(blocks)))
    assert all(len(block.read()) % 64 == 0 for block in blocks[:-1])  # the batches of one process


def test_blocks_have_equal_tokens_rather_than_equal_rows() -> None:
    """A short text weighs 1 + 2 tokens, a long one 25 + 2."""
    texts = ["word "] * 64 * 8 + ["word " * 25] * 64 * 3 + ["word "] * 64
    rows = [InputRow(number, text) for number, text in enumerate(texts, 1)]
    blocks = list(blocks_of(rows, 0, tokens=64 * 30, bytes_per_token=5))
    assert [len(block.read()) // 64 for block in blocks] == [8, 1, 1, 2]


def test_names_of_parts_are_sorted_in_the_order_of_the_input() -> None:
    places = [(0, 0), (0, 9), (0, 10), (1, 0), (10, 0), (99_999, 999_999)]
    assert sorted(part_name(*place) for place in places) == [part_name(*place) for place in places]
    with pytest.raises(InputError, match="larger --block-tokens"):
        part_name(0, 1_000_000)


def test_tokens_are_estimated_with_the_tokenizer_of_the_model(bundle: Path) -> None:
    rows = [InputRow(1, "turn the lights off"), InputRow(2, None), InputRow(3, "the")]
    with ft.load(bundle) as model:
        # 19 and 3 bytes, 4 and 1 words, and two special tokens for each text
        assert bytes_per_token(model, rows) == round(22 / 9, 2)
        assert bytes_per_token(model, []) == 4.0


def test_a_part_has_a_line_for_each_row_and_lists_the_rejected_ones(
    bundle: Path, planned: Callable[..., Job], tmp_path: Path
) -> None:
    lines = [
        '{"text": "play music"}',
        "",
        "{broken",
        '{"text": " "}',
        '{"text": 7}',
        '{"body": "x"}',
        '"set a timer"',
    ]
    data = tmp_path / "a.jsonl"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    job = planned(data)
    (block,) = blocks_of(read_rows(data, "text", None), 0, tokens=1000, bytes_per_token=4)
    with ft.load(bundle) as model:
        record = score(model, job, block, tmp_path)
        expected = model("set a timer").to_json("set a timer")
    written = [json.loads(line) for line in answers(tmp_path).splitlines()]
    assert [line and line["text"] for line in written] == [
        "play music",
        None,
        None,
        None,
        None,
        "set a timer",
    ]
    assert written[-1] == expected
    assert (record.first, record.last, record.rows, record.blank, record.rejected) == (1, 7, 6, 1, 3)
    rejected = [json.loads(line) for line in (tmp_path / record.rejects).read_text().splitlines()]
    assert [(row["row"], row["line"]) for row in rejected] == [(3, 2), (5, 4), (6, 5)]
    assert all(row["problem"].startswith(f"{data}, line {row['row']}") for row in rejected)


def test_a_text_that_the_model_refuses_is_rejected_and_the_others_are_answered(
    bundle: Path, planned: Callable[..., Job], tmp_path: Path
) -> None:
    data = write_jsonl(tmp_path / "a.jsonl", ["play music", "off " * 60, "the timer"])
    job = planned(data)
    (block,) = blocks_of(read_rows(data, "text", None), 0, tokens=1000, bytes_per_token=4)
    with ft.load(bundle, limits=ft.Limits(text_characters=100)) as model:
        record = score(model, job, block, tmp_path)
    assert [line != "null" for line in answers(tmp_path).splitlines()] == [True, False, True]
    (rejected,) = [json.loads(line) for line in (tmp_path / record.rejects).read_text().splitlines()]
    assert rejected["problem"].startswith(f"{data}, line 2: the text has 240 characters")


def test_a_generator_answers_what_fits_and_rejects_the_rest(tmp_path: Path) -> None:
    write_generator(tmp_path / "bundle", ONNX_WRITER, source=False, caches="in_place")
    words = ["turn", "the", "lights", "off"]
    texts = [" ".join(words), " ".join(words * 40), words[0]]
    data = write_jsonl(tmp_path / "a.jsonl", texts)
    with ft.load(tmp_path / "bundle") as model:
        options = {"max_new_tokens": 3}
        job = plan(model, tmp_path / "bundle", data, column="text", options=options)
        (block,) = blocks_of(read_rows(data, "text", None), 0, tokens=1000, bytes_per_token=4)
        record = score(model, job, block, tmp_path)
        expected = [model(text, **options).to_json(text) for text in (texts[0], texts[2])]
    first, second, third = (json.loads(line) for line in answers(tmp_path).splitlines())
    assert ([first, third], second) == (expected, None)
    (rejected,) = [json.loads(line) for line in (tmp_path / record.rejects).read_text().splitlines()]
    assert rejected["row"] == 2
    assert f"{data}, line 2: the text has 160 tokens" in rejected["problem"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"versions": {"ftool": "9.9"}}, "has ftool .* instead of 9.9; install the same versions"),
        (
            {"bundle": "/nowhere/bundle"},
            "has no bundle at /nowhere/bundle; put it at the same path on every node",
        ),
        ({"digest": "0" * 64}, "has another bundle at"),
    ],
)
def test_a_worker_that_would_answer_otherwise_is_refused(
    planned: Callable[..., Job], tmp_path: Path, change: dict[str, object], message: str
) -> None:
    job = planned(write_csv(tmp_path / "a.csv", sentences(3)))
    if "versions" in change:
        change = {"versions": {**job.versions, **change["versions"]}}
    changed = dataclasses.replace(job, **change)
    with pytest.raises(ClusterError, match=message):
        check_worker(changed)
    (block,) = blocks_of([InputRow(1, "play")], 0, tokens=10, bytes_per_token=4)
    problem = Scorer(changed, tmp_path, 1).score(block)["problem"]
    assert problem.startswith("the worker on ")


def test_a_worker_that_can_not_write_says_where(planned: Callable[..., Job], tmp_path: Path) -> None:
    job = planned(write_csv(tmp_path / "a.csv", sentences(3)))
    (block,) = blocks_of([InputRow(1, "play")], 0, tokens=10, bytes_per_token=4)
    problem = Scorer(job, tmp_path / "missing", 1).score(block)["problem"]
    assert f"can't write into {tmp_path / 'missing'}: No such file or directory" in problem


def test_a_batch_of_ray_data_gets_answers_and_problems(bundle: Path) -> None:
    texts = np.array(["play music", None, 7, " ", "set a timer"], dtype=object)
    answer = Answers(bundle, top_k=2)
    batch = answer({"text": texts, "id": np.arange(5)})
    assert [found and json.loads(found)["text"] for found in batch["answer"]] == [
        "play music", None, None, None, "set a timer",
    ]  # fmt: skip
    assert len(json.loads(batch["answer"][0])["top"]) == 2
    assert [problem is not None for problem in batch["problem"]] == [False, False, True, False, False]
    assert batch["id"].tolist() == [0, 1, 2, 3, 4]
    assert answer({"text": np.array([], dtype=object)})["answer"].tolist() == []
    with pytest.raises(InputError, match="the dataset has no column 'text'; it has body; give column=NAME"):
        answer({"body": texts})
    with pytest.raises(TypeError, match="colour"):
        Answers(bundle, colour="red")
