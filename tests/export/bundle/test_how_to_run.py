"""A model card's snippets: which programs a bundle gets, and that their code runs and gives the runtime's answers."""

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from ftool.tasks.registry import find_task
from ftool_export.bundle.how_to_run import PROGRAMS, snippets
from ftool_export.examples.generation import GenerationExamples
from ftool_export.passes import PassSettings
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import (
    EmbeddingContract,
    EntityContract,
    GenerationContract,
    InputContract,
    Manifest,
    Precision,
    QuestionContract,
)
from ftool_runtime.tools.cli import main

OWN = ["ftool-runtime", "command-line"]
DIRECT = [*OWN, "onnxruntime"]
PIPELINES = [*DIRECT, "optimum-onnx", "transformers.js"]
EMBEDDER = {
    "task": "feature-extraction",
    "labels": (),
    "embedding": EmbeddingContract(dimension=384, pooling="mean", normalize=True),
}
DECODER = {
    "task": "text-generation",
    "labels": (),
    "architecture": "gpt2",
    "generation": GenerationContract(family="decoder"),
}
SEQ2SEQ = {
    "task": "translation",
    "labels": (),
    "architecture": "pegasus",
    "generation": GenerationContract(family="encoder-decoder"),
}
READER = {"task": "question-answering", "labels": (), "questions": QuestionContract()}
TAGGER = {"task": "token-classification", "labels": ("O", "B-x"), "entities": EntityContract()}


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "ftool": "0.1.0",
        "created": "2026-01-01T00:00:00Z",
        "task": "text-classification",
        "name": "tiny",
        "architecture": "bert",
        "base": "scratch",
        "labels": ("a", "b"),
        "input": InputContract(names=("input_ids", "attention_mask"), max_length=96),
        "precision": Precision(name="int8"),
        "attention": "plain",
        "files": {},
        **changes,
    }
    return Manifest(**fields)


@pytest.mark.parametrize(
    ("changes", "programs"),
    [
        ({}, PIPELINES),
        ({"multi_label": True}, PIPELINES),
        ({"pairs": True}, DIRECT),
        ({"pairs": True, "layout": "standard"}, DIRECT),
        ({"regression": True, "labels": ()}, DIRECT),
        ({"architecture": "ftool-ngrams"}, DIRECT),
        ({"precision": Precision(name="int8-static")}, DIRECT),
        ({"precision": Precision(name="fp16", devices=("cuda",))}, OWN),
        (TAGGER, PIPELINES),
        (READER, DIRECT),
        ({**READER, "layout": "standard"}, PIPELINES),
        (EMBEDDER, DIRECT),
        (
            {**EMBEDDER, "layout": "standard"},
            [*DIRECT, "sentence-transformers", "fastembed", "transformers.js"],
        ),
        (DECODER, OWN),
        ({**DECODER, "layout": "standard"}, [*OWN, "onnxruntime-genai", "optimum-onnx", "transformers.js"]),
        ({**SEQ2SEQ, "layout": "standard"}, [*OWN, "optimum-onnx"]),
        ({"task": "vote-guessing"}, OWN),
    ],
)
def test_a_card_shows_the_programs_that_read_the_bundle(changes: dict[str, Any], programs: list[str]) -> None:
    for repository in (None, "me/bank"):
        found = list(snippets(manifest(**changes), repository))
        assert [one.program for one in found] == programs
        for one in found:
            assert ("me/bank" if repository else "path/to/this/") in one.code
            if one.language == "python":
                ast.parse(one.code)


def test_every_file_belongs_to_a_program() -> None:
    from ftool_export.bundle import how_to_run

    assert {path.name for path in how_to_run._PLACE.iterdir()} == {one.name for one in PROGRAMS}


def test_settings_that_change_an_answer_are_in_the_code() -> None:
    contract = InputContract(names=("input_ids",), max_length=7, truncation_side="left", prefix='say "it": ')
    code = next(one.code for one in snippets(manifest(input=contract)) if one.program == "onnxruntime")
    assert 'enable_truncation(7, direction="left")' in code
    assert r'encode("say \"it\": a text")' in code


TAGS = ["O", "B-x", "I-x"]
HEADS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text-classification": (AutoModelForSequenceClassification, {}),
    "text-ranking": (
        AutoModelForSequenceClassification,
        {"num_labels": 1, "id2label": None, "label2id": None},
    ),
    "token-classification": (
        AutoModelForTokenClassification,
        {"id2label": dict(enumerate(TAGS)), "label2id": {tag: i for i, tag in enumerate(TAGS)}},
    ),
    "question-answering": (
        AutoModelForQuestionAnswering,
        {"num_labels": 2, "id2label": None, "label2id": None},
    ),
    "feature-extraction": (AutoModel, {}),
}


def card_of(loaded: Any, examples: Any, folder: Path, passes: PassSettings) -> dict[str, str]:
    """Export to path/to/this/folder in `folder`, and return the code blocks of the bundle's card by their headings."""
    bundle = folder / "path" / "to" / "this" / "folder"
    export(ExportSettings(bundle=bundle, precision="fp32", allow_drift=True, passes=passes), loaded, examples)
    text = (bundle / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^### (.+?)\n.*?^```\w+\n(.+?)^```", text, re.MULTILINE | re.DOTALL))


def run(blocks: dict[str, str], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Run the blocks whose packages are in this environment; return what each prints."""
    printed: dict[str, str] = {}
    for title in ("Python, with ftool-runtime", "Python, with ONNX Runtime alone"):
        if title in blocks:
            exec(compile(blocks[title], title, "exec"), {})
            printed[title] = capsys.readouterr().out
    program, *arguments = shlex.split(blocks["Command line"])
    assert (program, arguments[:2]) == ("python", ["-m", "ftool_runtime"])
    assert main(arguments[2:]) == 0
    printed["Command line"] = capsys.readouterr().out
    return printed


@pytest.mark.parametrize("task", HEADS)
def test_the_code_of_an_encoders_card_runs(
    task: str,
    write_checkpoint: Callable[..., Path],
    tiny: PassSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    head, names = HEADS[task]
    row = find_task(task)
    loaded = row.load(str(write_checkpoint("bert", head=head, **names)))
    blocks = card_of(loaded, row.samples(loaded), tmp_path, tiny)
    monkeypatch.chdir(tmp_path)

    printed = run(blocks, capsys)

    direct = printed.pop("Python, with ONNX Runtime alone").strip()
    assert direct
    own = printed["Python, with ftool-runtime"].strip()
    if task == "text-classification":  # label and score
        assert direct.split()[0] == own.split()[0]
        assert float(direct.split()[1]) == pytest.approx(float(own.split()[1]), abs=1e-5)
    if task == "question-answering":
        assert own.startswith(direct)
    assert printed["Command line"].strip()


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_the_code_of_a_generators_card_runs(
    name: str,
    make_generator: Callable[..., Any],
    tiny: PassSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded = make_generator(name)
    loaded.generation_config.update(max_new_tokens=4, max_length=None)
    blocks = card_of(loaded, GenerationExamples(inputs=[[4, 5, 6]]), tmp_path, tiny)
    monkeypatch.chdir(tmp_path)

    printed = run(blocks, capsys)

    assert set(printed) == {"Python, with ftool-runtime", "Command line"}
