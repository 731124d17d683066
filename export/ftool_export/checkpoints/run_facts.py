"""What run/ holds of every encoder, whatever its task: weights, tokenizer, and ftool's own facts in config.json."""

from pathlib import Path
from typing import Any

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.checkpoints.pretrained import quiet_transformers, read_licence

_FACTS = "ftool"  # the key in config.json that holds what Hugging Face has no field for


def save_encoder(loaded: LoadedEncoder, folder: Path, **facts: Any) -> None:
    """Write network and tokenizer into the existing, empty `folder`, as transformers' own classes load them.

    `facts` are what the task adds to those that every encoder has.
    """
    common = {
        "max_length": loaded.max_length,
        "prefix": loaded.prefix,
        "base": loaded.base,
        "licence": loaded.licence,
        "training_data": {"sha256": loaded.training_sha256, "examples": loaded.training_examples},
    }
    setattr(loaded.model.config, _FACTS, {**common, **facts})
    with quiet_transformers():
        loaded.model.encoder.save_pretrained(folder)  # type: ignore[operator]
    loaded.tokenizer.model_max_length = loaded.max_length
    loaded.tokenizer.backend_tokenizer.no_truncation()
    loaded.tokenizer.backend_tokenizer.no_padding()
    loaded.tokenizer.save_pretrained(folder)


def read_facts(config: Any) -> dict[str, Any]:
    """What `save_encoder` wrote; empty for checkpoints that ftool did not make."""
    return getattr(config, _FACTS, None) or {}


def origin(facts: dict[str, Any], source: str) -> dict[str, Any]:
    """Where a checkpoint comes from, as `LoadedEncoder` takes it: by its facts, or its model card."""
    training = facts.get("training_data") or {}
    return {
        "base": facts.get("base", source),
        "licence": facts["licence"] if "licence" in facts else read_licence(source),
        "training_sha256": training.get("sha256"),
        "training_examples": training.get("examples"),
    }
