"""Embedders: create them on a base model, read them from any checkpoint, save them, and compute vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModel, MT5EncoderModel, T5EncoderModel, UMT5EncoderModel

from ftool_export.checkpoints.base import longest_input, origin_fields, read_facts, trained_length
from ftool_export.checkpoints.embedder_layout import (
    EmbedderLayout,
    Kind,
    Similarity,
    lower_case,
    read_embedder_layout,
    settings_file,
)
from ftool_export.checkpoints.encoder import LoadedEncoder, run_network
from ftool_export.checkpoints.pretrained import read_config, read_licence
from ftool_export.checkpoints.sentence_layout import write_modules
from ftool_export.checkpoints.weights import read_weights
from ftool_export.errors import CheckpointError
from ftool_export.networks.embedder import Pooling, Projection, SentenceEmbedder, Truncation, UnitLength
from ftool_export.networks.encoder import hidden_size
from ftool_export.tokenizers.source import read_tokenizer
from ftool_runtime.bundle.contracts import EmbeddingContract
from ftool_runtime.text.encode import Tokens

TASK = "feature-extraction"

# Classes of transformers for the encoder of an encoder-decoder alone, as in sentence-t5, by the type of the model.
_WITHOUT_DECODER = {"t5": T5EncoderModel, "mt5": MT5EncoderModel, "umt5": UMT5EncoderModel}


@dataclass(frozen=True, kw_only=True)
class LoadedEmbedder(LoadedEncoder):
    """The checkpoint of an embedder."""

    task: str = TASK
    model: SentenceEmbedder
    prompts: Mapping[Kind, str] = field(default_factory=dict)  # by kind of text, used instead of `prefix`
    similarity: Similarity = "cosine"  # the measure that the vectors are trained for

    def with_prompt_for(self, kind: Kind | None) -> "LoadedEmbedder":
        """Return a copy whose prefix is the prompt for texts of `kind`; this embedder itself if `kind` is None."""
        return self if kind is None else replace(self, prefix=self.prompts.get(kind, self.prefix))

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """Return the token row of each input.

        An input is a text, or a dict of "text" and "kind" ("query" or "passage").
        """
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

        Encoder and tokenizer are written to `folder` itself, for AutoModel; pooling and later steps to subfolders. The
        model's `facts()` are stored under "ftool" in config.json.
        """
        super().save(folder)
        self._write_modules(folder)

    def write_standard_files(self, folder: Path) -> None:
        """Write the files by which `SentenceTransformer(folder, backend="onnx")` pools the vectors of tokens."""
        self._write_modules(folder)

    def _write_modules(self, folder: Path) -> None:
        write_modules(
            folder,
            [
                (step.linear, step.activation_name) if isinstance(step, Projection) else None
                for step in self.model.steps
                if not isinstance(step, Truncation)
            ],
            pooling=self.model.pooling,
            width=hidden_size(self.config),
            max_length=self.max_length,
            settings=settings_file(self.prefix, self.prompts, self.similarity, self.model.steps),
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
    """Create an embedder to fine-tune from a checkpoint.

    A sentence-transformers model is used unchanged if `pooling` is "auto" or the model's own pooling. Any other
    checkpoint gets the pooling `pooling` ("auto" means the mean), followed by scaling to length 1.

    Args:
        base: a checkpoint folder or hub id.
        pooling: how token vectors become one vector.
        max_length: the largest number of tokens of a text, capped at the checkpoint's limit; None uses that limit.
        exact_length: whether to raise CheckpointError, instead of capping, if `max_length` exceeds the position table.
        prompts: prompts by kind of text; they replace the checkpoint's prompts for the same kinds.
        base_name: the name to record as the model's base; None records `base`.

    Raises:
        CheckpointError: the checkpoint can't be read, has steps that a bundle can't hold, or has too few positions for
            an exact length.
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
    """Load an embedder from a run/ folder, a sentence-transformers model or a plain encoder (a folder or hub id).

    The vector of a plain encoder is the unscaled mean of its token vectors, as in sentence-transformers. Raises
    CheckpointError if there is no model, or the model has steps that a bundle can't hold or no weights in safetensors
    files.
    """
    return _load(str(source), read_embedder_layout(str(source)))


def compute_vectors(
    loaded: LoadedEmbedder, texts: Sequence[str], kind: Kind | None = None
) -> NDArray[np.float32]:
    """Return the network's vectors, float32 (texts, width). The prompt for `kind` is put before each text."""
    rows = loaded.with_prompt_for(kind).tokenize(texts)
    return run_network(loaded, rows, loaded.model.forward, loaded.model.width)


def _load(source: str, layout: EmbedderLayout) -> LoadedEmbedder:
    config = read_config(layout.root)
    network = _WITHOUT_DECODER.get(config.model_type, AutoModel)
    if config.is_encoder_decoder and network is AutoModel:
        raise CheckpointError(
            f"{source}: {config.model_type} is an encoder-decoder, but vectors come from encoders; choose an encoder"
        )
    encoder, _ = read_weights(network, layout.root, config)
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
