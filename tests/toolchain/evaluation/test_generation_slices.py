"""Metrics of generated texts by slice equal those of the slice alone; slices use the columns of the data's rows."""

from pathlib import Path

import numpy as np
import pytest
from tests.helpers.files import write_jsonl

from ftool.data.load import load_dataset, load_split
from ftool.data.rows.pairs import PairReader
from ftool.evaluation.confidence_intervals import ConfidenceSettings, metrics_of
from ftool.evaluation.metrics.generation import ScoreFamily, text_metrics, text_statistics
from ftool.evaluation.slices import SliceSettings, slice_report
from ftool.recipe.data_settings import DataSettings
from ftool_runtime.errors import InputError

FAMILY: dict[str, ScoreFamily] = {"translation": "bleu", "summarization": "rouge", "text-generation": "rouge"}

WRITTEN = [
    "the cat sat on the mat",
    "a dog",
    "it is #### 42",
    "rain and snow in the north",
    "",
    "the north #### 7",
]
WANTED = [
    ["the cat sat on a mat", "the cat is on the mat"],
    ["the dog"],
    ["#### 42"],
    ["rain and snow in the north"],
    ["something"],
    ["in the north #### 8"],
]


@pytest.mark.parametrize("task", ["translation", "summarization"])
@pytest.mark.parametrize("positions", [range(6), [0, 1, 3], [2, 5]])
def test_a_slice_has_the_metrics_of_its_texts_alone(task: str, positions: list[int]) -> None:
    statistics = text_statistics(WRITTEN, WANTED, scores=FAMILY[task], language="en")
    found = metrics_of(statistics, np.array(positions))
    expected = text_metrics(
        [WRITTEN[n] for n in positions], [WANTED[n] for n in positions], scores=FAMILY[task], language="en"
    )
    figures = {name for name, value in expected.items() if isinstance(value, float)}
    assert {name: found[name] for name in figures} == pytest.approx(
        {name: expected[name] for name in figures}
    )
    assert statistics.main == ("bleu" if task == "translation" else "rougeL")


def test_texts_are_reported_by_the_columns_of_their_rows(tmp_path: Path) -> None:
    rows = [
        {"source": f"text {n}", "target": f"answer {n}", "register": "formal" if n % 2 else "plain"}
        for n in range(60)
    ]
    path = write_jsonl(tmp_path / "pairs.jsonl", rows)
    data = load_dataset(PairReader, DataSettings(path=str(path)))  # the test split is cut off
    for split in (data.test, data.train):
        names = [row.cells[0] for row in split.table.rows]
        assert names == [example.source for example in split.examples]
    whole = load_split(PairReader, DataSettings(path=str(path)))
    written = [target if n % 2 else "x" for n, (target,) in enumerate(one.targets for one in whole.examples)]
    statistics = text_statistics(
        written, [one.targets for one in whole.examples], scores="rouge", language="en"
    )
    settings = SliceSettings(confidence=ConfidenceSettings(resamples=100))
    report = slice_report(statistics, whole.table, "register", settings)
    assert report.gaps["exact_match"].highest == "formal"
    assert report.gaps["exact_match"].gap.value == 1
    assert report.gaps["exact_match"].beyond_chance


def test_plain_text_has_nothing_to_slice() -> None:
    with pytest.raises(InputError, match="continued, not answered"):
        text_statistics([], [], scores="rouge")
