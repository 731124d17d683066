"""Sentencepiece models of the BPE kind, as Llama 2 and Mistral have them, are converted without tokenizer.json.

The models are trained by the tests, with Llama 2's settings.
"""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer, sentencepiece_model_pb2
from tests.helpers.paths import REPOSITORY

from ftool_export.errors import CheckpointError
from ftool_export.tokenizers.sentencepiece_bpe import STRICT_TEXTS
from ftool_export.tokenizers.source import load_tokenizer
from ftool_export.tokenizers.texts import TEXTS
from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.text.encode import TokenEncoder, read_tokenizer

LAST = -1e9  # the score of pieces of several spaces in Llama's models
SAYS = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False}
SPELLS_BYTE = {  # pieces such as "<0x4" and "1>", which no merge may join to the piece of a byte
    "sentence_iterator": [*TEXTS, *["a<0x4 b<0x4 c<0x4 d1> e1>"] * 500],
    "split_by_number": False,
    "split_by_unicode_script": False,
    "split_digits": False,
}
FEW_CHARACTERS = st.text("ab. 0\u2581\n\t", max_size=40)

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Writes a checkpoint folder with a small model of Llama 2's kind, and hands back the folder."""

    def trained(says: dict[str, Any] | None = SAYS, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("llama")
        code = (REPOSITORY / "tests" / "helpers" / "generators.py").read_text().splitlines()
        SentencePieceTrainer.train(
            **{
                "model_prefix": str(folder / "tokenizer"),
                "model_type": "bpe", "vocab_size": 900, "byte_fallback": True, "split_digits": True,
                "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
                "allow_whitespace_only_pieces": True, "character_coverage": 0.99, "num_threads": 1,
                "minloglevel": 2, **changes,
                "sentence_iterator": iter(changes.get("sentence_iterator", [*TEXTS * 20, *code])),
            }
        )  # fmt: skip
        path = folder / "tokenizer.model"
        model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
        spaces = [piece for piece in model.pieces if len(piece.piece) > 1 and not piece.piece.strip("\u2581")]
        for piece in spaces:
            piece.score = LAST
        assert spaces or changes
        path.write_bytes(model.SerializeToString())
        (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
        if says is not None:
            (folder / "tokenizer_config.json").write_text(json.dumps(says))
        return folder

    return trained


@pytest.fixture(scope="module")
def llama(train: Train) -> Path:
    return train()


@pytest.fixture(scope="module")
def both(llama: Path) -> tuple[Any, SentencePieceProcessor]:
    return load_tokenizer(str(llama)), SentencePieceProcessor(model_file=str(llama / "tokenizer.model"))


@settings(max_examples=300, deadline=None)
@given(text=FEW_CHARACTERS | st.text(max_size=40))
@example(text="two  spaces")
@example(text=" one before")
@example(text="a" + " " * 19 + "b")
@example(text="\x00")
def test_every_text_has_the_ids_of_sentencepiece(both: tuple[Any, SentencePieceProcessor], text: str) -> None:
    tokenizer, processor = both
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == processor.encode(text)


def test_the_runtime_reads_it_alike(llama: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(llama))
    tokenizer.save_pretrained(tmp_path)
    names = ("input_ids", "attention_mask")
    encoder = TokenEncoder(
        read_tokenizer(tmp_path / "tokenizer.json"), InputContract(names=names, max_length=512)
    )
    processor = SentencePieceProcessor(model_file=str(llama / "tokenizer.model"))
    for text in (text for text in STRICT_TEXTS if text.strip()):
        expected = [processor.bos_id(), *processor.encode(text)]
        assert encoder.encode(text, 0).ids == tokenizer(text)["input_ids"] == expected
        assert tokenizer.decode(expected, skip_special_tokens=True) == text.replace("\u2581", " ")
    shutil.copy(llama / "config.json", tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert [again(text)["input_ids"] for text in STRICT_TEXTS] == [
        tokenizer(text)["input_ids"] for text in STRICT_TEXTS
    ]


@pytest.mark.parametrize(
    ("says", "begins", "warned"),
    [
        (SAYS, True, False),
        ({**SAYS, "legacy": False}, True, False),
        ({**SAYS, "add_bos_token": False}, False, False),
        ({"tokenizer_class": "LlamaTokenizer"}, True, True),
        (None, True, True),
    ],
)
def test_a_text_begins_with_the_beginning_token_unless_the_files_say_otherwise(
    train: Train, says: Any, begins: bool, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ids = load_tokenizer(str(train(says)))("two  spaces")["input_ids"]
    assert (ids[0] == 1, ids.count(1)) == (begins, int(begins))
    assert ("does not set add_bos_token, so texts begin with <s>" in caplog.text) is warned


@pytest.mark.parametrize(
    "changes",
    [
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": True, "allow_whitespace_only_pieces": False},
        {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
        {"byte_fallback": False, "character_coverage": 1.0},
        {"user_defined_symbols": ["<mask>"]},
        {"control_symbols": ["[INST]"]},
        SPELLS_BYTE,
        {"split_by_whitespace": False, "split_digits": False},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_other_settings_of_a_model_are_kept(train: Train, changes: dict[str, Any]) -> None:
    folder = train(**changes)
    processor = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    tokenizer = load_tokenizer(str(folder))
    for text in STRICT_TEXTS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == processor.encode(text)


@pytest.mark.parametrize(
    "changes",
    [{"treat_whitespace_as_suffix": True}, {"user_defined_symbols": ["\u2581\u2581\u2581"]}],
    ids=str,
)
def test_a_model_that_the_conversion_does_not_fit_is_refused(train: Train, changes: dict[str, Any]) -> None:
    folder = train(**changes)
    with pytest.raises(CheckpointError, match=r"tokenizer\.model: this file splits .* after conversion"):
        load_tokenizer(str(folder))
