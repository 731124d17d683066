"""A model that generates text, with all it needs: read from any checkpoint, written to run/."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedModel

from ftool_export.checkpoints.pretrained import (
    quiet_transformers,
    read_config,
    read_licence,
    read_tokenizer,
    read_weights,
)
from ftool_export.errors import CheckpointError
from ftool_runtime.bundle.manifest import Languages

GENERATION_TASKS: Final = ("summarization", "translation", "text-generation")

_FACTS = "ftool"  # the key in config.json that holds what Hugging Face has no field for


@dataclass(frozen=True, kw_only=True)
class LoadedGenerator:
    """A network in evaluation mode and float32, with its tokenizer and what else run/ records.

    Attributes:
        task: "summarization", "translation" or "text-generation".
        max_length: encoder-decoders: tokens of a source, special ones included; decoders: tokens of prompt and answer.
        prefix: goes before every source.
        languages: of translators that are told their languages.
        base: what it was trained from.
    """

    task: str
    model: PreTrainedModel
    tokenizer: Any  # a fast Hugging Face tokenizer
    max_length: int
    prefix: str = ""
    languages: Languages | None = None
    base: str = ""
    licence: str | None = None
    training_sha256: str | None = None
    training_examples: int | None = None

    @property
    def family(self) -> str:
        """ "encoder-decoder" or "decoder"."""
        return "encoder-decoder" if self.model.config.is_encoder_decoder else "decoder"

    @property
    def generation_config(self) -> GenerationConfig:
        """How the checkpoint wants text to be generated."""
        assert self.model.generation_config is not None
        return self.model.generation_config


def load_generator(source: str | Path, task: str) -> LoadedGenerator:
    """The model in a run/ folder or in any Hugging Face checkpoint, a folder or a hub id.

    Raises CheckpointError where there is none, or it is of another kind than the task needs.
    """
    source = str(source)
    config = read_config(source)
    facts: dict[str, Any] = getattr(config, _FACTS, None) or {}
    decoder = task == "text-generation"
    if decoder and config.is_encoder_decoder:
        raise CheckpointError(
            f"{source}: {config.model_type} is an encoder-decoder; {task} takes decoders such as GPT-2 or Llama, and "
            "summarization and translation take this one"
        )
    if not decoder and not config.is_encoder_decoder:
        raise CheckpointError(
            f"{source}: {config.model_type} is no encoder-decoder, which {task} needs; take a T5, BART or Marian"
        )
    model, fresh = read_weights(AutoModelForCausalLM if decoder else AutoModelForSeq2SeqLM, source, config)
    assert isinstance(model, PreTrainedModel)
    if fresh:
        raise CheckpointError(
            f"{source} has no trained weights for {', '.join(fresh[:3])}; train it: ftool train"
        )
    tokenizer = read_tokenizer(source, config)
    training = facts.get("training_data") or {}
    return LoadedGenerator(
        task=task,
        model=model.eval(),
        tokenizer=tokenizer,
        max_length=facts.get("max_length") or longest_input(config, tokenizer),
        prefix=facts.get("prefix", ""),
        languages=Languages(**facts["languages"]) if facts.get("languages") else None,
        base=facts.get("base", source),
        licence=facts["licence"] if "licence" in facts else read_licence(source),
        training_sha256=training.get("sha256"),
        training_examples=training.get("examples"),
    )


def save_generator(loaded: LoadedGenerator, folder: Path) -> None:
    """Write `loaded` into the existing, empty `folder` in Hugging Face's layout, so that it loads without ftool."""
    facts = {
        "task": loaded.task,
        "max_length": loaded.max_length,
        "prefix": loaded.prefix,
        "languages": asdict(loaded.languages) if loaded.languages else None,
        "base": loaded.base,
        "licence": loaded.licence,
        "training_data": {"sha256": loaded.training_sha256, "examples": loaded.training_examples},
    }
    setattr(loaded.model.config, _FACTS, facts)
    with quiet_transformers():
        loaded.model.save_pretrained(folder)
    loaded.tokenizer.backend_tokenizer.no_truncation()
    loaded.tokenizer.backend_tokenizer.no_padding()
    loaded.tokenizer.save_pretrained(folder)


def decoder_limit(loaded: LoadedGenerator) -> int | None:
    """Tokens that a decoder's row can hold, its prompt included; None where positions are relative, without limit."""
    if loaded.family == "decoder":
        return loaded.max_length
    positions = getattr(loaded.model.config, "max_position_embeddings", None)
    return int(positions) if positions else None


def longest_input(config: Any, tokenizer: Any) -> int:
    """Tokens at most, by the tokenizer and the table of positions; 512 where neither says; T5 was trained on 512."""
    limits = [int(tokenizer.model_max_length)]  # 1e30 where unknown
    for name in ("max_position_embeddings", "n_positions"):
        positions = getattr(config, name, None)
        if positions:
            limits.append(int(positions))
    return min(limits) if min(limits) < 1_000_000 else 512
