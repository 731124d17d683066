"""Golden answers: written, read, replayed, and what is refused of them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ftool_runtime as ft
from ftool_runtime.bundle.generation_golden import GenerationGolden
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import Manifest

GeneratorMaker = Callable[..., Path]
ROWS = [[7, 8, 9], [20, 21, 9, 8]]


def add_golden(folder: Path, *, spoil: Callable[[dict[str, Any]], None] = lambda fields: None) -> None:
    with ft.load(folder) as model:
        made = model.generate(ROWS, max_new_tokens=6, keep_logits=True)
    golden = GenerationGolden.of(
        source="bundle",
        tolerance=1e-4,
        rows=ROWS,
        max_new_tokens=6,
        answers=[row.ids for row in made],
        first_logits=[row.logits[0] for row in made],
    )
    fields = {name: getattr(golden, name) for name in GenerationGolden.__dataclass_fields__}
    spoil(fields)
    GenerationGolden(**fields).write(folder)
    manifest = Manifest.read(folder)
    files = {**manifest.files, "golden.json": file_record(folder / "golden.json")}
    changed = {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}
    Manifest(**{**changed, "files": files}).write(folder)


@pytest.mark.parametrize("source", [False, True])
def test_a_bundle_proves_its_golden_answers(make_generator: GeneratorMaker, source: bool) -> None:
    folder = make_generator(source=source)
    add_golden(folder)
    report = ft.verify(folder)
    assert report.passed
    assert report.to_json()["replay"]["same_answers"] == 2


def test_another_answer_or_logit_is_found(make_generator: GeneratorMaker) -> None:
    def other_answer(fields: dict[str, Any]) -> None:
        first, *rest = fields["answers"]
        fields["answers"] = ((first[0], (first[1] + 1) % 20, *first[2:]), *rest)

    def other_logit(fields: dict[str, Any]) -> None:
        first, *rest = fields["logits"]
        fields["logits"] = ((first[0] + 0.01, *first[1:]), *rest)

    for spoil in (other_answer, other_logit):
        folder = make_generator()
        add_golden(folder, spoil=spoil)
        assert not ft.verify(folder).passed


def test_a_damaged_golden_file_is_named(tmp_path: Path, onnx_writer: SimpleNamespace) -> None:
    (tmp_path / "golden.json").write_text('{"source": "torch", "tolerance": 1, "rows": [[1]]}')
    with pytest.raises(ft.BundleError, match=r"golden.json: max_new_tokens is missing"):
        GenerationGolden.read(tmp_path)
