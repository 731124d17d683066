"""Golden answers come from ftool's probe texts, or from the user's texts if requested; the model card says which."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ftool_runtime as ft
from ftool_export import pipeline
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.examples.base import choose_inputs, spread
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.passes import PassSettings
from ftool_export.settings import ExportSettings
from ftool_export.tokenizers.texts import LONG_TEXT, probe_inputs
from ftool_runtime.bundle.golden import Golden

SPECIAL = ["[UNK]", "[SEP]", "[PAD]", "[CLS]"]
SECRET = "patient 4711 asked for the lights"


def export(bert: Path, folder: Path, passes: PassSettings, texts: Sequence[str], **changes: Any) -> Path:
    settings = ExportSettings(bundle=folder, precision="fp32", allow_drift=True, passes=passes, **changes)
    loaded = load_classifier(str(bert))
    pipeline.export(settings, loaded, ClassificationExamples(loaded=loaded, inputs=texts))
    return folder


def test_no_text_of_the_data_is_in_a_bundle(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    folder = export(bert, tmp_path / "bundle", tiny, [*texts[:4], SECRET])
    shipped = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert not [path for path, content in shipped.items() if SECRET.encode() in content]
    golden = Golden.read(folder)
    assert golden.texts == "probes"
    assert list(golden.inputs) == probe_inputs(["text"], SPECIAL, bool)
    assert "none of the user's data" in (folder / "README.md").read_text(encoding="utf-8")
    report = ft.verify(folder)
    assert report.passed
    assert report.replay is not None
    assert report.replay.same_answers == len(golden.inputs) == len(golden.answers)
    assert not report.notes


def test_data_is_golden_only_when_asked_for_and_the_card_says_so(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    folder = export(bert, tmp_path / "bundle", tiny, [*texts[:4], SECRET], golden="data")
    golden = Golden.read(folder)
    assert golden.texts == "data"
    assert SECRET in golden.inputs
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "holds inputs from the user's own data" in card
    assert ft.verify(folder).passed


@pytest.mark.parametrize(
    "fields", [("text",), ("text", "text_pair"), ("question", "context")], ids=["texts", "pairs", "questions"]
)
def test_probe_inputs_are_of_every_kind_in_several_scripts_and_lengths(fields: tuple[str, ...]) -> None:
    inputs = probe_inputs(fields, SPECIAL, bool)
    assert 8 <= len(inputs) <= 17
    assert len({json.dumps(given) for given in inputs}) == len(inputs)
    assert all(
        isinstance(given, str) if len(fields) == 1 else list(given) == list(fields) for given in inputs
    )
    scripts = {
        unicodedata.name(letter).split()[0]
        for letter in json.dumps(inputs, ensure_ascii=False)
        if letter.isalpha()
    }
    assert {"LATIN", "CJK", "CYRILLIC"} <= scripts
    assert any(LONG_TEXT in (given if isinstance(given, str) else [*given.values()]) for given in inputs)
    assert min(len(str(given)) for given in inputs) < 150


def test_the_long_probe_differs_at_its_two_ends_so_that_either_side_of_truncation_shows() -> None:
    assert len(LONG_TEXT.split()) > 200
    assert LONG_TEXT[:20] != LONG_TEXT[-20:]


def test_chosen_data_is_of_all_lengths_and_differs() -> None:
    chosen = choose_inputs(["a" * length for length in range(1, 100)] * 2)
    assert len(chosen) == len(set(chosen)) == 16
    assert (len(chosen[0]), len(chosen[-1])) == (1, 99)


def test_texts_are_spread_over_all() -> None:
    texts = [str(number) for number in range(1000)]
    assert spread(texts, 4) == ["0", "250", "500", "750"]
    assert spread(texts[:3], 4) == texts[:3]
    assert len(set(spread(texts, 128))) == 128


def test_verify_sees_a_bundle_that_turns_a_special_tokens_name_into_the_token(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    folder = export(bert, tmp_path / "bundle", tiny, texts)
    manifest = ft.Manifest.read(folder)
    split = not manifest.input.split_special_tokens
    replace(manifest, input=replace(manifest.input, split_special_tokens=split)).write(
        folder
    )  # its digest too
    report = ft.verify(folder)
    assert not report.passed
