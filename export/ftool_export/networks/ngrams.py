"""An encoder without layers: one vector for each token, and one for each pair of near tokens.

A token's hidden state is the sum of three rows of two tables:

    tokens[t] + ngrams[hash(t-1, t)] + ngrams[hash'(t-2, t)]

so an input costs a few lookups and additions, about as little as its tokenising. Token vectors made from a trained
model, and training against its answers, give most of its accuracy (`ftool_export.shrinking.static_vectors`). Pairs of
tokens are hashed into a table of fixed size, as Weinberger et al. 2009 (Feature Hashing for Large Scale Multitask
Learning) hash words; Joulin et al. 2017 (Bag of Tricks for Efficient Text Classification) sum such vectors.

Importing this module makes transformers' AutoConfig and AutoModel know the architecture.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

# Factors of the hash; any large odd numbers do. With int64 no product of token ids overflows.
_FIRST: Final = 1_000_003
_SECOND: Final = 7_919
_LAGS: Final = (1, 2)  # the distances of the tokens that are paired


class NgramConfig(PreTrainedConfig):  # type: ignore[misc]
    """The configuration of an `NgramModel`.

    Args:
        vocab_size: the number of token ids.
        hidden_size: the width of the vectors.
        buckets: the number of rows of the table of token pairs.
        ngram_dropout: the share of pairs that training leaves out at random, so that tokens are not neglected.
        kwargs: transformers' own fields.
    """

    model_type = "ngrams"

    def __init__(
        self,
        vocab_size: int = 30_522,
        hidden_size: int = 128,
        buckets: int = 65_536,
        ngram_dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.buckets = buckets
        self.ngram_dropout = ngram_dropout
        self.num_hidden_layers = 0
        super().__init__(**kwargs)


class NgramModel(PreTrainedModel):  # type: ignore[misc]
    """An encoder whose hidden states are sums of token vectors and vectors of token pairs."""

    config_class = NgramConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"

    def __init__(self, config: NgramConfig) -> None:
        super().__init__(config)
        self.tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.ngrams = nn.Embedding(config.buckets, config.hidden_size)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.tokens:
            nn.init.normal_(self.tokens.weight, std=0.1)
        elif module is self.ngrams:
            nn.init.zeros_(self.ngrams.weight)

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of token vectors."""
        return self.tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the table of token vectors."""
        self.tokens = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,  # noqa: ARG002 (padding on the right changes no earlier token)
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,  # noqa: ARG002 (always)
    ) -> BaseModelOutput:
        """Return the hidden states, float32 (batch, sequence, hidden), of token ids, int64 (batch, sequence)."""
        hidden = self.tokens(input_ids)
        for lag in _LAGS:
            hidden = hidden + self._kept(self.ngrams(self._buckets(input_ids, lag)))
        states = (hidden,) if output_hidden_states else None
        return BaseModelOutput(last_hidden_state=hidden, hidden_states=states)

    def _buckets(self, input_ids: Tensor, lag: int) -> Tensor:
        """Return the row of each token and the one `lag` before it, which is 0 before the first: int64, as the ids."""
        earlier = F.pad(input_ids, (lag, 0))[:, : input_ids.shape[1]]
        rows: Tensor = (earlier * _FIRST + input_ids * _SECOND + lag) % self.config.buckets
        return rows

    def _kept(self, vectors: Tensor) -> Tensor:
        """Return the vectors of pairs, (batch, sequence, hidden), in training without a random share of them."""
        if not self.training or not self.config.ngram_dropout:
            return vectors
        kept = torch.rand(vectors.shape[:2], device=vectors.device) >= self.config.ngram_dropout
        scaled: Tensor = vectors * (kept / (1 - self.config.ngram_dropout)).unsqueeze(-1)
        return scaled


AutoConfig.register(NgramConfig.model_type, NgramConfig, exist_ok=True)
AutoModel.register(NgramConfig, NgramModel, exist_ok=True)
