"""The licence that a base model's card names is kept by every kind of model that is made from it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.export.conftest import WriteCheckpoint
from transformers import AutoModel, AutoModelForCausalLM

from ftool_export.checkpoints.classifier import create_classifier, load_classifier
from ftool_export.checkpoints.embedder import create_embedder
from ftool_export.checkpoints.generator import load_generator
from ftool_export.checkpoints.pretrained import read_licence
from ftool_export.checkpoints.reader import create_reader
from ftool_export.checkpoints.tagger import create_tagger

Create = Callable[[str], Any]


def with_card(source: Path, folder: Path, header: str) -> Path:
    shutil.copytree(source, folder)
    (folder / "README.md").write_text(f"---\n{header}\n---\n# A model\n", encoding="utf-8")
    return folder


@pytest.fixture
def named(write_checkpoint: WriteCheckpoint, tmp_path: Path) -> Callable[..., Path]:
    def named(header: str, *, architecture: str = "bert", head: Any = AutoModel) -> Path:
        return with_card(write_checkpoint(architecture, head=head), tmp_path / "base", header)

    return named


CREATE: dict[str, Create] = {
    "classifier": lambda base: create_classifier(base, ("a", "b"), multi_label=False),
    "tagger": lambda base: create_tagger(base, ("O", "B-x", "I-x"), max_length=16),
    "reader": lambda base: create_reader(base, max_length=16),
    "embedder": create_embedder,
}


@pytest.mark.parametrize("kind", CREATE)
def test_a_new_model_has_the_licence_of_its_base(
    named: Callable[..., Path], kind: str, tmp_path: Path
) -> None:
    made = CREATE[kind](str(named("license: cc-by-sa-4.0")))
    assert made.licence == "cc-by-sa-4.0"
    made.save(tmp_path / "run")
    assert read_licence(str(tmp_path / "run")) == "cc-by-sa-4.0"


def test_a_generator_has_the_licence_of_its_card(named: Callable[..., Path]) -> None:
    folder = named("license: llama3.1", architecture="gpt2", head=AutoModelForCausalLM)
    assert load_generator(folder, "text-generation").licence == "llama3.1"


@pytest.mark.parametrize(
    ("header", "licence"),
    [
        (
            "license: other\nlicense_name: own-terms\nlicense_link: LICENSE.md",
            "other (own-terms, LICENSE.md)",
        ),
        ("license: other", "other"),
        ("license: [mit, apache-2.0]", "mit and apache-2.0"),
        ("license: 3", None),
        ("language: en", None),
    ],
)
def test_every_form_of_a_licence_is_read(
    named: Callable[..., Path], header: str, licence: str | None
) -> None:
    assert read_licence(str(named(header))) == licence


@pytest.mark.parametrize(
    ("own", "licence"),
    [("license: mit", "mit and gemma"), ("language: en", "gemma"), ("license: gemma", "gemma")],
)
def test_an_adapter_has_the_licence_of_its_base_too(
    named: Callable[..., Path], tmp_path: Path, own: str, licence: str
) -> None:
    base, adapter = named("license: gemma"), tmp_path / "adapter"
    adapter.mkdir()
    settings = {"peft_type": "LORA", "base_model_name_or_path": str(base), "target_modules": ["query"]}
    (adapter / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (adapter / "README.md").write_text(f"---\n{own}\n---\n", encoding="utf-8")
    assert read_licence(str(adapter)) == licence


def test_a_run_of_a_run_keeps_the_licence(named: Callable[..., Path], tmp_path: Path) -> None:
    CREATE["classifier"](str(named("license: mit"))).save(tmp_path / "run")
    assert CREATE["classifier"](str(tmp_path / "run")).licence == "mit"
    assert load_classifier(tmp_path / "run").licence == "mit"
