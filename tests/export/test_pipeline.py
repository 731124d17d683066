"""Exporting a checkpoint: what the bundle contains, that the runtime runs it, and what an export must not destroy."""

import errno
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from tokenizers import normalizers
from transformers import AutoConfig, AutoTokenizer

import ftool_runtime as ft
from ftool_export import pipeline
from ftool_export.bundle import writer as bundle_writer
from ftool_export.checkpoints.classifier import compute_logits, load_classifier
from ftool_export.errors import CheckpointError, ExportError
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.graph.guards import count_operators
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.precision_plans import PLANS
from ftool_export.report import ExportReport, ParityReport
from ftool_export.settings import ExportSettings
from ftool_export.tokenizers.texts import SENTENCES
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE

WriteCheckpoint = Callable[..., Path]


def export(
    checkpoint: Path,
    settings: ExportSettings,
    texts: Sequence[str],
    scorer: Callable[[np.ndarray], float] | None = None,
) -> ExportReport:
    """An export judged by `scorer` on `texts`; None: not judged."""
    loaded, metric = load_classifier(checkpoint), "accuracy" if scorer else None
    examples = ClassificationExamples(loaded=loaded, inputs=texts, metric=metric, scorer=scorer)
    return pipeline.export(settings, loaded, examples)


def parity_of(checkpoint: Path, folder: Path, texts: Sequence[str]) -> ParityReport:
    """A bundle against a checkpoint on texts without labels."""
    loaded = load_classifier(checkpoint)
    return parity(loaded, folder, ClassificationExamples(loaded=loaded, inputs=texts))


@pytest.fixture(scope="session")
def exported(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The tiny BERT as a bundle of a precision, made once a session."""
    made: dict[str, Path] = {}

    def made_in(precision: str) -> Path:
        if precision not in made:
            made[precision] = tmp_path_factory.mktemp("model") / "bundle"
            settings = ExportSettings(
                bundle=made[precision],
                precision=precision,
                device=PLANS["encoder"][precision].devices[-1],
                allow_drift=True,  # random weights have no clear preferences
                passes=tiny,
            )
            assert export(bert, settings, texts).bundle == made[precision]
        return made[precision]

    return made_in


def right_labels(checkpoint: Path, texts: Sequence[str]) -> np.ndarray:
    """The labels that torch gives, as if they were the true ones."""
    answers: np.ndarray = compute_logits(load_classifier(checkpoint), texts).argmax(axis=1)
    return answers


def test_parity_refuses_a_checkpoint_whose_tokenizer_was_changed_after_the_export(
    bert: Path, exported: Callable[[str], Path], texts: list[str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("a", "e")
    loaded = replace(load_classifier(str(bert)), tokenizer=tokenizer)
    with pytest.raises(ExportError, match="into other tokens than its checkpoint"):
        parity(loaded, exported("int8"), ClassificationExamples(loaded=loaded, inputs=texts))


def test_parity_allows_the_loss_that_the_export_allowed(
    bert: Path, exported: Callable[[str], Path], texts: list[str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported("w8"), tmp_path / "bundle"))
    loaded = load_classifier(str(bert))

    def failed() -> list[str]:
        scores = iter([0.9, 0.3])  # torch's, then the bundle's
        examples = ClassificationExamples(
            loaded=loaded, inputs=texts, metric="accuracy", scorer=lambda _: next(scores)
        )
        found = parity(loaded, folder, examples).to_json()["failed"]
        return [name for name in found if name == "metric_drop"]

    manifest = Manifest.read(folder)
    for allowed, expected in ((0.61, []), (0.01, ["metric_drop"])):
        evidence = {**manifest.evidence, "gate": {**manifest.evidence["gate"], "max_drop": allowed}}
        bundle_writer.Draft(folder).write_manifest(replace(manifest, evidence=evidence))
        assert failed() == expected


@pytest.mark.parametrize("precision", PLANS["encoder"])
def test_a_bundle_is_verified_and_at_parity(
    exported: Callable[[str], Path], bert: Path, texts: list[str], precision: str
) -> None:
    folder = exported(precision)
    assert ft.verify(folder).passed
    report = parity_of(bert, folder, texts)
    assert report.precision == precision
    assert report.batch_effect <= {"int8": 0, "fp16": 5e-3}.get(precision, 1e-6)
    if precision == "fp32":
        assert report.passed
        assert report.agreement == 1
        assert report.max_difference <= 1e-4


def test_a_bundle_holds_hugging_faces_layout_and_nothing_else(exported: Callable[[str], Path]) -> None:
    folder = exported("int8")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "README.md",
        "config.json",
        "ftool.json",
        "golden.json",
        "onnx/model.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert AutoConfig.from_pretrained(folder).id2label[1] == "music"
    assert AutoTokenizer.from_pretrained(folder)("stop the music")["input_ids"][0] == 2


def test_the_manifest_says_what_was_made(exported: Callable[[str], Path], bert: Path) -> None:
    manifest = Manifest.read(exported("int8"))
    assert (manifest.task, manifest.architecture, manifest.attention) == (
        "text-classification",
        "bert",
        "fused",
    )
    assert (manifest.precision.name, manifest.precision.rows_share_scale) == ("int8", True)
    assert manifest.precision.devices == ("cpu",)
    assert manifest.input.names == ("input_ids",)  # rows run singly, so there is no padding to mask
    assert manifest.widest_activation == 96  # the packed query, key and value
    assert manifest.name == exported("int8").parent.name
    assert manifest.evidence["gate"]["judged"] is False
    assert manifest.evidence["latency_ms"]["p50"] > 0
    assert set(manifest.files) == {
        path.relative_to(exported("int8")).as_posix()
        for path in exported("int8").rglob("*")
        if path.is_file() and path.name != "ftool.json"
    }


def test_short_rows_without_a_mask_use_onnxs_attention_and_long_ones_onnx_runtimes(
    exported: Callable[[str], Path],
    bert: Path,
    tiny: PassSettings,
    texts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def attentions(bundle: Path | None) -> tuple[int, int]:
        assert bundle is not None
        counted = count_operators(ir.load(bundle / MODEL_FILE))
        return counted["Attention"], counted["MultiHeadAttention"]

    assert attentions(exported("int8")) == (2, 0)
    assert attentions(exported("fp32")) == (0, 2)  # which has a mask
    monkeypatch.setattr("ftool_export.quantization.LONGEST", load_classifier(bert).max_length - 1)
    settings = ExportSettings(bundle=tmp_path / "b", precision="int8", allow_drift=True, passes=tiny)
    assert attentions(export(bert, settings, texts).bundle) == (0, 2)


def test_golden_answers_are_torchs_for_fp32_and_the_bundles_own_otherwise(
    exported: Callable[[str], Path], bert: Path
) -> None:
    golden = json.loads((exported("fp32") / "golden.json").read_text())
    assert golden["source"] == "torch"
    np.testing.assert_allclose(
        golden["outputs"], compute_logits(load_classifier(bert), golden["inputs"]), atol=1e-6
    )
    golden = json.loads((exported("int8") / "golden.json").read_text())
    assert golden["source"] == "bundle"
    with ft.TextClassifier.load(exported("int8")) as model:
        np.testing.assert_allclose(golden["outputs"], model.logits(golden["inputs"]), atol=1e-6)


def test_the_graph_holds_no_path_of_the_exporting_machine(exported: Callable[[str], Path]) -> None:
    content = (exported("int8") / "onnx" / "model.onnx").read_bytes()
    assert b"site-packages" not in content
    assert str(Path.cwd()).encode() not in content


@pytest.mark.parametrize(
    ("precision", "smallest", "message"),
    [
        ("fp32", 512, "embeddings in 4 bits are for quantised precisions, not for fp32"),
        ("int8", 10**6, "no embedding table of at least 1,000,000 numbers"),
    ],
)
def test_embeddings_that_can_not_have_4_bits_are_refused(
    bert: Path,
    tiny: PassSettings,
    texts: list[str],
    tmp_path: Path,
    precision: str,
    smallest: int,
    message: str,
) -> None:
    passes = replace(tiny, embedding_bits=4, smallest_table=smallest)
    settings = ExportSettings(bundle=tmp_path / "b", precision=precision, passes=passes)
    with pytest.raises(ExportError, match=message):
        export(bert, settings, texts)
    assert not settings.bundle.exists()


def test_the_card_says_that_accuracy_was_not_judged(exported: Callable[[str], Path]) -> None:
    card = (exported("int8") / "README.md").read_text(encoding="utf-8")
    assert "quality was not measured" in card
    assert 'ft.load("path/to/this/folder")' in card
    assert "`lights`, `music`" in card


def test_large_weights_stand_aligned_in_a_file_beside(
    bert: Path, tiny: PassSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_writer, "_MAX_INLINE", 1000)
    folder = tmp_path / "bundle"
    export(bert, ExportSettings(bundle=folder, precision="fp32", passes=tiny), SENTENCES)
    graph = onnx.load(folder / "onnx" / "model.onnx", load_external_data=False).graph
    offsets = [
        int(entry.value)
        for tensor in graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    ]
    assert offsets
    assert all(offset % 4096 == 0 for offset in offsets)
    assert "onnx/model.onnx_data" in Manifest.read(folder).files
    assert ft.verify(folder).passed
    with ft.TextClassifier.load(folder, threads=2) as model:
        assert model._engine._second_session() is not None  # long lists run in parallel
        data = folder / "onnx" / "model.onnx_data"
        altered = bytearray(data.read_bytes())
        altered[-1] ^= 1
        data.unlink()  # the loaded model keeps the old file
        data.write_bytes(altered)
        assert model._engine._second_session() is None


def test_the_gates_no_replaces_nothing_and_says_what_to_try(
    exported: Callable[[str], Path], bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(exported("fp32"), folder)
    settings = ExportSettings(bundle=folder, precision="int8", passes=tiny)
    report = export(bert, settings, texts, iter_scores())
    assert report.bundle is None
    assert not report.to_json()["gate"]["passed"]
    assert report.advice is not None
    assert "--precision w8" in report.advice
    assert Manifest.read(folder).precision.name == "fp32"


def iter_scores() -> Callable[[np.ndarray], float]:
    """A metric that is perfect for torch, always asked first, and bad for every graph."""
    turn = 0

    def score(_: np.ndarray) -> float:
        nonlocal turn
        turn += 1
        return 1.0 if turn % 2 else 0.5

    return score


def test_a_judge_is_asked_and_its_verdict_recorded(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    right = right_labels(bert, texts)
    settings = ExportSettings(bundle=tmp_path / "b", precision="fp32", passes=tiny)
    report = export(bert, settings, texts, lambda logits: float((logits.argmax(axis=1) == right).mean()))
    assert report.verdict.reference == report.verdict.bundle == 1.0
    assert Manifest.read(tmp_path / "b").evidence["gate"]["metric"] == "accuracy"
    assert "| this bundle, fp32 | 1.0000 |" in (tmp_path / "b" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "no space left")])
def test_an_export_that_stops_leaves_the_old_bundle(
    exported: Callable[[str], Path],
    bert: Path,
    tiny: PassSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(exported("fp32"), folder)

    def stopping(*_: object, **__: object) -> None:
        raise stop

    monkeypatch.setattr(bundle_writer, "model_card", stopping)
    settings = ExportSettings(bundle=folder, precision="fp32", passes=tiny)
    expected = ExportError if isinstance(stop, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="no space left" if expected is ExportError else None):
        export(bert, settings, SENTENCES)
    assert ft.verify(folder).passed
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_that_is_no_bundle_is_never_replaced(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(
        ExportError, match="is not a bundle, so it is not replaced"
    ):  # before the work, not after it
        export(bert, ExportSettings(bundle=tmp_path), SENTENCES)
    with pytest.raises(ExportError, match="is not a bundle"), bundle_writer.new_bundle(tmp_path):
        pass
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_a_multi_label_checkpoint_keeps_its_kind(
    write_checkpoint: WriteCheckpoint, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    checkpoint = write_checkpoint("bert", multi_label=True)
    settings = ExportSettings(bundle=tmp_path / "b", precision="w8", allow_drift=True, passes=tiny)
    export(checkpoint, settings, texts)
    manifest = Manifest.read(tmp_path / "b")
    assert manifest.multi_label
    report = parity_of(checkpoint, tmp_path / "b", texts)
    assert report.examples == len(texts)


def test_parity_refuses_another_models_bundle(
    exported: Callable[[str], Path], write_checkpoint: WriteCheckpoint, texts: list[str]
) -> None:
    other = write_checkpoint("bert", multi_label=True)
    with pytest.raises(ExportError, match="differs from its checkpoint in multi_label"):
        parity_of(other, exported("fp32"), texts)


def test_parity_finds_a_bundle_of_other_weights(
    exported: Callable[[str], Path], write_checkpoint: WriteCheckpoint, texts: list[str]
) -> None:
    report = parity_of(write_checkpoint("bert", hidden_act="relu"), exported("fp32"), texts)
    assert not report.passed
    assert "max_difference" in report.to_json()["failed"]


def test_parity_needs_texts(exported: Callable[[str], Path], bert: Path) -> None:
    with pytest.raises(ExportError, match="needs examples"):
        parity_of(bert, exported("fp32"), [])


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing"):
        load_classifier(str(tmp_path / "nothing"))


def test_an_export_needs_inputs(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no examples"):
        export(bert, ExportSettings(bundle=tmp_path / "b"), [])


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="max_drop"):
        ExportSettings(bundle=tmp_path, max_drop=1.5)
    assert ExportSettings(bundle=tmp_path / "intents" / "bundle").model_name == "intents"
    assert ExportSettings(bundle=tmp_path / "sst2").model_name == "sst2"
