"""The manifest is read back as it was written; a damaged, newer or foreign manifest is refused with a clear message."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import FileRecord, Manifest, digest_of
from ftool_runtime.bundle.paths import check_relative, path_inside


def edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = bundle / "ftool.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps({**values, "digest": digest_of(values)}))


def test_it_reads_back_as_written(bundle: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(bundle)
    changed = replace(
        manifest,
        licence="MIT",
        multi_label=True,
        thresholds=(0.1, 0.5, 0.9),
        evidence={"accuracy": {"fp32": 0.9}},
    )
    changed.write(tmp_path)
    assert Manifest.read(tmp_path) == changed
    assert json.loads((tmp_path / "ftool.json").read_text()) == changed.to_json()
    assert next(iter(changed.to_json().items())) == ("schema", 2)


def test_a_newer_schema_is_refused_even_if_all_else_changed(tmp_path: Path) -> None:
    (tmp_path / "ftool.json").write_text('{"schema": 3, "tasks": []}')
    with pytest.raises(ft.BundleError, match=r"newer ftool.*schema 3.*upgrade ftool-runtime"):
        ft.load(tmp_path)


def test_unknown_keys_are_ignored(bundle: Path) -> None:
    expected = Manifest.read(bundle)
    edit(bundle, lambda values: values.update(mood="good"))
    edit(bundle, lambda values: values["input"].update(mood="good"))
    assert Manifest.read(bundle) == expected


@pytest.mark.parametrize("key", ["schema", "task", "labels", "input", "output", "precision", "files"])
def test_a_missing_field_is_named(bundle: Path, key: str) -> None:
    edit(bundle, lambda values: values.pop(key))
    with pytest.raises(ft.BundleError, match=rf"ftool\.json: {key} is missing"):
        Manifest.read(bundle)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["labels"], "lights", 'labels must be a list of strings, got "lights"'),
        (["labels"], [1], r"labels\[0\] must be a string, got 1"),
        (["labels"], [], "at least one label"),
        (["labels"], ["a", "b", "a"], "'a' appears more than once"),
        (["thresholds"], [0.5, 0.5, 0.5], "multi_label is false"),
        (["multi_label"], 1, "multi_label must be true or false, got 1"),
        (["schema"], "1", "schema must be a whole number"),
        (["schema"], True, "schema must be a whole number, got true"),
        (["input"], [], "input must be an object"),
        (["input", "max_length"], 0, "max_length must be a whole number from 1 to 2147483647, got 0"),
        (["input", "names"], ["pixels"], r"input\.names: this runtime knows input_ids.*got 'pixels'"),
        (["input", "names"], ["attention_mask"], "must hold 'input_ids'"),
        (["input", "padding_side"], "left", r"padding_side.*got 'left'"),
        (["input", "truncation_side"], "middle", r"truncation_side: this runtime knows right, left"),
        (["input", "split_special_tokens"], "no", r"input\.split_special_tokens must be true or false"),
        (["precision", "name"], "fp4", r"precision\.name.*got 'fp4'; upgrade"),
        (["precision", "devices"], [], "at least one device"),
        (["precision", "embedding_bits"], 3, r"precision\.embedding_bits must be 8 or 4, got 3"),
        (["attention"], "flash", "got 'flash'"),
        (["files", "tokenizer.json", "sha256"], "abc", "64 lower-case hexadecimal digits"),
        (["files", "tokenizer.json", "bytes"], -1, "must not be negative"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(
    bundle: Path, path: list[str], value: object, message: str
) -> None:
    def change(values: dict[str, Any]) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    edit(bundle, change)
    with pytest.raises(ft.BundleError, match=message):
        Manifest.read(bundle)


@pytest.mark.parametrize("thresholds", [(0.5,), (0.5, 0.5, 1.5), (0.5, 0.5, float("nan"))])
def test_thresholds_are_one_probability_a_label(bundle: Path, thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ft.BundleError, match="thresholds must"):
        replace(Manifest.read(bundle), multi_label=True, thresholds=thresholds)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "onnx/../../outside",
        "..",
        "/etc/passwd",
        "C:/windows/system.ini",
        "C:outside",
        "..\\outside",
        "\\\\server\\share",
        "onnx//model.onnx",
        "./model.onnx",
        "onnx/",
        "model.onnx:stream",
        "nul\0byte",
        "",
    ],
)
def test_a_file_name_that_leads_outside_is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "outside").write_text("secret")
    edit(bundle, lambda values: values["files"].update({name: {"bytes": 6, "sha256": "0" * 64}}))
    with pytest.raises(ft.BundleError, match="not a plain path inside the bundle"):
        ft.load(bundle)


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b c", "ü"]), min_size=1, max_size=6))
def test_only_paths_without_tricks_pass(parts: list[str]) -> None:
    plain = all(part not in ("..", ".", "") for part in parts)
    if plain:
        assert check_relative("/".join(parts)) == "/".join(parts)
    else:
        with pytest.raises(ft.BundleError):
            check_relative("/".join(parts))


@pytest.mark.skipif(sys.platform == "win32", reason="making symbolic links needs a privilege on Windows")
def test_a_link_that_leads_outside_is_refused_and_one_inside_is_not(bundle: Path) -> None:
    outside = bundle.parent / "tokenizer.json"
    (bundle / "tokenizer.json").rename(outside)
    (bundle / "tokenizer.json").symlink_to(outside)
    with pytest.raises(ft.BundleError, match="symbolic link that leads out of the bundle"):
        ft.load(bundle)
    (bundle / "inside.json").symlink_to(bundle / "golden.json")
    assert path_inside(bundle, "inside.json").is_file()


def test_anything_but_json_text_is_refused(bundle: Path) -> None:
    (bundle / "ftool.json").write_text('{"schema": 1,')
    with pytest.raises(ft.BundleError, match=r"ftool\.json is not JSON: .*column 14"):
        Manifest.read(bundle)
    (bundle / "ftool.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ft.BundleError, match=r"ftool\.json is not UTF-8: byte 1 is 0xff"):
        Manifest.read(bundle)
    (bundle / "ftool.json").write_text("[]")
    with pytest.raises(ft.BundleError, match="must be an object"):
        Manifest.read(bundle)


def test_a_folder_that_is_not_a_bundle_is_refused_with_the_reason(bundle: Path) -> None:
    with pytest.raises(ft.BundleError, match="there is no folder"):
        ft.load(bundle / "missing")
    with pytest.raises(ft.BundleError, match=r"it has no ftool\.json"):
        ft.load(bundle / "onnx")
    with pytest.raises(ft.BundleError, match=r"is a model folder; its bundle is .*bundle"):
        ft.load(bundle.parent)


def test_records_say_size_and_hash() -> None:
    with pytest.raises(ft.BundleError, match="hexadecimal"):
        FileRecord(bytes=1, sha256="F" * 64)
