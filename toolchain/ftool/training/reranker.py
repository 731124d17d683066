"""Train rerankers: whether a document is relevant to a query, learnt from both as one input."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.ranking import RankedQuery, labelled_pairs
from ftool.evaluation.metrics.ranking import metrics_of_order
from ftool.recipe.sections import TrainSettings
from ftool.training.classifier import ClassifierObjective
from ftool.training.hard_negatives import sampled
from ftool.training.losses import ClassificationLoss
from ftool_export.checkpoints.classifier import LoadedClassifier
from ftool_export.checkpoints.classifier_config import write_sigmoid

NEGATIVES: Final = 4  # irrelevant documents that are learnt from beside each relevant one


class RerankerObjective(ClassifierObjective):
    """Binary cross-entropy of a document's relevance; the order of validation's documents selects the weights.

    While it trains, the network gives logits. The finished reranker gives probabilities, as sentence-transformers'
    CrossEncoder does (Nogueira and Cho 2019, Passage Re-ranking with BERT; Reimers and Gurevych 2019).
    """

    def __init__(
        self,
        loaded: LoadedClassifier,
        data: Dataset[RankedQuery],
        splits: Mapping[str, Split[RankedQuery]],
        settings: TrainSettings,
        metric: str,
    ) -> None:
        """Prepare to train `loaded` on `splits`, which have each query's candidates; `metric` selects the weights."""
        loaded.model.sigmoid = False
        self._queries, self._metric = splits["validation"].examples, metric
        largest = max(relevance for one in data.train.examples for relevance in one.relevances)
        train = sampled(splits["train"], NEGATIVES, settings.seed)
        pairs = Dataset(
            splits={
                "train": labelled_pairs(train, largest),
                "validation": labelled_pairs(splits["validation"], largest),
            },
            facts=data.facts,
            sha256=data.sha256,
        )
        super().__init__(loaded, pairs, settings)

    def loss_of(self, settings: TrainSettings) -> ClassificationLoss:
        """Return the loss: of one output, whether it applies."""
        return ClassificationLoss(multi_label=True, smoothing=settings.label_smoothing)

    def finish(self) -> LoadedClassifier:
        """Return the reranker, whose output is a probability."""
        loaded = super().finish()
        loaded.model.sigmoid = True
        write_sigmoid(loaded.config)
        return loaded

    def _score(self, logits: NDArray[np.float32]) -> float:
        return float(metrics_of_order(self._queries, logits[:, 0])[self._metric])
