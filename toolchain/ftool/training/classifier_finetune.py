"""A classifier with its loss, and how its validation texts measure it, in the form that training drives."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ftool.training.classifier_objective import Objective
from ftool.training.loop import SCORE
from ftool.training.losses import ClassificationLoss
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_logits
from ftool_export.networks.classifier import SequenceClassifier


class TrainedNetwork(nn.Module):
    """A classifier with its loss."""

    def __init__(self, model: SequenceClassifier, loss: ClassificationLoss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The batch's loss, float32 (), and logits, float32 (batch, labels)."""
        logits = self.model(input_ids, attention_mask, token_type_ids).float()
        return {"loss": self.loss(logits, labels), "logits": logits}


def measure_on_validation(
    loaded: LoadedClassifier, objective: Objective
) -> Callable[[nn.Module], dict[str, float]]:
    """The loss and the main metric on validation, of `loaded` as it is when asked; it is the network in training."""
    texts, targets = objective.data.validation.inputs, objective.targets("validation")

    def measure(_: nn.Module) -> dict[str, float]:
        logits = compute_logits(loaded, texts)
        loss = float(objective.loss(torch.from_numpy(logits), targets))
        return {"loss": loss, SCORE: objective.score(logits)}

    return measure
