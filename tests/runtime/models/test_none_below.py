"""Answers of no label: below a probability of the caller's own, or below the one that training has fitted."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.tools.cli import main

BundleMaker = Callable[..., Path]
TEXTS = ["turn the lights off", "play", "music", "set a timer for ten minutes"]


@pytest.fixture
def fitted(make_bundle: BundleMaker) -> Path:
    """A bundle whose fitted probability is that of its least sure answer but one."""
    bundle = make_bundle()
    with ft.load(bundle) as model:
        scores = sorted(answer.score for answer in model(TEXTS))
    assert scores[0] < scores[1]
    Manifest.write(replace(Manifest.read(bundle), none_below=scores[1]), bundle)
    return bundle


def test_the_fitted_probability_applies_only_if_asked_for(fitted: Path) -> None:
    with ft.load(fitted) as model:
        assert isinstance(model, ft.TextClassifier)
        plain, asked = model(TEXTS), model(TEXTS, none_below="fitted")
        assert None not in [answer.label for answer in plain]
        assert [answer.label is None for answer in asked].count(True) == 1
        for before, after in zip(plain, asked, strict=True):
            assert (after.score, after.scores) == (before.score, before.scores)
            assert after.labels == (() if after.label is None else before.labels)
            assert model.none_below is not None
            assert (after.label is None) == (before.score < model.none_below)


def test_a_number_of_the_callers_own(fitted: Path) -> None:
    with ft.load(fitted) as model:
        (answer,) = model(TEXTS[:1], none_below=1.0, top_k=2)
        assert (answer.label, answer.labels) == (None, ())
        assert len(answer.top) == 2  # what it would have been
        assert answer.to_json()["label"] is None
        assert model(TEXTS[0], none_below=0).label is not None


@pytest.mark.parametrize("value", [1.5, -0.1, "often", True])
def test_what_is_no_probability_is_refused(fitted: Path, value: Any) -> None:
    with ft.load(fitted) as model, pytest.raises(ft.InputError, match=r"between 0 and 1"):
        model("play", none_below=value)


def test_without_a_fitted_probability_the_remedy_is_named(make_bundle: BundleMaker) -> None:
    with ft.load(make_bundle()) as model, pytest.raises(ft.InputError, match=r"train with data\.none_label"):
        model("play", none_below="fitted")


def test_several_labels_have_thresholds_instead(make_bundle: BundleMaker) -> None:
    bundle = make_bundle(multi_label=True)
    with (
        ft.load(bundle) as model,
        pytest.raises(ft.InputError, match="none_below is for single-label models"),
    ):
        model("play", none_below=0.5)
    with pytest.raises(ft.BundleError, match="none_below belongs to models that give one label"):
        replace(Manifest.read(bundle), none_below=0.5)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_manifest_holds_a_probability(make_bundle: BundleMaker, value: float) -> None:
    with pytest.raises(ft.BundleError, match="none_below must lie between 0 and 1"):
        replace(Manifest.read(make_bundle()), none_below=value)


def test_info_tells_the_fitted_probability(fitted: Path) -> None:
    with ft.load(fitted) as model:
        assert isinstance(model, ft.TextClassifier)
        assert model.info()["none_below"] == model.none_below


def test_the_command_answers_null(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(fitted), "--none-below", "1.0", *TEXTS]) == 0
    labels = [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()]
    assert labels[:3] == [None] * 3  # the last has a probability of 1.0
    assert main(["predict", str(fitted), "--none-below", "fitted", *TEXTS]) == 0
    labels = [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()]
    assert labels.count(None) == 1
