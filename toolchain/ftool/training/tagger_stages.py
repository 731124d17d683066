"""Training a tagger: all its weights, or adapters that are merged afterwards."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ftool.data.tagged_text import TaggedData
from ftool.recipe import TrainSettings
from ftool_export.tagger import LoadedTagger

from .lora import add_adapters, merge_adapters
from .tagger_objective import TrainedTagger, judged_texts, measure_on_validation
from .tagger_rows import TaggedRows, warn_of_entities
from .weights import finetune_weights


def train_tagger(
    loaded: LoadedTagger, data: TaggedData, settings: TrainSettings, folder: Path, resume_from: Path | None
) -> dict[str, Any]:
    """Fine-tune `loaded` in place, all weights or LoRA adapters; what happened as plain JSON.

    The F1 of entities on validation decides between checkpoints, which go to `folder`.
    """
    began = time.monotonic()
    rows = TaggedRows(loaded, data.train.examples)
    warn_of_entities(rows, "train")
    labelled = TaggedRows(loaded, data.validation.examples)
    if settings.method == "lora":
        add_adapters(loaded.model, loaded.model.head, settings)
    result = asdict(
        finetune_weights(
            TrainedTagger(loaded.model, settings.label_smoothing),
            rows,
            settings,
            measure=measure_on_validation(loaded, judged_texts(loaded, data.validation), labelled),
            folder=folder,
            resume_from=resume_from,
        )
    )
    loaded.model.eval()
    if settings.method == "lora":
        sample = rows.collate([rows[index] for index in range(min(4, len(rows)))])
        del sample["labels"]
        result["merge_difference"] = merge_adapters(loaded.model, sample)
    return result | {
        "windows": len(rows),
        "entities_cut": rows.cut,
        "words_without_token": rows.silent,
        "seconds": time.monotonic() - began,
    }
