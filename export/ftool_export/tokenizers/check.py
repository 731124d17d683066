"""The comparison of the runtime's token ids with those of the checkpoint's own tokenizer, on probe texts."""

from typing import Any

from ftool_export.checkpoints.base import LoadedModel


def check_tokens(loaded: LoadedModel, model: Any) -> None:
    """Raise ExportError if the loaded bundle reads a probe text as other tokens than the checkpoint."""
