"""A tagger's loss, and what its answers to a split are worth."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

from ftool.data.dataset import Split
from ftool.data.rows.tagged_text import TaggedText
from ftool.evaluation.metrics.entities import MAIN_METRIC, entity_f1
from ftool.training.loop import SCORE
from ftool.training.tagger_rows import IGNORED, TaggedRows
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.tagger import LoadedTagger
from ftool_export.examples.tagging import TaggingExamples
from ftool_export.networks.per_token import TokenTagger
from ftool_runtime.session.encoder_engine import Outputs


class TrainedTagger(nn.Module):
    """A tagger with its loss."""

    def __init__(self, model: TokenTagger, smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The batch's loss, float32 (), and logits, float32 (batch, sequence, labels)."""
        logits = self.model(input_ids, attention_mask, token_type_ids).float()
        loss = F.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, label_smoothing=self.smoothing
        )
        return {"loss": loss, "logits": logits}


def judged_texts(loaded: LoadedTagger, split: Split[TaggedText]) -> TaggingExamples:
    """A split's texts with the F1 of their entities, whatever network's outputs are judged on them."""
    truth = [one.tags for one in split.examples]
    return TaggingExamples(
        loaded=loaded,
        inputs=split.inputs,
        words=[one.words for one in split.examples],
        metric=MAIN_METRIC,
        scorer=partial(entity_f1, truth),
    )


def measure_on_validation(
    loaded: LoadedTagger, validation: TaggingExamples, labelled: TaggedRows
) -> Callable[[nn.Module], dict[str, float]]:
    """The loss and the F1 on validation, of `loaded` as it is when asked; it is the network in training.

    `labelled` are the validation's windows with their labels, in order.
    """
    rows = validation.rows

    def measure(_: nn.Module) -> dict[str, float]:
        outputs = compute_outputs(loaded, rows)
        return {"loss": _loss(outputs, labelled), SCORE: validation.score(outputs)}

    return measure


def _loss(outputs: Outputs, labelled: TaggedRows) -> float:
    """Mean cross-entropy of the tokens that carry a label."""
    logits = torch.from_numpy(np.concatenate(list(outputs)))
    labels = torch.cat([row.target for row in labelled.rows]).long()
    return float(F.cross_entropy(logits, labels, ignore_index=IGNORED))
