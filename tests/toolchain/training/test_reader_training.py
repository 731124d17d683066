"""Training readers: labels of windows, the loss, and whole runs, also resumed and with adapters."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ftool.data.dataset import Split
from ftool.data.rows.questions import Question
from ftool.errors import RecipeError
from ftool.evaluation.evaluate import evaluate_recipe
from ftool.recipe.recipe import Recipe
from ftool.recipe.schema import SETTINGS
from ftool.train_model import train
from ftool.training.reader import answer_tokens, span_loss, window_rows, without_long_questions
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.reader import LoadedReader, create_reader, load_reader
from ftool_export.examples.questions import QuestionExamples
from ftool_export.tokenizers.windows import longest_question, question_lengths
from ftool_runtime.errors import InputError
from ftool_runtime.postprocessing.spans import NO_ANSWER
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window


@pytest.fixture(scope="module")
def reader(tiny_base: Path) -> LoadedReader:
    return create_reader(str(tiny_base), max_length=24, stride=6, max_answer_length=4)


def recipe(base: Path, data: Path, **train: Any) -> Recipe:
    settings = {"max_length": 24, "stride": 6, "max_answer_length": 4, "epochs": 6, "batch_size": 16}
    settings |= {"learning_rate": 3e-3, "threads": 1}
    values = {"task": "question-answering", "base": str(base), "data": {"path": str(data)}}
    return SETTINGS.build(Recipe, {**values, "train": settings | train})


def test_windows_are_labelled_with_the_tokens_of_their_answer(reader: LoadedReader) -> None:
    context = " ".join(["rain"] * 24 + ["song", "band"] + ["sun"] * 24)
    start = context.index("song")
    example = Question("tell", context, ("song band",), (start,), id="1")
    windows = reader.windows([example.input])[0]
    rows = window_rows(reader, [example]).rows
    assert len(rows) == len(windows) > 1
    held = 0
    for row, window in zip(rows, windows, strict=True):
        covered = [window.offsets[place] for place in window.text_positions]
        whole = covered[0][0] <= start and covered[-1][1] >= start + len("song band")
        if whole:
            assert context[window.offsets[row.target[0]][0] : window.offsets[row.target[1]][1]] == "song band"
        else:
            assert row.target.tolist() == [NO_ANSWER, NO_ANSWER]
        held += whole
    assert 0 < held < len(rows)


@given(
    lengths=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=12),
    start=st.integers(0, 20),
    size=st.integers(1, 8),
)
def test_the_tokens_of_an_answer_cover_it_and_no_more(
    lengths: list[tuple[int, int]], start: int, size: int
) -> None:
    """Tokens with gaps between them, as spaces leave, and without characters of their own, as byte tokens may be."""
    offsets, at = [(0, 0)], 0
    for gap, length in lengths:
        offsets.append((at + gap, at + gap + length))
        at += gap + length
    window = Window(Tokens(list(range(len(offsets))), None, truncated=False), offsets, range(1, len(offsets)))
    first, last = answer_tokens(window, start, start + size)
    touching = [
        place
        for place, (begin, end) in enumerate(offsets)
        if place and begin < start + size and end > start and end > begin
    ]
    if offsets[1][0] > start or offsets[-1][1] < start + size or not touching:
        assert first == last == NO_ANSWER or not touching
    else:
        assert first <= touching[0]
        assert last >= touching[-1]
        assert all(begin == end for begin, end in offsets[first : touching[0]])
        assert all(begin == end for begin, end in offsets[touching[-1] + 1 : last + 1])


def test_the_pieces_of_one_character_are_all_of_its_answer() -> None:
    """Byte-level tokenizers make several tokens of an emoji, each with the character's own offsets."""
    offsets = [(0, 0), (0, 1), (1, 2), (1, 2), (1, 2), (2, 4)]
    window = Window(Tokens(list(range(6)), None, truncated=False), offsets, range(1, 6))
    assert answer_tokens(window, 1, 2) == (2, 4)


def test_the_loss_is_cross_entropy_over_the_tokens_of_each_window() -> None:
    logits = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    labels = torch.tensor([[1, 4], [0, 2]])
    cross_entropy = torch.nn.functional.cross_entropy
    rows = [(logits[0], labels[0]), (logits[1, :3], labels[1])]
    for smoothing in (0.0, 0.1):
        expected = [
            cross_entropy(values[:, side][None], places[side][None], label_smoothing=smoothing)
            for values, places in rows
            for side in (0, 1)
        ]
        torch.testing.assert_close(span_loss(logits, mask, labels, smoothing), torch.stack(expected).mean())


def test_a_long_question_is_dropped_with_a_warning(
    reader: LoadedReader, caplog: pytest.LogCaptureFixture
) -> None:
    fits, long = (Question("tell " * n, "rain", ("rain",), (0,), id=str(n), row=n) for n in (14, 15))
    split = Split([fits, long], "d.json")
    lengths = question_lengths(reader, [fits.question, long.question])
    assert without_long_questions(split, lengths, longest_question(reader, reader.stride)).examples == [fits]
    assert (
        "d.json: 1 question dropped (row 15), because more than 14 tokens leave the context no room"
        in caplog.text
    )
    with pytest.raises(InputError, match="question 1 has 15 tokens; at most 14 fit"):
        reader.windows([fits.input, long.input])


def test_a_trained_reader_finds_answers_and_says_where_there_are_none(
    tiny_base: Path, questions: Path, tmp_path: Path
) -> None:
    report = train(recipe(tiny_base, questions), tmp_path, resume=False)
    metrics = report.test.metrics
    assert metrics["f1"] > 0.8  # 0.25 by saying that there is never an answer
    assert metrics["no_answer_examples"] == 10
    loaded = load_reader(tmp_path / "run")
    assert loaded.no_answer_threshold == metrics["no_answer_threshold"] is not None
    assert (loaded.max_length, loaded.stride, loaded.max_answer_length) == (24, 6, 4)
    again = evaluate_recipe(recipe(tiny_base, questions), tmp_path, on="run", data=None, split="test")
    assert again.metrics == metrics
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written["metrics"]["f1"] == metrics["f1"]


def test_a_run_that_is_cut_off_is_resumed_to_the_same_weights(
    tiny_base: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(tiny_base, questions, epochs=2, evaluations_per_epoch=1)
    train(settings, tmp_path / "whole", resume=False)

    from ftool.training import encoder

    calls = []
    measured = encoder.compute_outputs  # type: ignore[attr-defined]

    def cut_off(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:  # the first epoch, and now the second
            raise KeyboardInterrupt
        return measured(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "compute_outputs", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "cut", resume=False)
    train(settings, tmp_path / "cut", resume=True)
    whole, cut = (load_reader(tmp_path / name / "run").model.state_dict() for name in ("whole", "cut"))
    for name, value in whole.items():
        torch.testing.assert_close(value, cut[name], rtol=0, atol=0)


def test_adapters_are_trained_and_merged(tiny_base: Path, questions: Path, tmp_path: Path) -> None:
    settings = recipe(tiny_base, questions, method="lora", epochs=1, lora_rank=4)
    report = train(settings, tmp_path, resume=False)
    assert report.training["fine_tuning"]["merge_difference"] < 1e-4
    assert load_reader(tmp_path / "run").model.encoder.config.model_type == "bert"


def test_outputs_do_not_depend_on_company(reader: LoadedReader) -> None:
    contexts = ["rain sun", "rain " * 60, "song band about sun"]
    windows = reader.windows([{"question": "tell me", "context": context} for context in contexts])
    rows = [window.tokens for one in windows for window in one]
    together = compute_outputs(reader, rows)
    for row, values in zip(rows, together, strict=True):
        assert values.shape == (len(row.ids), 2)
        np.testing.assert_allclose(values, compute_outputs(reader, [row])[0], atol=1e-5)


def test_every_answer_is_a_stretch_of_its_context(reader: LoadedReader) -> None:
    examples = [Question("tell", "rain\tSUN  wind " * 9, ("SUN",), (5,), id="1")]
    given = QuestionExamples(loaded=reader, inputs=Split(examples, "d").inputs)
    spans = given.spans(compute_outputs(reader, given.rows))[0]
    text = examples[0].context
    assert all(text[span.start : span.end].strip() == text[span.start : span.end] for span in spans.best)


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        ({"method": "head"}, 'train.method can\'t be "head" for question-answering'),
        ({"stride": 24}, "train.stride must be below train.max_length, got 24 and 24"),
        ({"max_answer_length": 9}, "train.max_answer_length must be at most train.stride + 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, train: dict[str, Any], problem: str) -> None:
    with pytest.raises(RecipeError) as refused:
        recipe(tmp_path, tmp_path, **train)
    assert problem in str(refused.value)
