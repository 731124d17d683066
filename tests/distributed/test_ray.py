"""A cluster of two nodes answers as one process does, whatever dies meanwhile; what can't be done is told by name."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pyarrow.parquet
import pytest
import ray
from ray.cluster_utils import Cluster as Nodes

from ftool.distributed import Answers, ClusterError, predict, ray_engine
from ftool.distributed.blocks import Block
from ftool.distributed.cluster import _check_address
from ftool.distributed.job import Job
from ftool.distributed.output_folder import JOURNAL, MANIFEST
from ftool.distributed.predict import run
from ftool.distributed.scorer import Scorer
from ftool_runtime.errors import BusyError, InputError
from ftool_runtime.locks import writing
from tests.distributed.data import answers, sentences, write_csv, write_jsonl
from tests.helpers.cli import ftool

OneProcess = Callable[[Path], str]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Two nodes of one CPU each, to which this process is connected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Nodes()
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20, include_dashboard=False)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def manifest(output: Path) -> dict[str, Any]:
    return json.loads((output / MANIFEST).read_text(encoding="utf-8"))


def test_files_of_all_kinds_are_answered_as_by_one_process(
    nodes: Nodes, bundle: Path, one_process: OneProcess, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    write_csv(data / "a.csv", sentences(500))
    write_jsonl(data / "b" / "b.jsonl", sentences(300, 500))
    pyarrow.parquet.write_table(pyarrow.table({"text": sentences(200, 800)}), data / "c.parquet")
    expected = one_process(data)
    report = predict(bundle, data, tmp_path / "out", block_tokens=500)
    assert answers(tmp_path / "out") == expected
    assert (report.rows, report.files, report.workers, report.resumed) == (1000, 3, 2, 0)
    assert report.parts == len(list((tmp_path / "out").glob("part-*"))) > 10
    parts = manifest(tmp_path / "out")["parts"]
    assert parts[0]["first"] == 2  # line 1 is the header
    assert sum(part["rows"] for part in parts) == 1000
    assert not (tmp_path / "out" / JOURNAL).exists()

    again = predict(bundle, data, tmp_path / "out", block_tokens=500)
    assert (again.resumed, again.workers, again.seconds) == (1000, 0, 0.0)


def test_rows_without_an_answer_are_counted_and_listed(
    nodes: Nodes, bundle: Path, one_process: OneProcess, tmp_path: Path
) -> None:
    texts = sentences(200)
    good = one_process(write_jsonl(tmp_path / "good.jsonl", texts)).splitlines()
    lines = [json.dumps({"text": text}) for text in texts]
    lines[5], lines[20], lines[133] = "{", '{"text": 5}', '{"text": ""}'
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = predict(bundle, tmp_path / "a.jsonl", tmp_path / "out", block_tokens=60)
    assert (report.rows, report.rejected, report.blank) == (200, 2, 1)
    for number, line in enumerate(answers(tmp_path / "out").splitlines()):
        answer, expected = json.loads(line), json.loads(good[number])
        if number in (5, 20, 133):
            assert answer is None
        else:  # the batch is another one, on which the last bits depend in fp32
            assert (answer["text"], answer["label"]) == (expected["text"], expected["label"])
            assert answer["score"] == pytest.approx(expected["score"], rel=1e-6)
    rejected = [
        json.loads(line)
        for path in sorted((tmp_path / "out").glob("rejected-*"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert [row["row"] for row in rejected] == [6, 21]


def test_a_dataset_of_ray_data_is_answered(nodes: Nodes, bundle: Path) -> None:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    texts = sentences(100)
    answered = ray.data.from_items([{"text": text} for text in texts]).map_batches(
        Answers,
        fn_constructor_kwargs={"bundle": bundle},
        compute=ray.data.ActorPoolStrategy(size=1),
        batch_size=64,
        num_cpus=1,
    )
    found = [json.loads(row["answer"])["text"] for row in answered.take_all()]
    assert sorted(found) == sorted(texts)


def test_a_killed_worker_costs_no_row(
    nodes: Nodes, bundle: Path, one_process: OneProcess, tmp_path: Path
) -> None:
    data = write_csv(tmp_path / "a.csv", sentences(20_000))
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not killed:
            if len(list((tmp_path / "out").glob("part-*"))) > 5:
                (first, *_) = (one for one in psutil.process_iter(["cmdline"]) if _scores(one))
                first.kill()
                killed.append(first.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    predict(bundle, data, tmp_path / "out", block_tokens=100)
    thread.join()
    assert killed
    assert answers(tmp_path / "out") == one_process(data)


def _scores(process: psutil.Process) -> bool:
    return any("ray::Scorer" in part for part in process.info["cmdline"] or ())


def test_a_killed_command_is_resumed_by_the_same_command(
    nodes: Nodes, bundle: Path, one_process: OneProcess, tmp_path: Path
) -> None:
    data, output = write_csv(tmp_path / "a.csv", sentences(20_000)), tmp_path / "out"
    arguments = [
        "predict", str(bundle), "--engine", f"ray:{nodes.address}", "--input", str(data), "--output", str(output),
        "--block-tokens", "400", "--workers", "2",
    ]  # fmt: skip
    command = [sys.executable, "-m", "ftool", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 300
        while (
            len(list(output.glob("part-*"))) < 20 and process.poll() is None and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    journal = (output / JOURNAL).read_text(encoding="utf-8")
    before = [json.loads(line)["part"] for line in journal.split("\n")[:-1]]
    assert before
    written = {name: (output / f"part-{name}.jsonl").stat().st_ino for name in before}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "20,000 rows of 1 files" in done.stdout
    assert "answered before" in done.stdout
    assert answers(output) == one_process(data)
    assert {name: (output / f"part-{name}.jsonl").stat().st_ino for name in before} == written


def test_a_bundle_that_a_worker_can_not_read_is_told(
    nodes: Nodes, planned: Callable[..., Job], tmp_path: Path
) -> None:
    job = planned(write_csv(tmp_path / "a.csv", sentences(3)))
    with pytest.raises(ClusterError, match=r"the worker on .* has no bundle at /nowhere"):
        run(replace(job, bundle="/nowhere"), tmp_path / "out")


class DyingScorer:
    """Dies over the second block."""

    def __init__(self, *arguments: Any) -> None:
        self._scorer = Scorer(*arguments)

    def score(self, block: Block) -> dict[str, Any]:
        if block.number == 1:
            os._exit(1)
        return self._scorer.score(block)


def test_rows_that_kill_every_worker_are_named(
    nodes: Nodes, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "Scorer", DyingScorer)
    data = write_jsonl(tmp_path / "a.jsonl", sentences(200))
    with pytest.raises(ClusterError, match=r"a\.jsonl, lines 65 to 128: 4 workers died over these rows"):
        predict(bundle, data, tmp_path / "out", block_tokens=100)


class FailingScorer:
    def __init__(self, *_: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxruntime'")


def test_workers_that_can_not_start_say_why(
    nodes: Nodes, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "Scorer", FailingScorer)
    data = write_csv(tmp_path / "a.csv", sentences(3))
    with pytest.raises(ClusterError, match=r"workers can't start: .*No module named 'onnxruntime'"):
        predict(bundle, data, tmp_path / "out")


def test_a_worker_with_another_version_is_refused(nodes: Nodes, bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "ftool-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: ftool\nVersion: 9.9\n", encoding="utf-8")
    path = os.pathsep.join([str(other.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    node = nodes.add_node(num_cpus=1, object_store_memory=100 * 2**20, env_vars={"PYTHONPATH": path})
    try:
        data = write_csv(tmp_path / "a.csv", sentences(300))
        with pytest.raises(
            ClusterError, match=r"the worker on .* has ftool 9\.9 instead of .*; install the same"
        ):
            predict(bundle, data, tmp_path / "out", block_tokens=20, workers=3)
    finally:
        nodes.remove_node(node)


def test_a_full_disk_is_told_and_the_parts_before_it_stay(
    nodes: Nodes, bundle: Path, one_process: OneProcess, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", output], check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        data = write_csv(tmp_path / "a.csv", sentences(3000))
        with pytest.raises(ClusterError, match=r"can't write into .*/out: No space left on device"):
            predict(bundle, data, output, block_tokens=1000)
        subprocess.run(["mount", "-o", "remount,size=8m", output], check=True)
        report = predict(bundle, data, output, block_tokens=1000)
        assert 0 < report.resumed < report.rows == 3000
        assert answers(output) == one_process(data)
    finally:
        subprocess.run(["umount", output], check=True)


def test_a_second_command_on_the_same_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "a.csv", sentences(3))
    with (
        writing(tmp_path / "out", "ftool predict"),
        ThreadPoolExecutor() as other,
        pytest.raises(BusyError, match=r"out: ftool predict .* is writing there"),
    ):
        other.submit(predict, bundle, data, tmp_path / "out").result()


def test_warnings_of_readers_reach_the_driver(tmp_path: Path) -> None:
    data = tmp_path / "a.csv"
    data.write_bytes("text\nplay café – now\n".encode("windows-1252"))
    *_, end = ray_engine._read(str(data), 0, "text", None, 1000, 4.0, {})
    (warning,) = end["warnings"]
    assert "not UTF-8; read as windows-1252" in warning


def test_rows_that_change_after_they_were_answered_are_told(tmp_path: Path) -> None:
    """The size of the file is the same, so that only the rows can tell."""
    data = write_csv(tmp_path / "a.csv", ["play", "stop"])
    reading = (str(data), 0, "text", None, 1000, 4.0)
    block, end = ray_engine._read(*reading, {})
    assert end == {"file": 0, "blocks": 1, "warnings": []}
    done = {"00000-000000": block.digest}
    assert list(ray_engine._read(*reading, done)) == [end]
    write_csv(tmp_path / "a.csv", ["play", "mute"])
    (changed,) = ray_engine._read(*reading, done)
    assert "has changed since lines 2 to 3 were answered" in changed["problem"]


def test_a_file_that_can_not_be_read_further_is_told(nodes: Nodes, bundle: Path, tmp_path: Path) -> None:
    """The command looks at the first rows of the first file alone."""
    write_csv(tmp_path / "data" / "a.csv", sentences(3))
    write_csv(tmp_path / "data" / "b.csv", [*sentences(3), '"open'])
    with pytest.raises(ClusterError, match=r"b\.csv, line 5 is not CSV"):
        predict(bundle, tmp_path / "data", tmp_path / "out")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--workers", "9"],
            "the cluster's nodes have 1, 1 CPUs, enough for 2 workers with 1 each, not for 9",
        ),
        (["--workers", "0"], "workers must be at least 1, got 0"),
        (["--block-tokens", "0"], "a block has at least 1 token, got 0"),
        (["--device", "cuda"], "--engine ray answers on CPUs"),
        (["--threshold", "0.5"], None),
        (["--kind", "query"], "--kind is not for text-classification"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    nodes: Nodes, bundle: Path, tmp_path: Path, flags: list[str], message: str | None
) -> None:
    if message is None:
        message = "threshold"
    data = write_csv(tmp_path / "a.csv", sentences(3))
    result = ftool(
        "predict", bundle, "--engine", "ray", "--input", data, "--output", tmp_path / "out", *flags
    )
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_process_that_is_connected_takes_no_other_cluster(
    nodes: Nodes, bundle: Path, tmp_path: Path
) -> None:
    data = write_csv(tmp_path / "a.csv", sentences(3))
    with pytest.raises(InputError, match="connected to a cluster already"):
        predict(bundle, data, tmp_path / "out", address="10.0.0.1:6379")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster at 127.0.0.1:1: "),
        ("ray://127.0.0.1:10001", "is not ray:auto or ray:HOST:PORT"),
        ("nonsense", "is not ray:auto or ray:HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_told(address: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        _check_address(address)
