"""Teaching on the device: what is learnt, what is kept, and what happens to files."""

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.helpers.teachable import TEXTS, teachable_bundle

import ftool_runtime as ft
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.teaching.lessons import Lessons
from ftool_runtime.tools import cli

BundleMaker = Callable[..., Path]
NEW = "turn off the timer for music"
FAR = "minutes"  # an outlier, far from all texts of the replay


@pytest.fixture(scope="module")
def bundle(make_bundle: BundleMaker) -> Path:
    return teachable_bundle(make_bundle)


@pytest.fixture(scope="module")
def tags(make_bundle: BundleMaker) -> Path:
    return teachable_bundle(make_bundle, multi_label=True, thresholds=(0.5, 0.4, 0.6))


@pytest.fixture
def taught(bundle: Path) -> Iterator[ft.TextClassifier]:
    with ft.TextClassifier.load(bundle, threads=1) as model:
        yield model


def logits(model: ft.TextClassifier) -> NDArray[np.float32]:
    return model.logits(TEXTS)


def test_one_example_teaches_a_new_label_and_leaves_all_other_logits(taught: ft.TextClassifier) -> None:
    before = logits(taught)
    lesson = taught.teach(FAR, "duration")
    assert (lesson.label, lesson.new) == ("duration", True)
    assert lesson.before in ("lights", "music", "timer")
    assert taught.labels == ("lights", "music", "timer", "duration")
    answer = taught(FAR)
    assert answer.label == "duration"
    assert answer.score == pytest.approx(lesson.score, rel=1e-5)
    np.testing.assert_array_equal(logits(taught)[:, :3], before)
    assert [answer.label for answer in taught(list(TEXTS))] == [
        ("lights", "music", "timer")[place] for place in before.argmax(axis=1)
    ]


def test_an_answer_is_corrected(taught: ft.TextClassifier) -> None:
    wrong = taught(NEW).label
    right = next(label for label in taught.labels if label != wrong)
    lesson = taught.teach(NEW, right, max_loss_rise=10)
    assert (lesson.before, lesson.new) == (wrong, False)
    assert taught(NEW).label == right
    assert taught.labels == ("lights", "music", "timer")


def test_undo_and_reset_give_the_same_logits_bit_by_bit(taught: ft.TextClassifier) -> None:
    states = [logits(taught)]
    for text, label in ((FAR, "duration"), (NEW, "stop"), ("minutes minutes off", "duration")):
        taught.teach(text, label, max_loss_rise=10)
        states.append(logits(taught))
    for state in reversed(states[1:]):
        np.testing.assert_array_equal(logits(taught), state)
        taught.undo()
    np.testing.assert_array_equal(logits(taught), states[0])
    with pytest.raises(ft.InputError, match="no lesson to undo: nothing"):
        taught.undo()
    taught.teach(FAR, "duration")
    taught.reset()
    np.testing.assert_array_equal(logits(taught), states[0])
    assert taught.lessons == ()


def test_the_head_treats_every_row_by_itself(taught: ft.TextClassifier) -> None:
    taught.teach(FAR, "duration")
    taught.teach(NEW, "stop", max_loss_rise=10)
    outputs = np.asarray(taught.graph_outputs([*TEXTS, FAR, NEW]))
    whole = taught._head.logits(outputs)
    assert whole.shape == (len(TEXTS) + 2, 5)
    for row in range(len(outputs)):
        np.testing.assert_array_equal(taught._head.logits(outputs[row : row + 1])[0], whole[row])


def test_a_lesson_that_makes_the_model_forget_is_refused(taught: ft.TextClassifier) -> None:
    before = logits(taught)
    with pytest.raises(
        ft.LessonError, match=r"the loss on its replay would rise by .*max_loss_rise is 0\.0001"
    ):
        taught.teach(TEXTS[0], "duration", max_loss_rise=0.0001)
    np.testing.assert_array_equal(logits(taught), before)
    assert taught.lessons == ()
    assert "duration" not in taught.labels


def test_all_lessons_together_are_bounded(taught: ft.TextClassifier) -> None:
    rises = [taught.teach(text, f"new {text}", max_loss_rise=100).loss_rise for text in TEXTS[:4]]
    assert rises == sorted(rises)
    assert rises[-1] > rises[0] > 0
    with pytest.raises(ft.LessonError):
        taught.teach(TEXTS[5], "one more", max_loss_rise=rises[-1])


def test_a_text_is_taught_once(taught: ft.TextClassifier) -> None:
    taught.teach(FAR, "duration")
    with pytest.raises(ft.InputError, match=r"was taught as 'duration' before, in lesson 1$"):
        taught.teach(FAR, "duration")
    with pytest.raises(ft.InputError, match="'duration' before, in lesson 1, and a text has one label; undo"):
        taught.teach(FAR, "music")
    assert len(taught.lessons) == 1


@pytest.mark.parametrize(
    ("text", "label", "options", "problem"),
    [
        ("", "x", {}, "empty"),
        (7, "x", {}, "string"),
        ("play", "", {}, "a label is a text"),
        ("play", " \t", {}, "a label is a text"),
        ("play", "a\nb", {}, "a label is a text"),
        ("play", "\u202egnp", {}, "a label is a text"),
        ("play", "x" * 501, {}, "a label is a text"),
        ("play", None, {}, "a label is a text"),
        ("play", "x", {"max_loss_rise": -1}, "max_loss_rise"),
        ("play", "x", {"max_loss_rise": float("nan")}, "max_loss_rise"),
        ("play", "x", {"max_loss_rise": "1"}, "max_loss_rise"),
    ],
)
def test_a_wrong_lesson_is_refused(
    taught: ft.TextClassifier, text: Any, label: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ft.InputError, match=problem):
        taught.teach(text, label, **options)


def test_several_labels_apply_after_lessons(tags: Path) -> None:
    with ft.TextClassifier.load(tags, threads=1) as model:
        before, had = logits(model), model(NEW).labels
        lesson = model.teach(NEW, "stop", max_loss_rise=10)
        assert lesson.score >= 0.5
        assert set(model(NEW).labels) == {*had, "stop"}
        known = next(label for label in ("lights", "music", "timer") if label not in had)
        model.teach(NEW, known, max_loss_rise=10)
        assert set(model(NEW).labels) == {*had, "stop", known}
        with pytest.raises(ft.InputError, match=r"in lesson 2$"):
            model.teach(NEW, known)
        assert model(NEW, thresholds={"stop": 1.0}).labels != model(NEW).labels
        column = model.labels.index(known)
        np.testing.assert_array_equal(
            np.delete(logits(model)[:, :3], column, axis=1), np.delete(before, column, axis=1)
        )


def test_a_bundle_that_was_not_exported_to_be_taught_says_so(
    model: ft.TextClassifier, tmp_path: Path
) -> None:
    assert not model.teachable
    assert model.lessons == ()
    for call in (
        lambda: model.teach("play music", "x"),
        lambda: model.open_lessons(tmp_path / "x"),
        model.undo,
        model.reset,
    ):
        with pytest.raises(
            ft.InputError, match=r"was not exported to be taught; export it with .*--teachable"
        ):
            call()


# --- files --------------------------------------------------------------------------------------------------


def test_lessons_are_kept_in_a_file_and_the_bundle_stays_as_it_is(bundle: Path, tmp_path: Path) -> None:
    files = [path for path in sorted(bundle.rglob("*")) if path.is_file()]
    before = [file_record(path) for path in files]
    path = tmp_path / "of.lessons"
    with ft.TextClassifier.load(bundle, threads=1) as model:
        model.open_lessons(path)
        assert not path.exists()
        model.teach(FAR, "duration")
        known, history = logits(model), model.lessons
    with ft.TextClassifier.load(bundle, threads=1) as model:
        model.open_lessons(path)
        np.testing.assert_array_equal(logits(model), known)
        assert model.lessons == history
        assert model.lessons_known() == [True]
        assert model(FAR).label == "duration"
    assert [file_record(path) for path in files] == before
    assert ft.verify(bundle).passed
    assert b"minutes" not in path.read_bytes()


def test_no_lesson_of_another_model_is_lost(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "of.lessons"
    models = [ft.TextClassifier.load(bundle, threads=1) for _ in range(2)]
    for model in models:
        model.open_lessons(path)
    texts = [
        " ".join(pair)
        for pair in zip(["turn", "the", "lights", "off", "on", "play"], ["minutes"] * 6, strict=True)
    ]
    with ThreadPoolExecutor(2) as pool:
        teaching = [
            pool.submit(
                lambda part, of: [of.teach(text, text, max_loss_rise=99) for text in part],
                texts[at::2],
                model,
            )
            for at, model in enumerate(models)
        ]
    assert [len(one.result()) for one in teaching] == [3, 3]
    for model in models:
        model.close()
    with ft.TextClassifier.load(bundle, threads=1) as model:
        model.open_lessons(path)
        assert sorted(one.label for one in model.lessons) == sorted(texts)


def test_calls_go_on_while_a_thread_teaches(taught: ft.TextClassifier) -> None:
    stop = threading.Event()

    def call() -> int:
        calls = 0
        while not stop.is_set():
            answers = taught([*TEXTS, FAR], top_k=99)
            assert len({len(answer.scores) for answer in answers}) == 1
            calls += 1
        return calls

    with ThreadPoolExecutor(3) as pool:
        calling = [pool.submit(call) for _ in range(3)]
        try:
            for number in range(12):
                text = f"{FAR} {' '.join(['ten'] * number)} timer"
                taught.teach(text, f"label {number}", max_loss_rise=999)
        finally:
            stop.set()
        assert all(one.result() for one in calling)


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "something else", b"not lessons at all, but a poem"
    yield "half", content[: len(content) // 2]
    yield "longer", content + b"\0"
    for place in range(0, len(content), max(1, len(content) // 40)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        yield f"bit {place}", bytes(flipped)


def test_a_damaged_file_is_refused_by_name_and_left_as_it_is(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "of.lessons"
    with ft.TextClassifier.load(bundle, threads=1) as model:
        model.open_lessons(path)
        model.teach(FAR, "duration")
    for what, content in damaged(path.read_bytes()):
        path.write_bytes(content)
        with ft.TextClassifier.load(bundle, threads=1) as model:
            with pytest.raises(ft.InputError, match=r"of\.lessons (is|has|holds)"):
                model.open_lessons(path)
            assert path.read_bytes() == content, what
            assert model.lessons == ()
            assert model.teach(FAR, "duration").new


def test_lessons_of_another_bundle_are_refused(bundle: Path, tags: Path, tmp_path: Path) -> None:
    path = tmp_path / "of.lessons"
    with ft.TextClassifier.load(bundle, threads=1) as model:
        model.open_lessons(path)
        model.teach(FAR, "duration")
    refused = pytest.raises(ft.InputError, match="holds lessons of another bundle")
    with ft.TextClassifier.load(tags, threads=1) as model, refused:
        model.open_lessons(path)


def test_a_model_with_lessons_opens_no_file(taught: ft.TextClassifier, tmp_path: Path) -> None:
    taught.teach(FAR, "duration")
    with pytest.raises(ft.InputError, match="has lessons already"):
        taught.open_lessons(tmp_path / "of.lessons")
    with pytest.raises(ft.InputError, match=r"folder of .* does not exist"):
        taught.open_lessons(tmp_path / "no" / "of.lessons")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_costs_only_the_lesson(
    taught: ft.TextClassifier, tmp_path: Path
) -> None:
    taught.open_lessons(tmp_path / "of.lessons")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    before = logits(taught)
    with pytest.raises(ft.InputError, match="can't be kept in"):
        taught.teach(FAR, "duration")
    np.testing.assert_array_equal(logits(taught), before)


def test_a_full_disk_costs_only_the_lesson(
    taught: ft.TextClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught.open_lessons(tmp_path / "of.lessons")
    taught.teach(FAR, "duration")
    content, before = (tmp_path / "of.lessons").read_bytes(), logits(taught)

    def full(self: Lessons, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Lessons, "write", full)
    with pytest.raises(ft.InputError, match=r"can't be kept in .*No space left"):
        taught.teach(NEW, "stop", max_loss_rise=10)
    assert (tmp_path / "of.lessons").read_bytes() == content
    np.testing.assert_array_equal(logits(taught), before)


def test_a_damaged_replay_is_named(make_bundle: BundleMaker) -> None:
    folder = teachable_bundle(make_bundle)
    manifest = Manifest.read(folder)
    (folder / "replay.bin").write_bytes(b"\xff" * manifest.files["replay.bin"].bytes)
    with ft.TextClassifier.load(folder) as model:
        before = model(FAR)
        with pytest.raises(ft.BundleError, match=r"replay\.bin holds numbers that are not finite"):
            model.teach(FAR, "duration")
        assert model(FAR) == before
    assert not ft.verify(folder).passed


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_teaches_lists_and_takes_back(bundle: Path, tmp_path: Path, capsys: Any) -> None:
    path = str(tmp_path / "of.lessons")
    common = [str(bundle), "--lessons", path]
    assert cli.main(["teach", *common, "--text", FAR, "--label", "duration"]) == 0
    assert "'duration' (new), instead of" in capsys.readouterr().out
    assert cli.main(["predict", *common, FAR]) == 0
    assert '"label": "duration"' in capsys.readouterr().out
    assert cli.main(["teach", *common]) == 0
    assert capsys.readouterr().out.startswith("1. ")
    assert cli.main(["teach", *common, "--undo", "--json"]) == 0
    assert '"history": []' in capsys.readouterr().out
    assert cli.main(["teach", *common, "--undo"]) == 2
    assert cli.main(["teach", *common, "--text", FAR]) == 2
    assert cli.main(["teach", *common, "--reset", "--undo"]) == 2
    assert cli.main(["predict", str(bundle), "--lessons", str(tmp_path / "none"), FAR]) == 2
    assert "does not exist; `teach` writes" in capsys.readouterr().err


def test_the_usual_file_of_lessons_is_beside_the_bundle(bundle: Path, capsys: Any) -> None:
    beside = bundle.with_name(f"{bundle.name}.lessons")
    assert cli.main(["teach", str(bundle), "--text", FAR, "--label", "duration"]) == 0
    assert f"{beside}: 1 lessons" in capsys.readouterr().out
    assert beside.exists()
    beside.unlink()
