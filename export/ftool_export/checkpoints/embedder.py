"""Embedders: created on a base model, written to run/, read from any checkpoint, and run over many texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModel

from ftool_export.checkpoints.base import longest_input, origin, read_facts, trained_length
from ftool_export.checkpoints.embedder_layout import (
    EmbedderLayout,
    Kind,
    Similarity,
    lower_case,
    prompt_file,
    read_embedder_layout,
)
from ftool_export.checkpoints.encoder import LoadedEncoder, run_network
from ftool_export.checkpoints.pretrained import read_config, read_licence, read_weights
from ftool_export.checkpoints.sentence_layout import write_modules
from ftool_export.errors import CheckpointError
from ftool_export.networks.embedder import Pooling, Projection, SentenceEmbedder, UnitLength
from ftool_export.networks.encoder import hidden_size
from ftool_export.tokenizers.source import read_tokenizer
from ftool_runtime.bundle.contracts import EmbeddingContract
from ftool_runtime.text.encode import Tokens

TASK = "feature-extraction"


@dataclass(frozen=True, kw_only=True)
class LoadedEmbedder(LoadedEncoder):
    """An embedder's checkpoint."""

    task: str = TASK
    model: SentenceEmbedder
    # in place of `prefix` before queries and passages
    prompts: Mapping[Kind, str] = field(default_factory=dict)
    similarity: Similarity = "cosine"  # the measure that the vectors are trained for

    def of_kind(self, kind: Kind | None) -> "LoadedEmbedder":
        """The embedder with the prompt of that kind as its prefix."""
        return self if kind is None else replace(self, prefix=self.prompts.get(kind, self.prefix))

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """The row of each input: a text, or a dict of "text" and its "kind", query or passage."""
        kinds = [None if isinstance(given, str) else given.get("kind") for given in inputs]
        found: dict[int, Tokens] = {}
        for kind in dict.fromkeys(kinds):
            positions = [position for position, other in enumerate(kinds) if other == kind]
            given = [inputs[position] for position in positions]
            texts = [one if isinstance(one, str) else one["text"] for one in given]
            found |= zip(positions, self.of_kind(kind).tokenize(texts), strict=True)
        return [[found[position]] for position in range(len(inputs))]

    def manifest_fields(self) -> dict[str, Any]:
        """The contract of its vectors."""
        model = self.model
        return {
            "labels": (),
            "embedding": EmbeddingContract(
                dimension=model.width,
                pooling=model.pooling,
                normalize=model.normalize,
                prompts={str(kind): text for kind, text in self.prompts.items()},
                similarity=self.similarity,
            ),
        }

    def save(self, folder: Path) -> None:
        """Write the embedder into the existing, empty `folder`: `SentenceTransformer(folder)` gives the same vectors.

        The encoder and tokenizer are at the root for AutoModel; `facts` go under "ftool" in config.json.
        """
        super().save(folder)
        write_modules(
            folder,
            [(s.linear, s.activation_name) if isinstance(s, Projection) else None for s in self.model.steps],
            pooling=self.model.pooling,
            width=hidden_size(self.config),
            max_length=self.max_length,
            prompts=prompt_file(self.prefix, self.prompts, self.similarity),
        )


def create_embedder(
    base: str,
    *,
    pooling: Pooling | Literal["auto"] = "auto",
    max_length: int | None = None,
    exact_length: bool = False,
    prompts: Mapping[Kind, str] | None = None,
    base_name: str | None = None,
) -> LoadedEmbedder:
    """An embedder to fine-tune, on the checkpoint folder or hub id `base`.

    A sentence-transformers model is taken as it is. Other encoders, and those whose own pooling differs from
    `pooling`, get that pooling ("auto": the mean) and vectors of length 1. `max_length` is capped at
    what the checkpoint can take, or with `exact_length` refused past its positions; `prompts` replace its own;
    `base_name` is recorded in place of `base`. Raises CheckpointError.
    """
    layout = read_embedder_layout(base)
    if layout.plain or pooling not in ("auto", layout.pooling):
        chosen: Pooling = "mean" if pooling == "auto" else pooling
        layout = replace(layout, pooling=chosen, steps=[UnitLength()])
    loaded = _load(base, layout)
    length = loaded.max_length
    if max_length is not None:
        network, tokenizer = loaded.model.encoder, loaded.tokenizer
        length = trained_length(
            base, network, tokenizer, max_length, exact=exact_length, stated=layout.max_length
        )
    return replace(
        loaded,
        max_length=length,
        prompts={**loaded.prompts, **(prompts or {})},
        base=base_name or base,
        licence=read_licence(base),
        training_sha256=None,
        training_examples=None,
    )


def load_embedder(source: str | Path) -> LoadedEmbedder:
    """The embedder in a run/ folder, a sentence-transformers model, or a plain encoder; a folder or a hub id.

    A plain encoder's vectors are the mean of its tokens', not scaled, as in sentence-transformers. Raises
    CheckpointError if there is none, its weights are not safetensors, or it does what a bundle can't.
    """
    return _load(str(source), read_embedder_layout(str(source)))


def compute_vectors(
    loaded: LoadedEmbedder, texts: Sequence[str], kind: Kind | None = None
) -> NDArray[np.float32]:
    """The network's vectors, float32 (texts, width), in the order of `texts`, each behind the prompt of its kind."""
    rows = loaded.of_kind(kind).tokenize(texts)
    return run_network(loaded, rows, loaded.model.forward, loaded.model.width)


def _load(source: str, layout: EmbedderLayout) -> LoadedEmbedder:
    config = read_config(layout.root)
    if config.is_encoder_decoder:
        raise CheckpointError(
            f"{source}: {config.model_type} is an encoder-decoder, and vectors come from encoders; take one of these"
        )
    encoder, fresh = read_weights(AutoModel, layout.root, config)
    lacking = [name for name in fresh if not name.startswith("pooler.")]
    if lacking:
        raise CheckpointError(
            f"{source}: the weights of {', '.join(lacking[:3])} are missing; fetch it again"
        )
    if isinstance(getattr(encoder, "pooler", None), nn.Module):
        # Kept in the file, as AutoModel expects it; not trained, as nothing reads it.
        encoder.pooler.requires_grad_(False)
    tokenizer = read_tokenizer(layout.root, config)
    if layout.lower_case:
        lower_case(tokenizer)
    facts = read_facts(config)
    return LoadedEmbedder(
        model=SentenceEmbedder(encoder, layout.steps, pooling=layout.pooling).eval(),
        tokenizer=tokenizer,
        max_length=longest_input(encoder, tokenizer, layout.max_length),
        prefix=layout.prefix,
        prompts=layout.prompts,
        similarity=layout.similarity,
        **origin(facts, source),
    )
