"""Checkpoints with fewer layers and tokens: what is kept, what the saved files answer, and what is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.generators import GENERATORS
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ftool_export.architectures.supported import ENCODERS
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_logits, load_classifier
from ftool_export.checkpoints.generator import LoadedGenerator, load_generator
from ftool_export.errors import CheckpointError
from ftool_export.shrinking.checkpoint import always_kept, check_saved, cut_vocabulary, read_vocabulary
from ftool_export.shrinking.layers import evenly_spaced, keep_layers, stacks_of


@pytest.mark.parametrize("architecture", sorted({row.model_type for row in ENCODERS} - {"albert"}))
def test_a_saved_encoder_of_fewer_layers_answers_as_in_memory(
    write_checkpoint: Callable[..., Path], architecture: str, tmp_path: Path
) -> None:
    loaded = load_classifier(write_checkpoint(architecture))
    keep_layers(loaded.pretrained, 1)
    loaded.save(tmp_path)
    check_saved(loaded, load_classifier(tmp_path))


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_saved_generator_of_fewer_layers_answers_as_in_memory(
    make_generator: Callable[..., LoadedGenerator], name: str, tmp_path: Path
) -> None:
    made = make_generator(name)
    made.save(tmp_path)
    loaded = load_generator(tmp_path, made.task)  # without random positions, which Marian's files don't hold
    keep_layers(loaded.pretrained, 1)
    (tmp_path / "small").mkdir()
    loaded.save(tmp_path / "small")
    check_saved(loaded, load_generator(tmp_path / "small", made.task))
    sizes = {len(stack.layers) for stack in stacks_of(loaded.pretrained)}
    assert sizes == {1}


def test_the_layers_that_are_named_are_kept(write_checkpoint: Callable[..., Path]) -> None:
    path = write_checkpoint("bert", num_hidden_layers=4)
    before, loaded = (load_classifier(path).pretrained for _ in range(2))
    assert keep_layers(loaded, [1, 3]) == {"bert.encoder.layer": [1, 3]}
    for place, kept in enumerate((1, 3)):
        mine, old = (dict(one.state_dict()) for one in (loaded, before))
        name = "output.dense.weight"
        torch.testing.assert_close(
            mine[f"bert.encoder.layer.{place}.{name}"], old[f"bert.encoder.layer.{kept}.{name}"]
        )


@pytest.mark.parametrize(
    ("count", "kept", "places"), [(6, 1, [0]), (6, 2, [0, 5]), (6, 3, [0, 2, 5]), (12, 4, [0, 4, 7, 11])]
)
def test_kept_layers_are_spread_evenly(count: int, kept: int, places: list[int]) -> None:
    assert evenly_spaced(count, kept) == places


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (2, "the model has 2 layers; keep 1 to 1 of them"),
        (0, "keep 1 to 1 of them"),
        ([1, 0], "name some of the layers 0 to 1, in their order"),
        ([0, 2], "name some of the layers 0 to 1"),
    ],
)
def test_layers_that_are_not_there_are_refused(
    write_checkpoint: Callable[..., Path], places: list[int] | int, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        keep_layers(load_classifier(write_checkpoint("bert")).pretrained, places)


def test_layers_that_share_their_weights_are_refused(write_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="can't be told apart"):
        keep_layers(load_classifier(write_checkpoint("albert")).pretrained, 1)


def test_a_network_that_answers_otherwise_once_it_is_read_is_refused(
    write_checkpoint: Callable[..., Path],
) -> None:
    loaded, other = (load_classifier(write_checkpoint("bert")) for _ in range(2))
    check_saved(loaded, other)
    with torch.no_grad():
        other.model.head.weight[0, 0] += 1
    with pytest.raises(CheckpointError, match="a bert with fewer layers or tokens gives other answers"):
        check_saved(loaded, other)


# --- vocabularies of networks


NAMES = ["[PAD]", "[UNK]", "[START]", "[END]"]
PIECES = [*"abcdefgh", *(f"##{letter}" for letter in "abcdefgh"), "ab", "abc", "##cd", "face", "bed", "cab"]


@pytest.fixture
def lettered(save_tiny_bert: Callable[..., None], tmp_path: Path) -> LoadedClassifier:
    """A classifier with word pieces of few letters."""
    save_tiny_bert(tmp_path, PIECES, length=32, kind="BertForSequenceClassification")
    return load_classifier(tmp_path)


def test_a_network_answers_texts_of_kept_tokens_as_before(lettered: LoadedClassifier) -> None:
    texts = ["abc face", "cab"]
    before = compute_logits(lettered, texts)
    vocabulary = read_vocabulary(lettered)
    kept = always_kept(lettered, vocabulary) | {"abc", "face", "cab"}
    cut, old = cut_vocabulary(lettered, vocabulary, kept)
    assert len(cut.pretrained.get_input_embeddings().weight) == len(old) == cut.config.vocab_size
    assert len(old) == len(PIECES) + 4 - 3  # without ab, ##cd and bed
    np.testing.assert_array_equal(compute_logits(cut, texts), before)


def test_ids_in_configurations_follow_their_tokens(make_generator: Callable[..., LoadedGenerator]) -> None:
    loaded = make_generator("marian", vocab_size=len(PIECES) + 4)
    tokenizer = Tokenizer(models.WordPiece({token: place for place, token in enumerate([*PIECES, *NAMES])}))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")
    loaded = dataclasses.replace(loaded, tokenizer=wrapped)
    ends = len(PIECES) + NAMES.index("[END]")
    loaded.generation_config.update(eos_token_id=ends, bad_words_ids=[[0]])
    bias = loaded.model.final_logits_bias.uniform_()
    vocabulary = read_vocabulary(loaded)
    cut, old = cut_vocabulary(loaded, vocabulary, always_kept(loaded, vocabulary))
    assert old[cut.generation_config.eos_token_id] == ends
    assert [old[number] for number in cut.generation_config.bad_words_ids[0]] == [0]
    torch.testing.assert_close(cut.model.final_logits_bias, bias[:, old])
    model: Any = cut.model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight  # still tied
    assert model.get_output_embeddings().out_features == len(old)


def test_a_tokenizer_with_tokens_that_have_no_embeddings_is_refused(lettered: LoadedClassifier) -> None:
    lettered.tokenizer.add_tokens(["zzz"])
    with pytest.raises(CheckpointError, match="tokens without embeddings"):
        read_vocabulary(dataclasses.replace(lettered))
