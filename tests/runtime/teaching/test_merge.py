"""Heads that several devices teach: what a file holds, their average, and lessons that begin with it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.helpers.teachable import TEXTS, teachable_bundle

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import Manifest, digest_of
from ftool_runtime.teaching.lessons import Lessons, Shape
from ftool_runtime.teaching.merge import merge, merge_files
from ftool_runtime.teaching.taught_head import TaughtHead
from ftool_runtime.tools import cli

FAR, OTHER = "minutes", "minutes minutes off"
Load = Callable[[], ft.TextClassifier]


@pytest.fixture(scope="module")
def bundle(make_bundle: Callable[..., Path]) -> Path:
    return teachable_bundle(make_bundle)


@pytest.fixture
def load(bundle: Path) -> Iterator[Load]:
    models: list[ft.TextClassifier] = []

    def loaded() -> ft.TextClassifier:
        models.append(ft.TextClassifier.load(bundle, threads=1))
        return models[-1]

    yield loaded
    for model in models:
        model.close()


def logits(model: ft.TextClassifier, texts: Sequence[str] = TEXTS) -> NDArray[np.float32]:
    return model.logits(texts)


def shared(load: Load, path: Path, *lessons: tuple[str, str], base: Path | None = None) -> ft.TextClassifier:
    model = load()
    if base is not None:
        model.adopt_head(base)
    for text, label in lessons:
        model.teach(text, label, max_loss_rise=10)
    model.share_head(path)
    return model


def test_a_shared_head_has_rows_and_counts_and_nothing_of_the_texts(load: Load, tmp_path: Path) -> None:
    model = shared(load, tmp_path / "one.head", (FAR, "duration"), (OTHER, "duration"))
    head = model.share_head(tmp_path / "one.head")
    assert (head.labels, head.lessons, head.devices, head.base) == (("duration",), (2,), 1, None)
    content = (tmp_path / "one.head").read_bytes()
    assert len(content) < 8 * head.rows.size + 500
    assert FAR.encode() not in content
    assert b"taught" not in content


def test_labels_with_few_lessons_are_left_out(load: Load, tmp_path: Path) -> None:
    model = shared(load, tmp_path / "one.head", (FAR, "duration"), (OTHER, "duration"), ("play off", "stop"))
    assert model.share_head(tmp_path / "two.head", min_lessons=2).labels == ("duration",)
    with pytest.raises(ft.InputError, match="no label has had 3 lessons"):
        model.share_head(tmp_path / "three.head", min_lessons=3)
    with pytest.raises(ft.InputError, match="nothing was taught yet"):
        load().share_head(tmp_path / "three.head")
    assert not (tmp_path / "three.head").exists()


def test_one_device_s_average_answers_as_that_device(bundle: Path, load: Load, tmp_path: Path) -> None:
    taught = shared(load, tmp_path / "one.head", (FAR, "duration"))
    merge_files(bundle, [tmp_path / "one.head"], max_loss_rise=10).head.write(tmp_path / "all.head")
    other = load()
    assert other.adopt_head(tmp_path / "all.head") == ()
    assert other.labels == (*Manifest.read(bundle).labels, "duration")
    np.testing.assert_array_equal(logits(other, [*TEXTS, FAR]), logits(taught, [*TEXTS, FAR]))
    other.reset()
    np.testing.assert_array_equal(logits(other, [FAR]), logits(taught, [FAR]))


def test_rows_are_averaged_by_lessons(bundle: Path, load: Load, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.head" for name in "abc"]
    shared(load, files[0], (FAR, "duration"), (OTHER, "duration"))
    shared(load, files[1], ("minutes on", "duration"), ("play off", "stop"))
    shared(load, files[2], ("play minutes", "stop"))
    merged = merge_files(bundle, files, max_loss_rise=10)
    heads = [TaughtHead.read(file, merged.head.bundle, merged.head.rows.shape[1] - 1) for file in files]
    assert merged.head.labels == ("duration", "stop")
    assert merged.head.lessons == (3, 2)
    assert merged.head.devices == 3
    np.testing.assert_allclose(merged.head.rows[0], (2 * heads[0].rows[0] + heads[1].rows[0]) / 3)
    np.testing.assert_allclose(merged.head.rows[1], (heads[1].rows[1] + heads[2].rows[0]) / 2)
    assert set(merged.loss_rises) == {str(file) for file in files}


def test_a_second_round_goes_on_from_the_first(bundle: Path, load: Load, tmp_path: Path) -> None:
    one, base, two, second = (tmp_path / f"{name}.head" for name in ("one", "base", "two", "second"))
    shared(load, one, (FAR, "duration"), ("play off", "stop"))
    merge_files(bundle, [one], max_loss_rise=10).head.write(base)
    shared(load, two, (OTHER, "duration"), base=base)
    merged = merge_files(bundle, [two], base, max_loss_rise=10).head
    assert merged.labels == ("duration", "stop")
    assert merged.lessons == (2, 1)
    first = TaughtHead.read(base, merged.bundle, merged.rows.shape[1] - 1)
    np.testing.assert_array_equal(merged.rows[1], first.rows[1])
    merged.write(second)
    last = load()
    last.adopt_head(second)
    assert [answer.label for answer in last([FAR, OTHER])] == ["duration", "duration"]


def test_own_lessons_are_learnt_again_and_kept_in_their_file(
    bundle: Path, load: Load, tmp_path: Path
) -> None:
    base = tmp_path / "base.head"
    shared(load, tmp_path / "one.head", ("play off", "stop"))
    merge_files(bundle, [tmp_path / "one.head"], max_loss_rise=10).head.write(base)
    model = load()
    model.open_lessons(tmp_path / "own.lessons")
    taught = model.teach(FAR, "duration", max_loss_rise=10)
    assert model.adopt_head(base, max_loss_rise=10) == ()
    assert [one.taught for one in model.lessons] == [taught.taught]
    assert [one.label for one in model([FAR, "play off"])] == ["duration", "stop"]
    again = load()
    again.open_lessons(tmp_path / "own.lessons")
    np.testing.assert_array_equal(logits(again), logits(model))
    again.undo()
    assert again("play off").label == "stop"
    assert again(FAR).label != "duration"


def test_lessons_that_would_forget_too_much_are_dropped_and_told(
    bundle: Path, load: Load, tmp_path: Path
) -> None:
    base = tmp_path / "base.head"
    shared(load, tmp_path / "one.head", (FAR, "duration"))
    merge_files(bundle, [tmp_path / "one.head"], max_loss_rise=10).head.write(base)
    model = load()
    model.teach("play the lights", "stop", max_loss_rise=10)
    (dropped,) = model.adopt_head(base, max_loss_rise=0)
    assert dropped.label == "stop"
    assert model.lessons == ()


def test_a_head_that_forgets_too_much_is_refused_by_name(bundle: Path, load: Load, tmp_path: Path) -> None:
    shared(load, tmp_path / "good.head", (FAR, "duration"))
    head = load_head(tmp_path / "good.head", bundle)
    always = np.append(np.zeros(head.rows.shape[1] - 1), 100.0)
    replace(head, rows=head.rows + always).write(tmp_path / "evil.head")
    with pytest.raises(ft.LessonError, match=r"evil\.head would make the model forget too much"):
        merge_files(bundle, [tmp_path / "good.head", tmp_path / "evil.head"])


def load_head(path: Path, bundle: Path) -> TaughtHead:
    manifest = Manifest.read(bundle)
    assert manifest.teaching is not None
    return TaughtHead.read(path, digest_of(manifest.to_json()), manifest.teaching.features)


def test_only_heads_of_one_round_are_merged(bundle: Path, load: Load, tmp_path: Path) -> None:
    one, base, two = (tmp_path / f"{name}.head" for name in ("one", "base", "two"))
    shared(load, one, (FAR, "duration"))
    merge_files(bundle, [one], max_loss_rise=10).head.write(base)
    shared(load, two, (OTHER, "duration"), base=base)
    with pytest.raises(ft.InputError, match=r"two\.head began with the head"):
        merge_files(bundle, [one, two], max_loss_rise=10)
    with pytest.raises(ft.InputError, match=r"one\.head began with the bundle's own head"):
        merge_files(bundle, [one], base, max_loss_rise=10)
    (tmp_path / "copy.head").write_bytes(one.read_bytes())
    with pytest.raises(ft.InputError, match="is the same head as"):
        merge_files(bundle, [one, tmp_path / "copy.head"], max_loss_rise=10)
    with pytest.raises(ft.InputError, match="no heads to merge"):
        merge({})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bundle": "0" * 64}, "is of another bundle"),
        ({"labels": ("a\nb",)}, "labels that can't be used"),
        ({"labels": ("a", "a"), "lessons": (1, 1)}, "labels that can't be used"),
        ({"lessons": (0,)}, "how many lessons"),
        ({"lessons": (1, 2)}, "how many lessons"),
        ({"rows": np.zeros((1, 3))}, "arrays of another size"),
        ({"rows": np.full((1, 5), np.nan)}, "not finite"),
    ],
)
def test_a_head_that_can_not_be_used_is_refused_by_name(
    bundle: Path, load: Load, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "one.head"
    shared(load, path, (FAR, "duration"))
    head = load_head(path, bundle)
    if "rows" in change and words == "not finite":
        change = {"rows": np.full_like(head.rows, np.nan)}
    replace(head, **change).write(path)  # type: ignore[arg-type]
    model = load()
    with pytest.raises(ft.InputError, match=words) as caught:
        model.adopt_head(path)
    assert str(path) in str(caught.value)
    assert "left as it is" in str(caught.value)


def test_a_damaged_or_foreign_file_is_refused(bundle: Path, load: Load, tmp_path: Path) -> None:
    path = tmp_path / "one.head"
    model = shared(load, path, (FAR, "duration"))
    with pytest.raises(ft.InputError, match="does not exist"):
        load().adopt_head(tmp_path / "none.head")
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    with pytest.raises(ft.InputError, match="is damaged"):
        load().adopt_head(path)
    path.write_bytes(b"x" * 100)
    with pytest.raises(ft.InputError, match="is not a taught head"):
        load().adopt_head(path)
    with pytest.raises(ft.InputError, match="can't be written"):
        model.share_head(tmp_path / "no" / "folder.head")


def test_the_command_shares_and_adopts(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, head = tmp_path / "own.lessons", tmp_path / "one.head"
    call = ["teach", str(bundle), "--lessons", str(own)]
    assert cli.main([*call, "--text", FAR, "--label", "duration", "--max-loss-rise", "10"]) == 0
    assert cli.main([*call, "--share", str(head)]) == 0
    assert "1 labels of 1 lessons" in capsys.readouterr().out
    merge_files(bundle, [head], max_loss_rise=10).head.write(tmp_path / "all.head")
    other = ["teach", str(bundle), "--lessons", str(tmp_path / "other.lessons")]
    assert cli.main([*other, "--adopt", str(tmp_path / "all.head")]) == 0
    capsys.readouterr()
    manifest = Manifest.read(bundle)
    assert manifest.teaching is not None
    kept = Lessons.read(
        tmp_path / "other.lessons",
        digest_of(manifest.to_json()),
        Shape(manifest.teaching.features, len(manifest.labels)),
    )
    assert kept is not None
    assert kept.base is not None
    assert kept.base.labels == ("duration",)
    assert cli.main([*call, "--share", str(head), "--undo"]) == 2
