"""Fine-tuning an embedder's weights by sentence-transformers' Trainer and losses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_model, save_model
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.input_module import InputModule
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.training_args import (
    BatchSamplers,
    SentenceTransformerTrainingArguments,
)
from torch import Tensor

from ftool.data.dataset import Dataset as Examples
from ftool.data.dataset import Split
from ftool.data.rows.similarity import SimilarPair
from ftool.evaluation.metrics.embeddings import Vectors, embedding_metrics, judged_texts
from ftool.recipe.sections import TrainSettings
from ftool.training.embedder_loss import columns, loss_name, make_loss, score_scale
from ftool.training.hardware import device_name
from ftool.training.loop import (
    SCORE,
    FinetuneResult,
    Measure,
    Measured,
    callbacks,
    keep_best,
    trainer_arguments,
)
from ftool_export.checkpoints.embedder import LoadedEmbedder, compute_vectors
from ftool_export.checkpoints.embedder_layout import Kind

_WEIGHTS = "model.safetensors"  # in a checkpoint
_KINDS: Mapping[str, Kind] = {"anchor": "query", "positive": "passage", "negative": "passage"}


def finetune_embedder(
    loaded: LoadedEmbedder,
    data: Examples[SimilarPair],
    settings: TrainSettings,
    *,
    metric: str,
    folder: Path,
    resume_from: Path | None = None,
) -> FinetuneResult:
    """Train the network of `loaded` in place and leave in it the weights that scored best by `metric` on validation.

    Those handed in count too. Checkpoints go to `folder`. Raises TrainingError where data and loss don't fit, the
    loss is no longer a number, or the disk is full.
    """
    name, scale = loss_name(data.facts["kind"], settings), score_scale(data.train)
    network = SentenceTransformer(modules=[_Network(loaded)], device=device_name())
    train = Dataset.from_dict(columns(data.train, scale))
    contrastive = name == "multiple_negatives"
    arguments = SentenceTransformerTrainingArguments(
        **trainer_arguments(settings, len(train), folder),
        # The same text in two examples of a batch would be its own negative.
        batch_sampler=BatchSamplers.NO_DUPLICATES if contrastive else BatchSamplers.BATCH_SAMPLER,
        prompts={column: _prompt(loaded, column, data) for column in _KINDS},
    )
    similarity = loaded.similarity
    trainer = _EmbedderTrainer(
        model=network,
        args=arguments,
        train_dataset=train,
        eval_dataset=train,  # Trainer wants one; ours measures
        loss=make_loss(name, network, similarity=similarity, batch_size=settings.batch_size),
        callbacks=callbacks(settings),
    )
    trainer.train_lengths = [0] * len(train)  # how many count; sentence-transformers orders them
    plain = make_loss(name, network, similarity=similarity, batch_size=1)
    trainer.measure = _measure_on(
        loaded, data.validation, plain, metric=metric, scale=scale, batch_size=settings.batch_size
    )
    return keep_best(trainer, network, folder=folder, resume_from=resume_from)


def vectors_of(loaded: LoadedEmbedder, split: Split[SimilarPair]) -> list[Vectors]:
    """The vectors by which `embedding_metrics` judges the split, each text behind the prompt of its kind."""
    return [compute_vectors(loaded, texts, kind) for kind, texts in judged_texts(split)]


def _measure_on(
    loaded: LoadedEmbedder,
    split: Split[SimilarPair],
    loss: Any,
    *,
    metric: str,
    scale: tuple[float, float] | None,
    batch_size: int,
) -> Measure:
    """The loss and the metric on a split, of `loaded` as it is when asked; it is the network in training."""
    batches = [
        Split(split.examples[start : start + batch_size], split.source)
        for start in range(0, len(split), batch_size)
    ]

    def measure(_: Any) -> dict[str, float]:
        vectors = vectors_of(loaded, split)
        by_text = _by_text(split, vectors)
        found = [float(_loss_of(loss, columns(batch, scale), by_text)) for batch in batches]
        score = embedding_metrics(split, vectors, loaded.similarity)[metric]
        return {"loss": float(np.mean(found)), SCORE: score}

    return measure


def _by_text(split: Split[SimilarPair], vectors: Sequence[Vectors]) -> list[dict[str, Vectors]]:
    """Vectors by text: of queries, then of passages."""
    return [
        dict(zip(texts, found, strict=True))
        for (_, texts), found in zip(judged_texts(split), vectors, strict=True)
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


def _prompt(loaded: LoadedEmbedder, column: str, data: Examples[SimilarPair]) -> str:
    return loaded.of_kind(None if data.facts["kind"] == "scored" else _KINDS[column]).prefix


class _Network(InputModule):  # type: ignore[misc]
    """An embedder, tokenizer included, as sentence-transformers drives it; it shares the weights of `loaded`."""

    def __init__(self, loaded: LoadedEmbedder) -> None:
        super().__init__()
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self._loaded = loaded

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Tensor]:
        """What `forward` takes of texts, the prompt before each."""
        return self._loaded.batch(replace(self._loaded, prefix=prompt or "").tokenize(inputs))

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """`features` with the vectors, float32 (batch, width), under sentence-transformers' name for them."""
        inputs = {name: features[name] for name in self._loaded.input_names}
        return features | {"sentence_embedding": self.model(**inputs).float()}

    def get_embedding_dimension(self) -> int:
        """Numbers in a vector."""
        return self.model.width

    def save(self, *_: Any, **__: Any) -> None:
        """Never called: checkpoints hold weights alone, and what is trained is saved by `save_embedder`."""
        raise NotImplementedError


class _EmbedderTrainer(Measured, SentenceTransformerTrainer):  # type: ignore[misc]
    """sentence-transformers' Trainer with our measure, and checkpoints of the weights alone, adapters included."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002 (Trainer's own)
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / _WEIGHTS))

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        load_model(self.model, Path(checkpoint_path) / _WEIGHTS)

    def _load_best_model(self) -> None:  # theirs goes on with the last weights where the best can't be read
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Theirs writes a card into every checkpoint."""
