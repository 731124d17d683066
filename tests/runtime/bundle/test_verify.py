"""`verify` passes intact bundles, and finds and names any alteration."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers.tiny_bundles import relist

import ftool_runtime as ft
from ftool_runtime.bundle.golden import Golden

BundleMaker = Callable[..., Path]


def test_an_intact_bundle_passes(shared_bundle: Path, make_bundle: BundleMaker) -> None:
    for folder in (shared_bundle, make_bundle(quantised=True)):
        report = ft.verify(folder)
        assert report.passed
        assert report.files == 3
        assert report.replay is not None
        assert report.replay.examples == 3
        assert report.replay.max_difference <= report.replay.tolerance
        assert json.loads(json.dumps(report.to_json()))["replay"]["passed"] is True


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "golden.json"])
def test_a_file_altered_at_the_same_size_is_named(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    report = ft.verify(bundle)
    assert not report.passed
    assert list(report.altered) == [name]
    assert "altered" in report.altered[name]


def test_a_missing_and_a_truncated_file_are_both_named(bundle: Path) -> None:
    (bundle / "golden.json").unlink()
    (bundle / "tokenizer.json").write_bytes(b"{}")
    altered = ft.verify(bundle).altered
    assert altered["golden.json"] == "is missing"
    assert "truncated: 2 bytes" in altered["tokenizer.json"]


def test_a_bundle_that_computes_something_else_fails(bundle: Path) -> None:
    golden = Golden.read(bundle)
    first, *rest = golden.outputs
    moved = ((first[0] + 0.01, *first[1:]), *rest)
    replace(golden, outputs=moved).write(bundle)
    relist(bundle)
    report = ft.verify(bundle)
    assert not report.passed
    assert report.replay is not None
    assert report.replay.max_difference == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't use"),
        (
            '{"source": "torch", "tolerance": 1e-4, "inputs": ["play"], "outputs": [[1, 2]]}',
            "differ in shape from row 0",
        ),
        ('{"source": "torch", "tolerance": 1e-4, "inputs": ["play"], "outputs": []}', "1 inputs and 0 rows"),
        (
            '{"source": "torch", "tolerance": 0, "inputs": ["play"], "outputs": [[1, 2, 3]]}',
            "tolerance must be above 0",
        ),
        (
            '{"source": "hearsay", "tolerance": 1, "inputs": ["play"], "outputs": [[1, 2, 3]]}',
            'source must be one of "torch", "bundle"',
        ),
        ('{"source": "torch", "tolerance": 1, "inputs": ["play"], "outputs": [[1, null, 3]]}', "can't use"),
    ],
)
def test_golden_texts_that_make_no_sense_fail_with_the_reason(
    bundle: Path, content: str, message: str
) -> None:
    (bundle / "golden.json").write_text(content)
    relist(bundle)
    report = ft.verify(bundle)
    assert not report.passed
    assert message in str(report.failure)


def test_a_bundle_without_golden_texts_is_not_verified(make_bundle: BundleMaker) -> None:
    report = ft.verify(make_bundle(golden=False))
    assert not report.passed
    assert "nothing to replay" in str(report.failure)


def test_a_folder_that_is_not_a_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ft.BundleError, match="not an ftool bundle"):
        ft.verify(tmp_path)
