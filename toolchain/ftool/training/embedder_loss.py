"""Losses for embedders, from sentence-transformers, selected by the recipe or by the kind of data."""

from collections.abc import Sequence
from typing import Any

from sentence_transformers.sentence_transformer import losses
from sentence_transformers.util import cos_sim, dot_score

from ftool.data.dataset import Split
from ftool.data.rows.similarity import SimilarityKind, SimilarPair, kind_of, scores_of
from ftool.errors import TrainingError
from ftool.recipe.sections import TrainSettings

# To save memory, larger batches compute their activations twice, in parts.
_MAX_UNCACHED = 64  # examples
_CACHED_PART = 32  # examples
_TRIPLET_MARGIN = 0.3  # of cosine distances, which go from 0 to 2
_FITTING: dict[SimilarityKind, tuple[str, ...]] = {
    "pairs": ("multiple_negatives",),
    "triplets": ("multiple_negatives", "triplet"),
    "scored": ("cosent", "cosine"),
}
_PER_EXAMPLE = ("triplet", "cosine")  # losses that don't compare the examples of a batch


def loss_name(kind: SimilarityKind, settings: TrainSettings) -> str:
    """Return the name of the loss that the recipe sets; for "auto", the default loss for data of `kind`.

    Raises TrainingError if the loss can't learn from data of `kind`, or if it compares the examples of a batch but the
    recipe trains on single examples.
    """
    fitting = _FITTING[kind]
    name = fitting[0] if settings.loss == "auto" else settings.loss
    if name not in fitting:
        raise TrainingError(
            f"train.loss {name!r} can't learn from {kind}; set it to auto or {' or '.join(fitting)}"
        )
    if settings.samples == "single" and name not in _PER_EXAMPLE:
        remedy = next((f', or train.loss to "{other}"' for other in fitting if other in _PER_EXAMPLE), "")
        raise TrainingError(
            f"the loss {name} compares examples of a batch, but train.samples is single; "
            f'set it to "multi"{remedy}'
        )
    return name


def make_loss(name: str, model: Any, *, similarity: str, batch_size: int) -> Any:
    """Return the sentence-transformers loss called `name` for `model`, a SentenceTransformer.

    multiple_negatives: van den Oord et al. 2018; batches of more than 64 examples are computed in parts, as in Gao et
    al. 2021. triplet: Schroff et al. 2015, on cosine distances. cosent: Su 2022. cosine: the mean square error of the
    cosine similarity.
    """
    if name == "multiple_negatives":
        by = (
            {"similarity_fct": cos_sim}
            if similarity == "cosine"
            else {"similarity_fct": dot_score, "scale": 1.0}
        )
        if batch_size > _MAX_UNCACHED:
            return losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=_CACHED_PART, **by)
        return losses.MultipleNegativesRankingLoss(model, **by)
    if name == "triplet":
        distance = losses.TripletDistanceMetric.COSINE
        return losses.TripletLoss(model, distance_metric=distance, triplet_margin=_TRIPLET_MARGIN)
    return losses.CoSENTLoss(model) if name == "cosent" else losses.CosineSimilarityLoss(model)


def columns(split: Split[SimilarPair], scale: tuple[float, float] | None) -> dict[str, Sequence[Any]]:
    """Return the split as columns for sentence-transformers. Scores are mapped from the range `scale` to 0 .. 1."""
    table: dict[str, Sequence[Any]] = {
        "anchor": [example.anchor for example in split.examples],
        "positive": [example.positive for example in split.examples],
    }
    if kind_of(split) == "triplets":
        table["negative"] = [example.negative for example in split.examples]
    if scale is not None:
        low, high = scale
        table["score"] = [(score - low) / (high - low) for score in scores_of(split)]
    return table


def score_scale(train: Split[SimilarPair]) -> tuple[float, float] | None:
    """Return the lowest and the highest score (never equal) of the training data; None if the data has no scores."""
    scores = scores_of(train)
    return (min(scores), max(scores)) if scores else None
