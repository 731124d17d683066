"""`ftool predict` answers in the order of the input, and writes complete files or none."""

import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ftool.cli import main
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import InputContract, Manifest, Precision

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "stop", "go", "now")
LABELS = ("go", "stop")

# Each word votes for a label; the votes of a text are added up.
GRAPH = """
<ir_version: 8, opset_import: ["": 17]>
votes (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask) => (float[batch, 2] logits)
{
    voted = Gather(table, input_ids)
    logits = ReduceSum<keepdims = 0>(voted, axis)
}
"""


def tiny_bundle(folder: Path) -> Path:
    graph = onnx.parser.parse_model(GRAPH)
    table = np.zeros((len(WORDS), len(LABELS)), np.float32)
    table[WORDS.index("go"), 0] = table[WORDS.index("stop"), 1] = 2
    graph.graph.initializer.extend(
        [onnx.numpy_helper.from_array(table, "table"), onnx.numpy_helper.from_array(np.array([1]), "axis")]
    )
    (folder / "onnx").mkdir(parents=True)
    onnx.save(graph, folder / "onnx" / "model.onnx")
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    files = {
        path.relative_to(folder).as_posix(): file_record(path) for path in folder.rglob("*") if path.is_file()
    }
    Manifest(
        ftool="0.1.0",
        created="2026-01-01T00:00:00Z",
        task="text-classification",
        name="tiny",
        architecture="votes",
        base="scratch",
        labels=LABELS,
        input=InputContract(names=("input_ids", "attention_mask"), max_length=8),
        precision=Precision(),
        attention="plain",
        files=files,
    ).write(folder)
    return folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "recipe.toml").write_text('[data]\npath = "builtin:intents"\n', encoding="utf-8")
    tiny_bundle(folder / "bundle")
    return folder


def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, arguments)], input=stdin)


def labels(output: str) -> list[str]:
    return [json.loads(line)["label"] for line in output.splitlines()]


def test_arguments_are_answered_one_a_line_in_order(model_folder: Path) -> None:
    result = run(model_folder, "stop now", "go", "stop")
    assert result.exit_code == 0, result.stderr
    assert labels(result.stdout) == ["stop", "go", "stop"]
    first = json.loads(result.stdout.splitlines()[0])
    assert set(first) == {"text", "label", "score", "labels", "top", "truncated"}
    assert first["text"] == "stop now"
    assert first["score"] == pytest.approx(1 / (1 + np.exp(-2)))  # two votes against none


def test_a_bundle_is_taken_as_well_as_its_model_folder(model_folder: Path) -> None:
    assert run(model_folder / "bundle", "go").stdout == run(model_folder, "go").stdout


def test_the_current_folder_is_the_default(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model_folder)
    assert labels(run(stdin="go\nstop\n").stdout) == ["go", "stop"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.csv", 'id,text\n1,go\n2,"stop, now"\n'),
        ("texts.jsonl", '{"text": "go"}\n{"text": "stop now"}\n'),
        ("texts.txt", "go\nstop now\n"),
        ("texts.txt", "go\r\nstop now\r\n".encode("utf-16")),
        ("texts.txt", "go\r\nstop now \u2013 café".encode("windows-1252")),
        ("texts.csv", "id;text\n1;go\n2;stop now é\n".encode("utf-16-le")),
        ("texts.csv.gz", gzip.compress(b"text,id\ngo,1\nstop now,2\n", mtime=0)),
        ("texts.txt.xz", lzma.compress(b"go\nstop now\n")),
        ("texts.json", '[{"text": "go"}, {"text": "stop now"}]'),
        ("texts.json", '{"data": [{"text": "go"}, {"text": "stop now"}]}'),
    ],
)
def test_files_of_every_kind_are_answered_into_a_file(
    model_folder: Path, tmp_path: Path, name: str, content: str | bytes
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    result = run(model_folder, "--input", tmp_path / name, "--output", tmp_path / "out.jsonl")
    assert (result.exit_code, result.stdout) == (0, "")
    assert labels((tmp_path / "out.jsonl").read_text(encoding="utf-8")) == ["go", "stop"]


def test_a_guessed_encoding_of_the_input_is_told(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_bytes("text\nstop \u2013 café\n".encode("windows-1252"))
    result = run(model_folder, "--input", tmp_path / "texts.csv")
    assert json.loads(result.stdout)["text"] == "stop \u2013 café"
    assert "texts.csv: not UTF-8; read as windows-1252, which is a guess: row 2 has 'stop" in result.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "go\t1\n\t2\nstop\t3\n"),
        ("a.txt", "go\t1\n\t2\nstop\t3\n"),
        ("a.json", '[["go", 1], ["", 2], ["stop", 3]]'),
    ],
)
def test_columns_are_named_and_empty_texts_answered_with_null(
    model_folder: Path, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    result = run(model_folder, "--input", tmp_path / name, "--columns", "text,id")
    assert result.exit_code == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer and answer["label"] for answer in answers] == ["go", None, "stop"]
    assert result.stderr == "Warning: empty texts, whose answer is null: 1\n"


def test_an_empty_text_among_several_is_answered_with_null(model_folder: Path) -> None:
    result = run(model_folder, "go", " ", "stop")
    assert result.exit_code == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer and answer["label"] for answer in answers] == ["go", None, "stop"]
    assert result.stderr == "Warning: empty texts, whose answer is null: 1\n"


def test_a_column_that_is_missing_names_the_flags(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"body": "go"}]', encoding="utf-8")
    (tmp_path / "a.tsv").write_text("go\t1\n", encoding="utf-8")
    told = run(model_folder, "--input", tmp_path / "a.json").stderr
    assert "a.json: has no column 'text'; the columns are 'body'; name one with --column" in told
    told = run(model_folder, "--input", tmp_path / "a.tsv").stderr
    assert "name it with --column NAME, or all with --columns if the file has no header" in told


def test_more_of_the_labels_are_given_on_request(model_folder: Path) -> None:
    (line,) = run(model_folder, "go", "--top-k", "2").stdout.splitlines()
    assert [one["label"] for one in json.loads(line)["top"]] == ["go", "stop"]


def test_an_aggregation_is_for_taggers(model_folder: Path) -> None:
    result = run(model_folder, "go", "--aggregation", "first")
    assert result.exit_code == 2
    assert "--aggregation is not for text-classification" in result.stderr


def test_texts_past_the_maximum_length_are_cut_counted_and_said(model_folder: Path) -> None:
    result = run(model_folder, "go " * 50, "stop")
    assert [json.loads(line)["truncated"] for line in result.stdout.splitlines()] == [True, False]
    assert result.stderr == "Warning: texts longer than the model's limit, which were cut: 1\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--input", "gone.csv"], "gone.csv"),
        (["go", "--input", "texts.csv"], "not both"),
        (["--device", "tpu"], "'tpu' is not one of 'cpu', 'cuda', 'auto'"),
        (["go", "--threads", "0"], "threads must lie between 1 and"),
        (["go", "--threads", "100000"], "got 100000"),
        (["go", "--top-k", "0"], "top_k"),
        ([""], "empty"),
        (
            ["go", "--output", "answers.csv"],
            "answers are written as JSON lines, not as .csv; call the file answers.jsonl",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(model_folder: Path, arguments: list[str], error: str) -> None:
    result = run(model_folder, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert error in result.stderr


def test_a_model_folder_without_a_bundle_names_the_command_that_makes_one(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").touch()
    result = run(tmp_path, "go")
    assert result.exit_code == 2
    assert f"create it with `ftool export {tmp_path}`" in result.stderr


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "go")
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr


def test_an_error_on_the_way_leaves_the_output_as_it_was(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("before\n", encoding="utf-8")
    (tmp_path / "texts.jsonl").write_bytes(b'"go"\n' * 100 + b"3\n")
    result = run(model_folder, "--input", tmp_path / "texts.jsonl", "--output", tmp_path / "out.jsonl")
    assert result.exit_code == 2
    assert "texts.jsonl, line 101" in result.stderr
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "before\n"
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "texts.jsonl"}


def test_an_output_in_a_missing_folder_is_bad_input(model_folder: Path, tmp_path: Path) -> None:
    result = run(model_folder, "go", "--output", tmp_path / "gone" / "out.jsonl")
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr


def test_a_text_in_the_folder_s_place_is_told_where_it_belongs(model_folder: Path) -> None:
    result = run("stop now")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: folder stop now does not exist; give the folder before the texts")


def test_a_model_folder_need_not_be_named_inside(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tiny_bundle(tmp_path / "other")
    (model_folder / "texts").mkdir(exist_ok=True)
    for place in (model_folder, model_folder / "bundle"):
        monkeypatch.chdir(place)
        assert labels(run("stop now").stdout) == ["stop"]
        assert labels(run("go", "stop  now").stdout) == ["go", "stop"]
    told = [json.loads(line)["text"] for line in run("go // now", "./stop").stdout.splitlines()]
    assert told == ["go // now", "./stop"]  # as given, and not as a path is written
    monkeypatch.chdir(model_folder)
    assert labels(run("texts").stdout) == ["go"]  # a folder that is no model; neither word votes
    assert labels(run(other, "stop").stdout) == ["stop"]  # another model that is named
    assert run("../gone", "stop").stderr.startswith("Error: folder ../gone does not exist")


WAITING = """
import os, pty, sys
ours, theirs = pty.openpty()
if os.fork() == 0:
    os.dup2(theirs, 0)
    os.execv(sys.executable, [sys.executable, "-m", "ftool", "predict", sys.argv[1]])
os.write(ours, b"stop now\\n\\x04")
os.wait()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_it_says_that_it_waits(model_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITING, model_folder], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "waiting for texts, one a line; Ctrl-D ends\n"
    assert labels(done.stdout) == ["stop"]
    assert "waiting" not in run(model_folder, stdin="go\n").stderr


@pytest.mark.parametrize("flag", [("--length-penalty", "-1.0"), ("--stop", "---")])
def test_a_flags_value_may_begin_with_a_dash(model_folder: Path, flag: tuple[str, str]) -> None:
    result = run(model_folder, *flag, "go")
    assert result.exit_code == 2
    assert f"{flag[0]} " in result.stderr  # which a classifier does not take
    assert "No such option" not in result.stderr


@pytest.mark.parametrize(
    "name", ["tickets.csv", "tickets.tsv", "tickets.jsonl", "tickets.json", "tickets.csv.gz"]
)
def test_a_file_with_the_columns_of_the_training_data_needs_no_column(tmp_path: Path, name: str) -> None:
    rows = [{"Ticket text": text, "queue": text} for text in ("go", "stop", "go", "stop")]
    tables = {
        mark: "\n".join(mark.join(line) for line in [rows[0], *(row.values() for row in rows)])
        for mark in ",\t"
    }
    lines = "\n".join(map(json.dumps, rows))
    for row in rows:
        row["Ticket text"] += " now"
    content = {
        "csv": tables[","], "tsv": tables["\t"], "jsonl": lines, "json": json.dumps(rows), "gz": tables[","],
    }[name.rpartition(".")[2]].encode()  # fmt: skip
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (tmp_path / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(
        'task = "text-classification"\n[data]\npath = "train.json"\n', encoding="utf-8"
    )
    tiny_bundle(tmp_path / "bundle")
    result = run(tmp_path, "--input", tmp_path / name)
    assert result.exit_code == 0, result.stderr
    assert labels(result.stdout) == ["go", "stop", "go", "stop"]
    (tmp_path / "plain.csv").write_text("text\nstop\n", encoding="utf-8")
    assert labels(run(tmp_path, "--input", tmp_path / "plain.csv").stdout) == ["stop"]
    (tmp_path / "train.json").unlink()
    result = run(tmp_path, "--input", tmp_path / name)
    assert result.exit_code == 2
    assert "--column" in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--engine", "spark"], "--engine is local, ray or ray:ADDRESS, got spark"),
        (["--engine", "ray:"], "--engine is local, ray or ray:ADDRESS, got ray:"),
        (["--engine", "ray"], "--engine ray needs --input, a file or folder, and --output, a folder"),
        (["--engine", "ray", "--input", "a.csv"], "needs --input, a file or folder, and --output, a folder"),
        (
            ["--engine", "ray", "--input", "a.csv", "--output", "out", "--stream"],
            "--engine ray answers on CPUs, without --stream",
        ),
        (["--workers", "2", "--input", "a.csv"], "--workers and --block-tokens are for --engine ray"),
        (["--engine", "ray", "--input", "a.csv", "--output", "out"], "pip install 'ftool[ray]'"),
    ],
)
def test_flags_of_a_cluster_are_checked_before_anything_is_loaded(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], message: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it was not installed
    result = run(model_folder, *flags)
    assert result.exit_code == 2
    assert message in result.stderr
