"""Make an encoder without layers from a trained one: a fixed vector for each token, and a table of token pairs.

Each token runs alone through the trained encoder, and principal components make the vectors narrower, as model2vec does
(Tulkens and van Dongen 2024, Model2Vec: Fast State-of-the-Art Static Embeddings). The vectors of token pairs begin at
zero and are learnt.
"""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.checkpoints.encoder import LoadedEncoder, run_network
from ftool_export.networks.encoder import hidden_size, hidden_states, pool
from ftool_export.networks.ngrams import NgramConfig, NgramModel
from ftool_runtime.text.encode import Tokens

# On banking77 vectors 256 wide, or 65,536 rows for the pairs, were no more accurate.
WIDTH: Final = 128
BUCKETS: Final = 32_768


def ngram_encoder(loaded: LoadedEncoder, width: int = WIDTH, buckets: int = BUCKETS) -> NgramModel:
    """Return an encoder without layers whose token vectors come from a trained encoder.

    Args:
        loaded: the trained encoder, whose tokenizer the new one shares.
        width: the width of the vectors; that of the trained encoder if it is narrower.
        buckets: the number of rows of the table of token pairs.
    """
    vectors = principal_components(token_vectors(loaded), width)
    config = NgramConfig(
        vocab_size=len(vectors),
        hidden_size=vectors.shape[1],
        buckets=buckets,
        pad_token_id=loaded.tokenizer.pad_token_id,
    )
    model = NgramModel(config)
    with torch.no_grad():
        model.tokens.weight.copy_(torch.from_numpy(vectors))
    model.eval()
    return model


def token_vectors(loaded: LoadedEncoder) -> NDArray[np.float32]:
    """Return the mean of the encoder's last hidden states for each token alone, float32 (tokens, hidden).

    A token stands where the text stands in the tokenizer's usual rows, such as between [CLS] and [SEP].
    """
    around = loaded.tokenizer("")["input_ids"]
    place = len(around) // 2
    rows = [[*around[:place], token, *around[place:]] for token in range(loaded.config.vocab_size)]
    types = [0] * (len(around) + 1) if "token_type_ids" in loaded.input_names else None
    tokens = [Tokens(row, types, truncated=False) for row in rows]
    model: Any = loaded.model

    def mean(**inputs: Tensor) -> Tensor:
        _, states = hidden_states(model.encoder, lambda: model(**inputs))
        return pool(states[-1], inputs["attention_mask"], "mean")

    return run_network(loaded, tokens, mean, hidden_size(loaded.config))


def principal_components(vectors: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the first `width` principal components of `vectors`, (rows, wide), with a standard deviation of 1 overall.

    The result is float32 (rows, width). If `vectors` are narrower than `width`, it is as wide as they are.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    found = centred @ directions[:, ::-1][:, :width]
    scaled: NDArray[np.float32] = (found / max(found.std(), 1e-12)).astype(np.float32)
    return scaled
