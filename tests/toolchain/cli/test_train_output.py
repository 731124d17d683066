"""`ftool train` prints the summary of its data once: `ftool new` has printed it for the recipe's own data."""

from pathlib import Path

from tests.helpers.cli import ftool, succeeds

LOOK_ALIKE = "differ only in case"


def spelt_twice(topics: Path, folder: Path) -> Path:
    """A copy of the data whose label music is also spelt Music."""
    folder.mkdir()
    for file in topics.iterdir():
        lines = file.read_text().splitlines(keepends=True)
        lines[1::2] = [line.replace(",music", ",Music") for line in lines[1::2]]
        (folder / file.name).write_text("".join(lines))
    return folder


def test_the_summary_of_the_data_is_printed_once(tiny_base: Path, topics: Path, tmp_path: Path) -> None:
    data = spelt_twice(topics, tmp_path / "data")
    quick = ("--set", "train.method=head", "--set", "train.threads=1")
    told = succeeds("new", tmp_path / "m", "--data", data, "--base", tiny_base, *quick)
    assert "texts from the column" in told.stdout
    assert "look alike" in told.stdout

    first = ftool("train", tmp_path / "m")
    assert first.exit_code == 0, first.output
    lines = [line for line in first.stderr.splitlines() if str(data) in line]
    assert lines == [
        f"{data}: 120 train, 36 validation, 36 test examples, 4 labels; 1 warning "
        f"(`ftool data {tmp_path / 'm'}` shows more)"
    ]
    aside = ("--set", "data.none_label=Music")
    succeeds("new", tmp_path / "k", "--data", data, "--base", tiny_base, *quick, *aside)
    (line,) = (line for line in ftool("train", tmp_path / "k").stderr.splitlines() if str(data) in line)
    assert "100 train, 30 validation, 29 test examples, 3 labels, 33 more that none fits" in line
    other = ftool("train", tmp_path / "m", "--data", topics)  # data that `ftool new` has not seen
    assert "texts from the column" in other.stderr
    unseen = ftool("train", tmp_path / "n", "--data", data, "--base", tiny_base, *quick)
    assert "texts from the column" in unseen.stderr
    assert "Warning: " in unseen.stderr
