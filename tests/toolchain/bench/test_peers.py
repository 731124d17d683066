"""Other projects' engines in benchmarks/: their worker process, the order of answers, and the check of answers."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.peers import agreement
from benchmarks.peers.engine import PeerEngine, prepare
from benchmarks.peers.scenarios import Measured, Scenario, report
from benchmarks.peers.workers.inputs import in_batches

from ftool.bench.contention import Contention
from ftool.bench.engines import EngineProcess
from ftool.bench.timings import Timings


@pytest.fixture
def tf_idf(tmp_path: Path) -> PeerEngine:
    texts = tmp_path / "train.json"
    data = {"texts": ["my card is lost", "where is my money"] * 3, "labels": ["card", "money"] * 3}
    texts.write_text(json.dumps(data), encoding="utf-8")
    return PeerEngine(
        name="tf-idf",
        kind="tf_idf",
        folder=tmp_path / "model",
        files=(),
        threads=1,
        task="text-classification",
        python=Path(sys.executable),
        settings={"texts": str(texts)},
    )


def test_a_worker_makes_its_model_and_answers_and_times_texts(tf_idf: PeerEngine) -> None:
    prepare(tf_idf)
    with EngineProcess(tf_idf, "a card") as process:
        texts = ["all the money", "a lost card", "lost"]
        assert process.ask({"do": "answers", "texts": texts}) == {"answers": ["money", "card", "card"]}
        assert len(process.latencies(texts)["latencies_ms"]) == 3
        assert process.seconds(texts) > 0


def test_a_model_that_could_not_be_made_leaves_no_folder(tf_idf: PeerEngine) -> None:
    (tf_idf.folder.parent / "train.json").unlink()
    with pytest.raises(SystemExit, match="the model of tf-idf was not made"):
        prepare(tf_idf)
    assert not tf_idf.folder.exists()


def test_batches_of_similar_lengths_are_answered_in_the_order_of_the_texts() -> None:
    texts = ["ccc", "a", "bb", "dddd", ""]
    sizes: list[list[int]] = []

    def answer(batch: list[str]) -> list[str]:
        sizes.append([len(text) for text in batch])
        return [text.upper() for text in batch]

    assert in_batches(answer, texts, 2) == ["CCC", "A", "BB", "DDDD", ""]
    assert sizes == [[0, 1], [2, 3], [4]]


def test_agreement_of_labels_is_with_the_reference_and_accuracy_with_the_truth() -> None:
    found = agreement.of_labels(["a", "b", "c", "d"], ["a", "b", "c", "x"], ["a", "y", "y", "y"])
    assert found == {"agreement": 0.75, "accuracy": 0.25}


def test_agreement_of_vectors_is_their_cosine_whatever_their_length() -> None:
    reference = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], dtype=np.float32)
    assert agreement.of_vectors(3 * reference, reference) == pytest.approx(
        {"agreement": 1.0, "same_nearest": 1.0}
    )
    turned = reference[:, ::-1] * np.array([1.0, -1.0])
    assert agreement.of_vectors(turned, reference)["agreement"] == pytest.approx(0.0, abs=1e-6)


def test_ratios_are_of_the_same_round_and_above_1_if_ours_is_better(tf_idf: PeerEngine) -> None:
    alone = Scenario(name="alone", texts=["a"], rounds=3, per_round=1)
    many = Scenario(name="many", texts=["a"], rounds=1, per_round=1, together=True)
    measured = Measured(
        timings={
            "alone": {
                "ours": Timings(engine=tf_idf, latencies_ms=[[1.0], [2.0], [4.0]]),
                "other": Timings(engine=tf_idf, latencies_ms=[[2.0], [6.0], [16.0]]),
            },
            "many": {
                "ours": Timings(engine=tf_idf, throughput_per_s=[100.0]),
                "other": Timings(engine=tf_idf, throughput_per_s=[25.0]),
            },
        },
        starts={"ours": [5.0], "other": [6.0]},
        described={name: {"peak_memory_mb": 1.0, "versions": {}} for name in ("ours", "other")},
        contention=Contention(),
    )
    found = report(measured, [alone, many], "ours")["engines"]["other"]["scenarios"]
    assert (found["alone"]["ratio"], found["alone"]["ratio_range"]) == (3.0, [2.0, 4.0])
    assert found["alone"]["value"] == 6.0
    assert (found["many"]["ratio"], found["many"]["value"]) == (4.0, 25.0)
