"""Golden answers are written, read and compared with new answers, and wrong files of golden answers are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.generator_golden import ROWS, add_golden
from tests.helpers.tiny_bundles import relist

import ftool_runtime as ft
from ftool_runtime.bundle.golden import Golden, encoder_golden, first_difference
from ftool_runtime.bundle.manifest import Manifest

BundleMaker = Callable[..., Path]
GeneratorMaker = Callable[..., Path]


def change_manifest(bundle: Path, **changes: Any) -> None:
    """Another manifest with a digest of its own, as an export by other code would write it."""
    replace(Manifest.read(bundle), **changes).write(bundle)


# --- encoders ------------------------------------------------------------------------------------------------------


def test_answers_hold_what_a_caller_gets(shared_bundle: Path) -> None:
    golden = Golden.read(shared_bundle)
    with ft.load(shared_bundle) as model:
        for text, answer in zip(golden.inputs, golden.answers, strict=True):
            made = model(text)
            assert answer["label"] == made.label
            assert answer["score"] == pytest.approx(made.score, abs=1e-5)
            assert [one["label"] for one in answer["top"]] == [one.label for one in made.top]
            assert "text" not in answer


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)], ids=["reversed", "rotated"])
def test_other_labels_are_found_though_the_numbers_are_the_same(bundle: Path, order: tuple[int, ...]) -> None:
    labels = Manifest.read(bundle).labels
    change_manifest(bundle, labels=tuple(labels[place] for place in order))
    report = ft.verify(bundle)
    assert not report.passed
    assert report.replay is not None
    assert report.replay.max_difference <= report.replay.tolerance
    assert any("answer.label is" in line and "turn the lights off" in line for line in report.replay.changed)


def test_other_thresholds_and_kinds_of_answers_are_found(make_bundle: BundleMaker) -> None:
    bundle = make_bundle(multi_label=True, thresholds=(0.5, 0.5, 0.5))
    assert ft.verify(bundle).passed
    change_manifest(bundle, thresholds=(0.01, 0.01, 0.01))
    assert not ft.verify(bundle).passed
    change_manifest(bundle, thresholds=None, multi_label=False)
    assert not ft.verify(bundle).passed


def test_another_length_is_found(make_bundle: BundleMaker) -> None:
    bundle = make_bundle()
    change_manifest(bundle, input=replace(Manifest.read(bundle).input, max_length=4))
    assert not ft.verify(bundle).passed


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"none_below": 0.9}, "none_below is 0.9"),
        ({"input": {"max_length": 17}}, "input.max_length is 17"),
        ({"precision": {"rows_share_scale": True}}, "precision.rows_share_scale is true"),
    ],
)
def test_settings_that_no_golden_input_shows_are_found(
    bundle: Path, changes: dict[str, Any], line: str
) -> None:
    manifest = Manifest.read(bundle)
    for name, value in changes.items():
        part = replace(getattr(manifest, name), **value) if isinstance(value, dict) else value
        change_manifest(bundle, **{name: part})
    report = ft.verify(bundle)
    assert not report.passed
    assert report.altered == {"ftool.json": f"was changed since the export: {line}"}
    assert report.replay is not None
    assert report.replay.passed


def test_files_that_no_golden_input_shows_are_found(make_generator: GeneratorMaker) -> None:
    bundle = make_generator(files={"chat_template.jinja": "{{ messages[-1].content }}"})
    add_golden(bundle)
    assert ft.verify(bundle).passed
    for content in ("{{ messages[0].content }}", None):
        (bundle / "chat_template.jinja").unlink()
        if content is not None:
            (bundle / "chat_template.jinja").write_text(content)
        files = {
            one: record for one, record in Manifest.read(bundle).files.items() if (bundle / one).exists()
        }
        change_manifest(bundle, files=files)
        relist(bundle)
        assert list(ft.verify(bundle).altered) == ["chat_template.jinja"]


def test_golden_answers_of_other_versions_are_compared_by_the_settings_that_both_know(bundle: Path) -> None:
    golden = Golden.read(bundle)
    older = {name: value for name, value in golden.settings.items() if name != "teaching"}
    for settings in (older, {**golden.settings, "of_a_later_version": 3}):
        replace(golden, settings=settings).write(bundle)
        relist(bundle)
        assert ft.verify(bundle).passed
    replace(golden, settings={}, files={}).write(bundle)
    relist(bundle)
    report = ft.verify(bundle)
    assert report.passed
    assert any("before it held the bundle's settings" in note for note in report.notes)
    replace(golden, settings={"input": 3}).write(bundle)
    relist(bundle)
    assert "input must be" in str(ft.verify(bundle).failure)


def test_an_output_within_the_tolerance_that_changes_an_answer_passes(
    make_bundle: BundleMaker,
) -> None:
    """If two labels are tied, the rounding of another processor may give the other one."""
    bundle = make_bundle()
    with ft.load(bundle) as model:
        found = model.outputs(["play"])[0]
        best, second = np.argsort(-found)[:2]
        moved = found.copy()
        moved[second] = moved[best] + np.float32(0.01)
        golden = encoder_golden(model, ["play"], [moved], source="torch", tolerance=10.0, texts="probes")
        assert golden.answers[0]["label"] != model("play").label
    golden.write(bundle)
    relist(bundle)
    assert ft.verify(bundle).passed


def test_a_golden_file_without_answers_is_replayed_by_its_numbers(bundle: Path) -> None:
    values = json.loads((bundle / "golden.json").read_text())
    before = {name: values[name] for name in ("source", "tolerance", "inputs", "outputs")}
    (bundle / "golden.json").write_text(json.dumps(before))
    relist(bundle)
    report = ft.verify(bundle)
    assert report.passed
    assert any("before it held answers" in note for note in report.notes)
    assert Golden.read(bundle).texts == "data"


def test_it_reads_back_as_written(shared_bundle: Path, tmp_path: Path) -> None:
    golden = Golden.read(shared_bundle)
    golden.write(tmp_path)
    assert Golden.read(tmp_path) == golden
    assert golden.texts == "probes"


@pytest.mark.parametrize(
    ("expected", "found", "message"),
    [
        ({"a": 1.0}, {"a": 1.00001, "more": 2}, None),
        ({"a": 1.0}, {"a": 1.1}, "answer.a is 1.1 and not 1.0"),
        ({"a": 1}, {"a": True}, "answer.a is True and not 1"),
        ({"a": "x"}, {}, "answer.a is None and not 'x'"),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}, "answer.a[0].b is 'y' and not 'x'"),
        ({"a": [1, 2]}, {"a": (1,)}, "answer.a has length 1 and not 2"),
    ],
)
def test_the_first_difference_of_an_answer_is_named(expected: Any, found: Any, message: str | None) -> None:
    assert first_difference(expected, found) == message


# --- generators ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [False, True])
@pytest.mark.parametrize("texts", [False, True])
def test_a_bundle_proves_its_golden_answers(
    make_generator: GeneratorMaker, source: bool, texts: bool
) -> None:
    folder = make_generator(source=source)
    kind = ft.Seq2SeqGenerator if source else ft.TextGenerator
    with kind.load(folder) as model:
        inputs = [model.decode(row) for row in ROWS] if texts else ROWS
    add_golden(folder, inputs=inputs)
    report = ft.verify(folder)
    assert report.passed, report
    assert report.to_json()["replay"]["same_answers"] == 2


def _other_token(fields: dict[str, Any]) -> None:
    ids = fields["answers"][0]["token_ids"]
    ids[1] = (ids[1] + 1) % 20


def _other_logit(fields: dict[str, Any]) -> None:
    fields["outputs"][0][0] += 0.01


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_token, "answer"),
        (_other_logit, None),
        (lambda fields: fields["answers"][0].update(text="something else"), "answer.text is"),
        (lambda fields: fields["answers"][0]["token_ids"].pop(), "answer"),
    ],
)
def test_another_answer_text_or_logit_is_found(
    make_generator: GeneratorMaker, spoil: Callable[[dict[str, Any]], Any], message: str | None
) -> None:
    folder = make_generator()
    add_golden(folder, spoil=spoil)
    report = ft.verify(folder)
    assert not report.passed
    assert report.replay is not None
    assert bool(report.replay.changed) == (message is not None)
    assert message is None or message in report.replay.changed[0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda fields: fields["answers"][0].pop("token_ids"), "needs a list of token_ids"),
        (lambda fields: fields["answers"][0].update(token_ids="abc"), "needs a list of token_ids"),
        (lambda fields: fields["answers"][0].update(token_ids=[1, -1]), "needs a list of token_ids"),
        (lambda fields: fields["answers"][0].update(token_ids=[True]), "needs a list of token_ids"),
        (lambda fields: fields["answers"][0].update(token_ids=[10**6]), "token"),
        (lambda fields: fields["tokens"].__setitem__(0, [10**6] * len(fields["tokens"][0])), "token"),
        (lambda fields: fields["inputs"].__setitem__(0, {"text": "a"}), "must be a text or token ids"),
        (lambda fields: fields["inputs"].__setitem__(0, [10**6]), "token"),
        (lambda fields: fields["inputs"].__setitem__(0, []), ""),
        (lambda fields: fields["options"].update(no_such=1), "no_such"),
        (lambda fields: fields["options"].update(num_beams="two"), "num_beams"),
        (lambda fields: fields["options"].update(max_new_tokens=-1), "max_new_tokens"),
    ],
)
def test_a_spoiled_golden_file_fails_with_a_reason_and_without_a_traceback(
    make_generator: GeneratorMaker, spoil: Callable[[dict[str, Any]], Any], message: str
) -> None:
    folder = make_generator()
    add_golden(folder, spoil=spoil)
    report = ft.verify(folder)
    assert not report.passed
    assert message in (report.failure or "") + "".join(report.replay.changed if report.replay else ())


def test_a_generators_golden_file_of_before_is_replayed(make_generator: GeneratorMaker) -> None:
    folder = make_generator()
    add_golden(folder)
    values = json.loads((folder / "golden.json").read_text())
    before = {
        "source": values["source"],
        "tolerance": values["tolerance"],
        "rows": values["inputs"],
        "max_new_tokens": 6,
        "answers": [answer["token_ids"] for answer in values["answers"]],
        "best": values["tokens"],
        "logits": values["outputs"],
    }
    (folder / "golden.json").write_text(json.dumps(before))
    relist(folder, "golden.json")
    report = ft.verify(folder)
    assert report.passed
    assert report.replay is not None
    assert report.replay.same_answers == 2
    before["answers"] = [[*answer[:1], answer[0], *answer[1:]] for answer in before["answers"]]
    (folder / "golden.json").write_text(json.dumps(before))
    relist(folder, "golden.json")
    assert not ft.verify(folder).passed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"source": "torch", "tolerance": 1, "rows": [[1]]}', "outputs is missing"),
        (
            '{"source": "torch", "tolerance": 1, "rows": [[1]], "answers": 1, "logits": [[1]]}',
            "answers must be",
        ),
        ("[]", "must be an object"),
    ],
)
def test_a_damaged_golden_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "golden.json").write_text(content)
    with pytest.raises(ft.BundleError, match=rf"golden\.json: .*{message}"):
        Golden.read(tmp_path)
