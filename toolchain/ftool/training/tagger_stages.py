"""Training a tagger: all its weights, or adapters that are merged afterwards."""

from pathlib import Path
from typing import Any

from ftool.data.dataset import Dataset
from ftool.data.rows.tagged_text import TaggedText
from ftool.recipe.sections import TrainSettings
from ftool.training.encoder_finetune import train_encoder
from ftool.training.tagger_objective import TrainedTagger, judged_texts, measure_on_validation
from ftool.training.tagger_rows import TaggedRows, warn_of_entities
from ftool_export.checkpoints.tagger import LoadedTagger


def train_tagger(
    loaded: LoadedTagger,
    data: Dataset[TaggedText],
    settings: TrainSettings,
    folder: Path,
    resume_from: Path | None,
) -> dict[str, Any]:
    """Fine-tune `loaded` in place, all weights or LoRA adapters; what happened as plain JSON.

    The F1 of entities on validation decides between checkpoints, which go to `folder`.
    """
    rows = TaggedRows(loaded, data.train.examples)
    warn_of_entities(rows, "train")
    labelled = TaggedRows(loaded, data.validation.examples)
    happened = train_encoder(
        TrainedTagger(loaded.model, settings.label_smoothing),
        loaded.model,
        loaded.model.head,
        rows,
        settings,
        measure=measure_on_validation(loaded, judged_texts(loaded, data.validation), labelled),
        folder=folder,
        resume_from=resume_from,
    )
    counts = {"windows": len(rows), "entities_cut": rows.cut, "words_without_token": rows.silent}
    return happened | counts
