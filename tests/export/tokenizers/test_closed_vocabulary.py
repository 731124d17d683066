"""Tokenizers that lack what most have: a token for unknown words, a special token, or most characters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftool_runtime as ft
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.checkpoints.generator import LoadedGenerator, load_generator
from ftool_export.errors import CheckpointError
from ftool_export.examples.generation import sample_examples
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings

SPECIAL = ("<s>", "</s>", "<pad>")
WORDS = ("turn", "the", "lights", "off", "on")
WORD_LEVEL = {
    "type": "WordLevel",
    "unk_token": "<unk>",
    "vocab": {word: n for n, word in enumerate((*SPECIAL, *WORDS))},
}
UNIGRAM = {
    "type": "Unigram",
    "unk_id": None,
    "vocab": [[word, -float(n)] for n, word in enumerate((*SPECIAL, *WORDS))],
}
LETTERS = {"type": "BPE", "merges": [], "vocab": {c: n for n, c in enumerate((*SPECIAL, *"abcdefghijklm"))}}


def write_decoder(
    folder: Path,
    make: Callable[..., LoadedGenerator],
    model: dict[str, Any],
    *,
    special: bool = True,
    begins: bool = False,
) -> Path:
    """Write a tiny GPT-2 with a tokenizer of the given `model` and with these special tokens."""
    make("gpt2").save(folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"] = model
    names = SPECIAL if special else ()
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokenizer["added_tokens"] = [
        {"id": n, "content": name, "special": True, **flags} for n, name in enumerate(names)
    ]
    if begins:
        piece = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        token = {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}
        pair = [*piece, {"Sequence": {"id": "B", "type_id": 0}}]
        tokenizer["post_processor"] = {
            "type": "TemplateProcessing",
            "single": piece,
            "pair": pair,
            "special_tokens": token,
        }
    path.write_text(json.dumps(tokenizer))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 24}
    if special:
        config |= {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    for name in ("special_tokens_map.json", "added_tokens.json"):
        (folder / name).unlink(missing_ok=True)
    return folder


def loaded_and_exported(folder: Path, to: Path) -> tuple[LoadedGenerator, Path]:
    loaded = load_generator(folder, "text-generation")
    report = export(ExportSettings(bundle=to, name="tiny", precision="fp32"), loaded, sample_examples(loaded))
    assert report.bundle is not None
    return loaded, report.bundle


@pytest.mark.parametrize(
    ("model", "special", "message"),
    [
        (WORD_LEVEL, True, r"fails on words that its vocabulary lacks \(WordLevel error.*unk_token"),
        (UNIGRAM, True, r"fails on words that its vocabulary lacks \(.*unk_id.*name one of its tokens"),
        ({**WORD_LEVEL, "unk_token": "on"}, False, "no special token that could fill up the rows of a batch"),
    ],
)
def test_a_checkpoint_whose_tokenizer_cant_serve_is_refused_by_name(
    make_generator: Callable[..., LoadedGenerator],
    tmp_path: Path,
    model: dict[str, Any],
    special: bool,
    message: str,
) -> None:
    folder = write_decoder(tmp_path / "base", make_generator, model, special=special)
    with pytest.raises(CheckpointError, match=message):
        load_generator(folder, "text-generation")


def test_a_damaged_tokenizer_is_refused_by_name(bert: Path, tmp_path: Path) -> None:
    load_classifier(bert).save(tmp_path / "base")
    path = tmp_path / "base" / "tokenizer.json"
    whole = json.loads(path.read_text())
    for damaged in ("{", json.dumps({**whole, "model": {"type": "WordLevel", "vocab": {}}})):
        path.write_text(damaged)
        with pytest.raises(CheckpointError, match=f"{tmp_path}/base: no tokenizer could be read"):
            load_classifier(tmp_path / "base")


def test_an_encoders_tokenizer_is_refused_too(bert: Path, tmp_path: Path) -> None:
    load_classifier(bert).save(tmp_path / "base")
    path = tmp_path / "base" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["unk_token"] = "[NOTHING]"
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match="fails on words that its vocabulary lacks"):
        load_classifier(tmp_path / "base")


def test_texts_that_a_small_alphabet_cant_spell_are_left_out_of_the_comparison(
    make_generator: Callable[..., LoadedGenerator], tmp_path: Path
) -> None:
    folder = write_decoder(tmp_path / "base", make_generator, LETTERS)
    loaded, bundle = loaded_and_exported(folder, tmp_path / "bundle")
    assert 0 < len(sample_examples(loaded).inputs) < 25
    with (
        ft.load(bundle) as model,
        pytest.raises(ft.InputError, match="holds nothing that the model's tokenizer"),
    ):
        model("人人")


def test_an_empty_prompt_is_answered_where_the_tokenizer_begins_every_text(
    make_generator: Callable[..., LoadedGenerator], tmp_path: Path
) -> None:
    import torch

    model = {**WORD_LEVEL, "unk_token": "on"}
    loaded, bundle = loaded_and_exported(
        write_decoder(tmp_path / "base", make_generator, model, begins=True), tmp_path / "bundle"
    )
    expected = loaded.model.generate(torch.tensor([[0]]), max_new_tokens=5, do_sample=False)[0, 1:].tolist()
    with ft.load(bundle) as answering:
        answer = answering("", max_new_tokens=5)
        assert (list(answer.token_ids), answer.prompt_tokens) == (expected, 1)
        with pytest.raises(ft.InputError, match="text 0 is empty"):
            answering(" ")
    _, without = loaded_and_exported(
        write_decoder(tmp_path / "two", make_generator, model), tmp_path / "second"
    )
    with ft.load(without) as answering, pytest.raises(ft.InputError, match="text 0 is empty"):
        answering("")
