"""Train embedders with sentence-transformers' Trainer and losses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from safetensors.torch import load_model, save_model
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.training_args import (
    BatchSamplers,
    SentenceTransformerTrainingArguments,
)
from torch import Tensor, nn

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.similarity import SimilarPair
from ftool.evaluation.metrics.embeddings import Vectors, embedding_metrics, texts_to_embed
from ftool.recipe.sections import TrainSettings
from ftool.training.embedder_loss import columns, loss_name, make_loss, score_scale
from ftool.training.hardware import device_name
from ftool.training.loop import SCORE, Measured, callbacks
from ftool.training.lora import add_adapters, merge_adapters
from ftool.training.objective import Objective
from ftool_export.checkpoints.embedder import LoadedEmbedder, compute_vectors
from ftool_export.checkpoints.embedder_layout import Kind

_WEIGHTS = "model.safetensors"  # the file of a checkpoint's weights
_KINDS: Mapping[str, Kind] = {"anchor": "query", "positive": "passage", "negative": "passage"}


class EmbedderObjective(Objective):
    """Trains an embedder with a sentence-transformers loss; a search or similarity metric selects the weights."""

    keep_start = True

    def __init__(
        self, loaded: LoadedEmbedder, data: Dataset[SimilarPair], settings: TrainSettings, metric: str
    ) -> None:
        """Prepare to train `loaded`; `metric` selects the weights.

        Raises TrainingError if the loss that the settings name can't learn from `data`.
        """
        self.loaded, self.settings = loaded, settings
        self._data, self._metric = data, metric
        self._loss_name, self._scale = loss_name(data.facts["kind"], settings), score_scale(data.train)
        self._plain_loss: Any = None  # without the cache for large batches, for measuring

    @property
    def lengths(self) -> Sequence[int]:
        """A zero for each training example: sentence-transformers orders the examples and does not need lengths."""
        return [0] * len(self._data.train)

    def first_stage(self) -> dict[str, Any]:
        """Return metrics of the base model on validation and test, to compare with those after training."""
        before = {name: self._measured(self._data.split(name)) for name in ("validation", "test")}
        return {"before": before, "metric": self._metric}

    def network(self) -> nn.Module:
        """Return the embedder as a SentenceTransformer."""
        if self.settings.method == "lora":
            add_adapters(self.loaded.model, None, self.settings)
        network: nn.Module = SentenceTransformer(modules=[_Network(self.loaded)], device=device_name())
        return network

    def trainer(self, network: nn.Module, arguments: Mapping[str, Any]) -> Any:
        """Return sentence-transformers' Trainer for the training pairs and the chosen loss."""
        train = datasets.Dataset.from_dict(columns(self._data.train, self._scale))
        contrastive = self._loss_name == "multiple_negatives"
        settings = SentenceTransformerTrainingArguments(
            **arguments,
            # A text that is in two examples of a batch would be its own negative.
            batch_sampler=BatchSamplers.NO_DUPLICATES if contrastive else BatchSamplers.BATCH_SAMPLER,
            prompts={column: self._prompt(column) for column in _KINDS},
        )
        similarity, size = self.loaded.similarity, self.settings.batch_size
        self._plain_loss = make_loss(self._loss_name, network, similarity=similarity, batch_size=1)
        return _EmbedderTrainer(
            model=network,
            args=settings,
            train_dataset=train,
            eval_dataset=train,  # required by Trainer; `measure` is used instead
            loss=make_loss(self._loss_name, network, similarity=similarity, batch_size=size),
            callbacks=callbacks(self.settings),
        )

    def measure(self, network: Any) -> dict[str, float]:  # noqa: ARG002 (it contains the loaded model)
        """Return the loss and the metric of the loaded model's current weights on validation."""
        split, size = self._data.validation, self.settings.batch_size
        vectors = vectors_of(self.loaded, split)
        by_text = _by_text(split, vectors)
        batches = [
            Split(split.examples[start : start + size], split.source) for start in range(0, len(split), size)
        ]
        losses = [
            float(_loss_of(self._plain_loss, columns(batch, self._scale), by_text)) for batch in batches
        ]
        score = embedding_metrics(split, vectors, self.loaded.similarity)[self._metric]
        return {"loss": float(np.mean(losses)), SCORE: score}

    def merge(self, network: Any) -> float:  # noqa: ARG002
        """Merge adapters into the encoder; return the largest change of the vector of one validation text."""
        sample = self.loaded.batch(self.loaded.tokenize([self._data.validation.examples[0].anchor]))
        with torch.inference_mode(False):
            return merge_adapters(self.loaded.model, sample)

    def finish(self) -> LoadedEmbedder:
        """Return the embedder in evaluation mode."""
        self.loaded.model.eval()
        return self.loaded

    def _measured(self, split: Split[SimilarPair]) -> dict[str, Any]:
        return embedding_metrics(split, vectors_of(self.loaded, split), self.loaded.similarity)

    def _prompt(self, column: str) -> str:
        scored = self._data.facts["kind"] == "scored"
        return self.loaded.with_prompt_for(None if scored else _KINDS[column]).prefix


def vectors_of(loaded: LoadedEmbedder, split: Split[SimilarPair]) -> list[Vectors]:
    """Return the vectors of a split's texts for `embedding_metrics`, each text after the prompt of its kind."""
    return [compute_vectors(loaded, texts, kind) for kind, texts in texts_to_embed(split)]


def _by_text(split: Split[SimilarPair], vectors: Sequence[Vectors]) -> list[dict[str, Vectors]]:
    """Return two dicts from text to vector: the first for anchors, the second for positive and negative texts."""
    return [
        dict(zip(texts, found, strict=True))
        for (_, texts), found in zip(texts_to_embed(split), vectors, strict=True)
    ]


def _loss_of(loss: Any, batch: dict[str, Sequence[Any]], by_text: Sequence[dict[str, Vectors]]) -> Tensor:
    labels = torch.tensor(batch.get("score", []), dtype=torch.float32)
    embeddings = [
        torch.from_numpy(np.stack([by_text[0 if column == "anchor" else 1][text] for text in texts]))
        for column, texts in batch.items()
        if column != "score"
    ]
    with torch.inference_mode():
        found: Tensor = loss.compute_loss_from_embeddings(embeddings, labels)
    return found


class _Network(nn.Module):
    """An embedder as the first module of a SentenceTransformer; it shares the weights of `loaded`."""

    def __init__(self, loaded: LoadedEmbedder) -> None:
        super().__init__()
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self._loaded = loaded

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Tensor]:
        """Return the inputs of `forward` for the texts in `inputs`, each preceded by `prompt`."""
        return self._loaded.batch(replace(self._loaded, prefix=prompt or "").tokenize(inputs))

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Return `features` with the texts' vectors, float32 (batch, width), added as `sentence_embedding`."""
        inputs = {name: features[name] for name in self._loaded.input_names}
        return features | {"sentence_embedding": self.model(**inputs).float()}

    def get_embedding_dimension(self) -> int:
        """Return the number of dimensions of a vector."""
        return self.model.width


class _EmbedderTrainer(Measured, SentenceTransformerTrainer):  # type: ignore[misc]
    """sentence-transformers' Trainer with ftool's validation; checkpoints hold only weights and adapters."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002 (Trainer's own)
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / _WEIGHTS))

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        load_model(self.model, Path(checkpoint_path) / _WEIGHTS)

    def _load_best_model(
        self,
    ) -> None:  # the inherited method keeps the last weights if the best can't be read
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Do nothing, so that checkpoints contain no model card."""
