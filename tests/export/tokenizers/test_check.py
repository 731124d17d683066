"""The runtime's tokenizer gives the token ids of the checkpoint's tokenizer, or the export is refused with a reason."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import normalizers

import ftool_runtime as ft
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_logits, load_classifier
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.errors import ExportError
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.examples.generation import sample_examples
from ftool_export.graph.graphs import Graphs
from ftool_export.passes import PassSettings
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_export.tokenizers.check import check_tokens
from ftool_runtime.bundle.manifest import Manifest

GraphsOf = Callable[..., Graphs]
LONG = "stop " * 40  # past the limit of 32 tokens


def with_tokenizer_setting(checkpoint: Path, folder: Path, **settings: Any) -> Path:
    """A copy of the checkpoint whose tokenizer_config.json says so."""
    shutil.copytree(checkpoint, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


def exported(loaded: LoadedClassifier, texts: Sequence[str], bundle: Path, graphs: Graphs) -> Path:
    """The fp32 bundle of a checkpoint; `graphs` are those of the same weights."""
    settings = ExportSettings(bundle=bundle, precision="fp32")
    report = export(settings, loaded, ClassificationExamples(loaded=loaded, inputs=texts), captured=graphs)
    assert report.bundle == bundle, report.to_json()
    return bundle


def test_texts_are_cut_at_the_checkpoints_side(
    bert: Path, source: Graphs, texts: list[str], tmp_path: Path
) -> None:
    loaded = load_classifier(with_tokenizer_setting(bert, tmp_path / "ck", truncation_side="left"))
    ends = [LONG + text for text in texts]
    bundle = exported(loaded, ends, tmp_path / "bundle", source)
    assert Manifest.read(bundle).input.truncation_side == "left"
    expected = compute_logits(loaded, ends)
    assert np.ptp(expected[:, 0]) > 0.01  # the ends are read
    with ft.load(bundle) as model:
        np.testing.assert_allclose(model.outputs(ends), expected, atol=1e-4)


def test_special_tokens_in_a_text_are_split_if_the_checkpoint_says_so(
    bert: Path, source: Graphs, texts: list[str], tmp_path: Path
) -> None:
    loaded = load_classifier(with_tokenizer_setting(bert, tmp_path / "ck", split_special_tokens=True))
    bundle = exported(loaded, texts, tmp_path / "bundle", source)
    assert Manifest.read(bundle).input.split_special_tokens
    spelled = ["turn [SEP] the lights [CLS] off"]
    with ft.load(bundle) as model:
        assert [row.ids for [row] in model.encode(spelled)] == [row.ids for row in loaded.tokenize(spelled)]
        np.testing.assert_allclose(model.outputs(spelled), compute_logits(loaded, spelled), atol=1e-4)


def test_a_tokenizer_that_the_bundle_reads_differently_is_refused(
    bert: Path, source: Graphs, texts: list[str], tmp_path: Path
) -> None:
    loaded = load_classifier(bert)
    bundle = exported(loaded, texts, tmp_path / "bundle", source)
    other = load_classifier(bert)
    other.tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(
        []
    )  # keeps capitals, which are unknown
    with ft.load(bundle) as model:
        check_tokens(loaded, model)
        with pytest.raises(
            ExportError,
            match=r"would turn .* into other tokens than its checkpoint does: \d+ instead of 1 at",
        ):
            check_tokens(other, model)
        with pytest.raises(ExportError, match="other tokens"):
            check_tokens(replace(loaded, max_length=31), model)


def test_a_generators_sources_are_cut_at_the_checkpoints_side(
    graphs_of: GraphsOf, tiny: PassSettings, tmp_path: Path
) -> None:
    graphs = graphs_of("t5")
    loaded: LoadedGenerator = graphs.loaded
    loaded.tokenizer.truncation_side = "left"
    try:
        settings = ExportSettings(bundle=tmp_path / "b", precision="fp32", passes=tiny)
        assert export(settings, loaded, sample_examples(loaded), captured=graphs).bundle
        manifest = Manifest.read(tmp_path / "b")
        assert (manifest.input.truncation_side, manifest.input.split_special_tokens) == ("left", True)
        with ft.load(tmp_path / "b") as model:
            [[row]] = model.encode(["the " * 200 + "shop"])
        assert row.ids[-1] == loaded.tokenizer.convert_tokens_to_ids("shop")
    finally:
        loaded.tokenizer.truncation_side = "right"
