"""Every file of a bundle is checked: an edited manifest, an altered file and an unlisted file are each reported."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.tiny_bundles import relist

import ftool_runtime as ft
from ftool_runtime.bundle.integrity import check_hashes, unlisted_files
from ftool_runtime.bundle.manifest import Manifest, digest_of

BundleMaker = Callable[..., Path]


def edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit `ftool.json` by hand."""
    path = bundle / "ftool.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values, indent=2))


def as_written_before(bundle: Path) -> None:
    """Turn the manifest into one from before digests."""

    def change(values: dict[str, Any]) -> None:
        del values["digest"], values["input"]["truncation_side"], values["input"]["split_special_tokens"]
        values["schema"] = 1

    edit(bundle, change)


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "labels reversed": lambda values: values["labels"].reverse(),
    "labels rotated": lambda values: values["labels"].append(values["labels"].pop(0)),
    "a label renamed": lambda values: values["labels"].__setitem__(0, "light"),
    "another task": lambda values: values.update(task="token-classification"),
    "multi-label": lambda values: values.update(multi_label=True),
    "thresholds": lambda values: values.update(multi_label=True, thresholds=[0.1, 0.2, 0.3]),
    "max_length": lambda values: values["input"].update(max_length=8),
    "pad_token_id": lambda values: values["input"].update(pad_token_id=1),
    "prefix": lambda values: values["input"].update(prefix="query: "),
    "truncation_side": lambda values: values["input"].update(truncation_side="left"),
    "a precision": lambda values: values["precision"].update(rows_share_scale=True),
    "a record": lambda values: values["files"].pop("golden.json"),
    "evidence": lambda values: values["evidence"].update(accuracy=1.0),
    "a key that this runtime does not know": lambda values: values.update(mood="good"),
    "the digest removed": lambda values: values.pop("digest"),
    "the schema": lambda values: values.update(schema=1),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS.keys())
def test_an_edited_manifest_is_noticed_by_load_verify_and_check_hashes(
    bundle: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    manifest = Manifest.read(bundle)
    edit(bundle, change)
    with pytest.raises(
        ft.BundleError, match=r"ftool\.json (was edited|has no digest).*export the bundle again"
    ):
        ft.load(bundle)
    with pytest.raises(ft.BundleError, match=r"ftool\.json (was edited|has no digest)"):
        check_hashes(bundle, manifest)
    report = ft.verify(bundle)
    assert not report.passed
    assert "digest" in report.altered["ftool.json"]


def test_the_digest_does_not_depend_on_spaces_or_the_order_of_keys(bundle: Path) -> None:
    values = json.loads((bundle / "ftool.json").read_text())
    (bundle / "ftool.json").write_text(json.dumps(dict(reversed(values.items()))))
    ft.load(bundle).close()
    assert ft.verify(bundle).passed


def test_the_digest_covers_characters_of_all_scripts_and_all_numbers(bundle: Path) -> None:
    evidence = {"größe": 1e-7, "数": [0.1, 1e300, -0.0, 12345678901234567890], "none": None}
    replace(Manifest.read(bundle), evidence=evidence).write(bundle)
    assert Manifest.read(bundle).evidence == evidence


def test_a_bundle_from_before_the_digest_loads_and_verify_says_what_it_could_not_check(bundle: Path) -> None:
    as_written_before(bundle)
    with ft.load(bundle) as model:
        assert model("play music").label
    report = ft.verify(bundle)
    assert report.passed
    assert "export the bundle again" in report.notes[0]
    assert json.loads(json.dumps(report.to_json()))["notes"] == list(report.notes)


@pytest.mark.parametrize(
    "name", ["onnx/model.onnx.data", "onnx/model.onnx_data", "onnx/.data", "chat_template.jinja"]
)
def test_a_file_that_the_manifest_does_not_list_is_refused_by_name(bundle: Path, name: str) -> None:
    manifest = Manifest.read(bundle)
    (bundle / name).write_bytes(b"weights")
    with pytest.raises(ft.BundleError, match=rf"{name} is not in the manifest's list of files; remove it"):
        ft.load(bundle)
    with pytest.raises(ft.BundleError, match=rf"{name} is not in the manifest"):
        check_hashes(bundle, manifest)
    report = ft.verify(bundle)
    assert not report.passed
    assert list(report.altered) == [name]


def test_a_linked_folder_is_named_and_not_walked_into(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (bundle / "more").symlink_to(tmp_path / "elsewhere")
    assert unlisted_files(bundle, Manifest.read(bundle)) == ["more"]


def test_files_of_file_managers_and_version_control_are_ignored(bundle: Path) -> None:
    for name in (
        ".DS_Store",
        "onnx/.DS_Store",
        "Thumbs.db",
        "onnx/desktop.ini",
        "onnx/._model.onnx",
        ".git/config",
    ):
        (bundle / name).parent.mkdir(exist_ok=True)
        (bundle / name).write_bytes(b"litter")
    (bundle / ".gitattributes").write_text("*.onnx filter=lfs")
    (bundle / "empty").mkdir()
    ft.load(bundle).close()
    assert ft.verify(bundle).passed


@pytest.mark.parametrize("name", ["._weights", ".DS_Store", "Thumbs.db", "sub/desktop.ini", "._größe"])
@pytest.mark.parametrize("written", [str, str.swapcase], ids=["same", "other case"])
def test_a_file_that_a_graph_names_is_not_taken_for_litter(
    bundle: Path, name: str, written: Callable[[str], str]
) -> None:
    graph = bundle / "onnx/model.onnx"
    graph.write_bytes(graph.read_bytes() + written(name).encode())
    relist(bundle)
    (bundle / "onnx/sub").mkdir()
    (bundle / "onnx" / name).write_bytes(b"weights")
    assert unlisted_files(bundle, Manifest.read(bundle)) == [f"onnx/{name}"]
    with pytest.raises(ft.BundleError, match="is not in the manifest's list of files"):
        ft.load(bundle)
    assert list(ft.verify(bundle).altered) == [f"onnx/{name}"]


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "golden.json"])
def test_check_hashes_names_the_first_altered_file(bundle: Path, name: str) -> None:
    manifest = Manifest.read(bundle)
    check_hashes(bundle, manifest)
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(
        ft.BundleError, match=rf"{name} has the right size but was altered.*export the bundle again"
    ):
        check_hashes(bundle, manifest)


def test_a_digest_that_was_computed_again_passes_because_it_is_not_a_signature(bundle: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        values["name"] = "another"
        values["digest"] = digest_of(values)

    edit(bundle, change)
    assert Manifest.read(bundle).name == "another"
