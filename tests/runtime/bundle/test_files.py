"""Only regular files inside a bundle are opened, up to a size; anything else is refused by name, without waiting."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.tiny_bundles import relist, write_manifest
from tests.runtime.conftest import BundleMaker, GeneratorMaker

import ftool_runtime as ft
from ftool_runtime.bundle import files
from ftool_runtime.bundle.contracts import EmbeddingContract, Languages
from ftool_runtime.bundle.integrity import check_hashes, file_record
from ftool_runtime.bundle.manifest import FileRecord, Manifest, digest_of

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes and devices as files"),
    pytest.mark.timeout(30),
]


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _far_away(path: Path) -> None:
    elsewhere = path.parent.parent.parent / "elsewhere"
    elsewhere.write_text("{}")
    path.symlink_to(elsewhere)


KINDS = pytest.mark.parametrize(
    ("make", "message"),
    [
        (_fifo, "is a named pipe, not a regular file"),
        (_device, "leads out of the bundle"),
        (_folder, "is a folder, not a regular file"),
        (_loop, "can't be followed|Too many levels"),
        (_far_away, "leads out of the bundle"),
    ],
)


@KINDS
@pytest.mark.parametrize("name", ["ftool.json", "tokenizer.json", "golden.json", "onnx/model.onnx"])
def test_what_is_no_regular_file_is_refused_by_load_and_verify(
    bundle: Path, name: str, make: Callable[[Path], None], message: str
) -> None:
    (bundle / name).unlink()
    make(bundle / name)
    with pytest.raises(ft.BundleError, match=message) as caught:
        ft.load(bundle)
    assert Path(name).name in str(caught.value)
    with pytest.raises(ft.BundleError, match=message):
        check_hashes(bundle, Manifest.read(bundle))
    with contextlib.suppress(ft.BundleError):
        assert not ft.verify(bundle).passed


def test_an_empty_record_of_a_named_pipe_is_refused_too(bundle: Path) -> None:
    (bundle / "golden.json").unlink()
    os.mkfifo(bundle / "golden.json")  # its size is 0
    manifest = json.loads((bundle / "ftool.json").read_text())
    manifest["files"]["golden.json"] = {"bytes": 0, "sha256": "0" * 64}
    (bundle / "ftool.json").write_text(json.dumps({**manifest, "digest": digest_of(manifest)}))
    with pytest.raises(ft.BundleError, match="named pipe"):
        ft.load(bundle)
    with pytest.raises(ft.BundleError, match="named pipe"):
        file_record(bundle / "golden.json")


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer_config.json", "chat_template.jinja"])
@pytest.mark.parametrize(("make", "message"), [(_fifo, "named pipe"), (_loop, "followed|Too many")])
def test_files_of_generators_are_opened_in_the_same_way(
    make_generator: GeneratorMaker, name: str, make: Callable[[Path], None], message: str
) -> None:
    folder = make_generator(files={"tokenizer_config.json": "{}", "chat_template.jinja": "x"})
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(ft.BundleError, match=message):
        ft.load(folder)


def test_a_file_that_can_not_be_read_is_not_called_missing(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        if path.name == "model.onnx":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(ft.BundleError, match=r"model\.onnx can't be read: Permission denied"):
        ft.load(bundle)


def test_sizes_are_bounded_before_reading(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (bundle / "ftool.json").open("r+b") as file:
        file.truncate(files.LARGEST_SETTINGS + 1)  # a sparse file, whose bytes are not stored
    with pytest.raises(ft.BundleError, match=r"ftool\.json is larger than 16,777,216 bytes"):
        ft.load(bundle)


def test_a_tokenizer_and_golden_answers_beyond_any_real_size_are_refused(bundle: Path) -> None:
    for name, largest in (("tokenizer.json", files.LARGEST_TOKENIZER), ("golden.json", files.LARGEST_GOLDEN)):
        content = (bundle / name).read_bytes()
        with (bundle / name).open("r+b") as file:
            file.truncate(largest + 1)
        manifest = Manifest.read(bundle)
        records = {**manifest.files, name: FileRecord(bytes=largest + 1, sha256="0" * 64)}
        write_manifest(bundle, files=records)
        if name == "tokenizer.json":
            with pytest.raises(ft.BundleError, match=r"tokenizer\.json is larger than"):
                ft.load(bundle)
        else:
            with pytest.raises(ft.BundleError, match=r"golden\.json is larger than"):
                ft.Golden.read(bundle)
        (bundle / name).write_bytes(content)
        relist(bundle, name)


HUGE = "9" * 5000
NUMBERS = [
    (["input", "max_length"], "1" + "0" * 400),
    (["input", "max_length"], HUGE),
    (["input", "max_length"], "1" + "0" * 30),
    (["input", "max_length"], "4294967296"),
    (["input", "pad_token_id"], "4294967296"),
    (["input", "vocabulary"], "1" + "0" * 18),
    (["input", "prefix"], r'"\ud800"'),
    (["input", "prefix"], '"' + "x" * 100_000 + '"'),
    (["none_below"], "1" + "0" * 400),
    (["none_below"], "1e400"),
    (["widest_activation"], "1" + "0" * 15),
    (["evidence"], "[" * 2000 + "]" * 2000),
    (["evidence"], '{"a": 1, "a": 2}'),
    (["labels"], r'["\ud800", "b", "c"]'),
    (["schema"], HUGE),
]


@pytest.mark.parametrize(("path", "raw"), NUMBERS, ids=lambda value: str(value)[:24])
def test_a_value_of_the_manifest_that_nothing_can_hold_is_refused_by_name(
    bundle: Path, path: list[str], raw: str
) -> None:
    values = json.loads((bundle / "ftool.json").read_text())
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "PLACE"
    (bundle / "ftool.json").write_text(json.dumps(values).replace('"PLACE"', raw))
    with pytest.raises(ft.BundleError, match=r"ftool\.json"):
        ft.load(bundle)
    with pytest.raises(ft.BundleError, match=r"ftool\.json"):
        ft.verify(bundle)


def test_prompts_and_prefixes_before_every_text_are_bounded() -> None:
    prompt = "x" * 100_000
    with pytest.raises(ft.BundleError, match=r"prompts\.query has 100,000 characters"):
        EmbeddingContract(dimension=4, pooling="mean", normalize=True, prompts={"query": prompt})
    with pytest.raises(ft.BundleError, match=r"target_prefixes\.de has 100,000"):
        Languages(target_prefixes={"de": prompt})
    with pytest.raises(ft.BundleError, match=r"source_tokens\.de must be a whole number"):
        Languages(source_tokens={"de": 10**30})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"max_new_tokens": ' + HUGE + "}", "beyond 64 bits"),
        ('{"max_length": 1' + "0" * 30 + "}", "beyond 64 bits"),
        ('{"max_length": 4294967296}', "max_length must be a whole number .*at most 2147483647"),
        ('{"length_penalty": 1' + "0" * 400 + "}", "beyond 64 bits"),
        ('{"length_penalty": 1e400}', "length_penalty is not a finite number"),
        ('{"repetition_penalty": 1e300}', "repetition_penalty must be a number above 0 and at most 1e"),
        ('{"repetition_penalty": 1e-300}', "repetition_penalty must be"),
        ('{"suppress_tokens": [4294967296]}', "suppress_tokens must be a token id"),
        ('{"sequence_bias": [[[1], 1e400]]}', r"sequence_bias\[0\]\[1\] is not a finite number"),
        ('{"sequence_bias": [[[1], true]]}', "sequence_bias must be a list of pairs"),
        ('{"temperature": 1e40}', "temperature must be"),
        ('{"eos_token_id": 1, "eos_token_id": 2}', "holds the key 'eos_token_id' twice"),
        (r'{"stop_strings": "\ud800"}', "stop_strings holds half of a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_generation_config_that_can_not_be_used_is_refused_by_name(
    make_generator: GeneratorMaker, config: str, message: str
) -> None:
    folder = make_generator()
    (folder / "generation_config.json").write_text(config)
    relist(folder, "generation_config.json")
    with pytest.raises(ft.BundleError, match=rf"generation_config\.json.*{message}"):
        ft.load(folder)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "{}", "", r'{"version": "\ud800"}'])
def test_a_tokenizer_that_can_not_be_read_is_refused_by_name(bundle: Path, content: str) -> None:
    (bundle / "tokenizer.json").write_text(content)
    relist(bundle, "tokenizer.json")
    with pytest.raises(ft.BundleError, match=r"tokenizer\.json is not a tokenizer"):
        ft.load(bundle)


def test_a_graph_that_gives_texts_is_refused_when_it_is_loaded(
    make_bundle: BundleMaker, onnx_writer: Any
) -> None:
    writer = onnx_writer
    inputs = [writer.value(name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask")]
    nodes = [writer.node("Cast", ["input_ids"], ["logits"], to=8)]
    graph = writer.model(nodes, [], inputs, [writer.value("logits", 8, ("batch", "sequence"))])
    folder = make_bundle(graph=graph, golden=False)
    with pytest.raises(ft.BundleError, match=r"model\.onnx: logits is a tensor\(string\)"):
        ft.load(folder)
