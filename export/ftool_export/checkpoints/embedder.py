"""Embedders: create them on a base model, read them from any checkpoint, save them, and compute vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModel

from ftool_export.checkpoints.base import longest_input, origin_fields, read_facts, trained_length
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
    """The checkpoint of an embedder."""

    task: str = TASK
    model: SentenceEmbedder
    prompts: Mapping[Kind, str] = field(default_factory=dict)  # by kind of text, used instead of `prefix`
    similarity: Similarity = "cosine"  # the measure that the vectors are trained for

    def with_prompt_for(self, kind: Kind | None) -> "LoadedEmbedder":
        """Return this embedder with the prompt for texts of `kind` as its prefix; unchanged if `kind` is None."""
        return self if kind is None else replace(self, prefix=self.prompts.get(kind, self.prefix))

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """Return the token row of each input: a text, or a dict of "text" and "kind" ("query" or "passage")."""
        kinds = [None if isinstance(given, str) else given.get("kind") for given in inputs]
        found: dict[int, Tokens] = {}
        for kind in dict.fromkeys(kinds):
            positions = [position for position, other in enumerate(kinds) if other == kind]
            given = [inputs[position] for position in positions]
            texts = [one if isinstance(one, str) else one["text"] for one in given]
            found |= zip(positions, self.with_prompt_for(kind).tokenize(texts), strict=True)
        return [[found[position]] for position in range(len(inputs))]

    def manifest_fields(self) -> dict[str, Any]:
        """Return the manifest's contract for vectors: their dimension, pooling, scaling, prompts and similarity."""
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
        """Write the embedder into the existing, empty `folder`; `SentenceTransformer(folder)` gives the same vectors.

        The encoder and tokenizer are at the root, for AutoModel; the model's `facts()` go under "ftool" in config.json.
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
    """Load an embedder to fine-tune from a checkpoint.

    A sentence-transformers model is used unchanged. Other encoders, and models whose own pooling differs from
    `pooling`, get that pooling ("auto": the mean) and vectors of length 1.

    Args:
        base: a checkpoint folder or hub id.
        pooling: how token vectors become one vector.
        max_length: tokens of a text at most; capped at the checkpoint's limit. None: that limit.
        exact_length: whether to raise, instead of capping, if the checkpoint lacks positions for `max_length`.
        prompts: prompts by kind of text, which replace the checkpoint's.
        base_name: the name to record instead of `base`.

    Raises:
        CheckpointError: the checkpoint can't be read, a bundle can't hold its steps, or it is too short.
    """
    layout = read_embedder_layout(base)
    if layout.plain or pooling not in ("auto", layout.pooling):
        chosen: Pooling = "mean" if pooling == "auto" else pooling
        layout = replace(layout, pooling=chosen, steps=[UnitLength()])
    loaded = _load(base, layout)
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
    """Load the embedder in a run/ folder, a sentence-transformers model or a plain encoder (a folder or hub id).

    The vector of a plain encoder is the unscaled mean of its token vectors, as in sentence-transformers. Raises
    CheckpointError if there is no model, its weights are not in safetensors files, or a bundle can't hold its steps.
    """
    return _load(str(source), read_embedder_layout(str(source)))


def compute_vectors(
    loaded: LoadedEmbedder, texts: Sequence[str], kind: Kind | None = None
) -> NDArray[np.float32]:
    """Return the network's vectors, float32 (texts, width). Each text gets the prompt for its `kind`."""
    rows = loaded.with_prompt_for(kind).tokenize(texts)
    return run_network(loaded, rows, loaded.model.forward, loaded.model.width)


def _load(source: str, layout: EmbedderLayout) -> LoadedEmbedder:
    config = read_config(layout.root)
    if config.is_encoder_decoder:
        raise CheckpointError(
            f"{source}: {config.model_type} is an encoder-decoder, but vectors come from encoders; choose an encoder"
        )
    encoder, untrained = read_weights(AutoModel, layout.root, config)
    missing = [name for name in untrained if not name.startswith("pooler.")]
    if missing:
        raise CheckpointError(
            f"{source}: the weights of {', '.join(missing[:3])} are missing; fetch it again"
        )
    if isinstance(getattr(encoder, "pooler", None), nn.Module):
        # AutoModel expects the pooler in the file, but nothing reads its output, so it is not trained.
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
        **origin_fields(facts, source),
    )
