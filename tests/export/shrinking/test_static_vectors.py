"""Encoders without layers: what a token's vector depends on, and where token vectors come from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel

from ftool_export.checkpoints.classifier import LoadedClassifier, load_classifier
from ftool_export.networks.encoder import hidden_states
from ftool_export.networks.ngrams import NgramConfig, NgramModel
from ftool_export.shrinking.static_vectors import ngram_encoder, principal_components, token_vectors

VOCABULARY = 50
REACH = 2  # tokens after one that see it

rows = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9)


@pytest.fixture(scope="module")
def network() -> NgramModel:
    model = NgramModel(NgramConfig(vocab_size=VOCABULARY, hidden_size=8, buckets=64))
    torch.nn.init.normal_(model.ngrams.weight, generator=torch.Generator().manual_seed(0))
    return model.eval()


def states(network: NgramModel, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.tensor([ids])).last_hidden_state[0].numpy()


@settings(max_examples=40, deadline=None)
@given(row=rows, place=st.integers(0, 8), other=st.integers(0, VOCABULARY - 1))
def test_a_token_is_seen_by_itself_and_two_tokens_after_it(
    network: NgramModel, row: list[int], place: int, other: int
) -> None:
    place %= len(row)
    changed = [*row[:place], other, *row[place + 1 :]]
    same = (states(network, row) == states(network, changed)).all(axis=1)
    assert same[:place].all()
    assert same[place + REACH + 1 :].all()
    assert (states(network, [*row, 0, 0])[: len(row)] == states(network, row)).all()  # padding


def test_pairs_tell_the_order_of_tokens(network: NgramModel) -> None:
    assert not np.allclose(states(network, [3, 4]).sum(0), states(network, [4, 3]).sum(0))


def test_training_leaves_pairs_out_and_keeps_their_mean(network: NgramModel) -> None:
    torch.manual_seed(0)
    network.train()
    with torch.no_grad():
        drawn = torch.stack([network(torch.tensor([[3, 4, 5]])).last_hidden_state for _ in range(4000)])
    network.eval()
    assert drawn.std(dim=0).min() > 0
    np.testing.assert_allclose(drawn.mean(dim=0)[0].numpy(), states(network, [3, 4, 5]), atol=0.1)


@pytest.fixture(scope="module")
def loaded(write_checkpoint: Callable[..., Path]) -> LoadedClassifier:
    return load_classifier(write_checkpoint("bert"))


def test_token_vectors_are_the_trained_encoders_means(loaded: LoadedClassifier) -> None:
    found = token_vectors(loaded)
    assert found.shape == (loaded.config.vocab_size, loaded.config.hidden_size)
    begin, end = loaded.tokenizer("")["input_ids"]
    ids = torch.tensor([[begin, 7, end]])
    with torch.inference_mode():
        _, expected = hidden_states(loaded.model.encoder, lambda: loaded.model(ids, torch.ones_like(ids)))
    np.testing.assert_allclose(found[7], expected[-1][0].mean(dim=0).numpy(), atol=1e-5)


def test_an_encoder_without_layers_is_saved_and_loaded_whole(
    loaded: LoadedClassifier, tmp_path: Path
) -> None:
    made = ngram_encoder(loaded, width=6, buckets=32)
    assert made.config.hidden_size == 6
    assert not made.ngrams.weight.any()
    made.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert isinstance(again, NgramModel)
    assert torch.equal(again.tokens.weight, made.tokens.weight)


def test_principal_components_keep_distances() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(40, 3)).astype(np.float32)
    vectors = flat @ rng.normal(size=(3, 10)).astype(np.float32) + 5
    found = principal_components(vectors, 3)
    assert found.shape == (40, 3)
    assert found.std() == pytest.approx(1, rel=1e-5)
    distances = [np.linalg.norm(one[:, None] - one[None], axis=2) for one in (vectors, found)]
    scale = distances[0][0, 1] / distances[1][0, 1]
    np.testing.assert_allclose(distances[0], distances[1] * scale, rtol=1e-3, atol=1e-4)
    assert principal_components(vectors, 64).shape == (40, 10)
