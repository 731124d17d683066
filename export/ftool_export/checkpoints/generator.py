"""Models that generate text: read from any checkpoint, and written to run/."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedModel

from ftool_export.checkpoints.base import LoadedModel, longest_input, origin, read_facts
from ftool_export.checkpoints.pretrained import read_config, read_weights
from ftool_export.errors import CheckpointError
from ftool_export.tokenizers.source import read_tokenizer
from ftool_runtime.bundle.manifest import GenerationContract, InputContract, Languages

GENERATION_TASKS: Final = ("summarization", "translation", "text-generation")


@dataclass(frozen=True, kw_only=True)
class LoadedGenerator(LoadedModel):
    """A generator's checkpoint.

    Attributes:
        max_length: encoder-decoders: tokens of a source, special ones included; decoders: tokens of prompt and answer.
        prefix: text put before every source.
        languages: the languages of a translator that needs them; otherwise None.
    """

    model: PreTrainedModel
    languages: Languages | None = None

    @property
    def family(self) -> str:
        """ "encoder-decoder" or "decoder"."""
        return "encoder-decoder" if self.model.config.is_encoder_decoder else "decoder"

    @property
    def generation_config(self) -> GenerationConfig:
        """The checkpoint's generation settings."""
        assert self.model.generation_config is not None
        return self.model.generation_config

    def reference_ids(self, given: Any) -> list[list[int]] | None:
        """The token ids of a source or prompt, in which special tokens are split.

        None for a text that spells a special token which is a word of the vocabulary too, as the runtime takes its
        letters; and for prompts past half the context, which it cuts by the room that their answer needs.
        """
        cut = {} if self.family == "decoder" else {"truncation": True, "max_length": self.max_length}
        encoded = self.tokenizer(
            self.prefix + given,
            split_special_tokens=True,
            return_special_tokens_mask=True,
            verbose=False,
            **cut,
        )
        ids, special = encoded["input_ids"], set(self.tokenizer.all_special_ids)
        added = encoded.encodings[0].special_tokens_mask
        spelled = any(i in special and not flag for i, flag in zip(ids, added, strict=True))
        too_long = self.family == "decoder" and len(ids) > self.max_length // 2
        return (
            None
            if too_long or (spelled and any(t in given for t in self.tokenizer.all_special_tokens))
            else [ids]
        )

    def input_contract(self, names: Sequence[str]) -> InputContract:
        """Return the manifest's description of sources or prompts, in which no text becomes a special token."""
        contract = super().input_contract(names)
        return replace(contract, truncation_side=self.truncation_side, split_special_tokens=True)

    @property
    def truncation_side(self) -> Literal["left", "right"]:
        """The side on which long texts are cut: the tokenizer's for sources, the left for prompts."""
        cuts_left = self.family == "decoder" or self.tokenizer.truncation_side == "left"
        return "left" if cuts_left else "right"

    @property
    def decoder_limit(self) -> int | None:
        """The most tokens of a decoder's row, its prompt included; None if relative positions set no limit."""
        if self.family == "decoder":
            return self.max_length
        positions = getattr(self.config, "max_position_embeddings", None)
        return int(positions) if positions else None

    def generation_contract(self, caches: str) -> GenerationContract:
        """The manifest's account of how the decoder's graph is run; `caches` are "in_place" or "joined"."""
        return GenerationContract(
            family=self.family, caches=caches, max_length=self.decoder_limit, languages=self.languages
        )

    def facts(self) -> dict[str, Any]:
        """The facts of every checkpoint, and a translator's languages."""
        return {**super().facts(), "languages": asdict(self.languages) if self.languages else None}

    def write_files(self, folder: Path) -> None:
        """Write Hugging Face's files of a bundle, generation_config.json included. Raises OSError."""
        super().write_files(folder)
        self.generation_config.save_pretrained(folder)


def load_generator(source: str | Path, task: str) -> LoadedGenerator:
    """The model in a run/ folder or in any Hugging Face checkpoint, a folder or a hub id.

    Raises CheckpointError if there is none, or it is of another kind than the task needs.
    """
    source = str(source)
    config = read_config(source)
    facts = read_facts(config)
    decoder = task == "text-generation"
    if decoder and config.is_encoder_decoder:
        raise CheckpointError(
            f"{source}: {config.model_type} is an encoder-decoder; {task} takes decoders such as GPT-2 or Llama, and "
            "summarization and translation take this one"
        )
    if not decoder and not config.is_encoder_decoder:
        raise CheckpointError(
            f"{source}: {config.model_type} is not an encoder-decoder, which {task} needs; take a T5, BART or Marian"
        )
    model, fresh = read_weights(AutoModelForCausalLM if decoder else AutoModelForSeq2SeqLM, source, config)
    assert isinstance(model, PreTrainedModel)
    if fresh:
        raise CheckpointError(
            f"{source} has no trained weights for {', '.join(fresh[:3])}; train it: ftool train"
        )
    tokenizer = read_tokenizer(source, config)
    return LoadedGenerator(
        task=task,
        model=model.eval(),
        tokenizer=tokenizer,
        max_length=facts.get("max_length") or longest_input(model, tokenizer),
        prefix=facts.get("prefix", ""),
        languages=Languages(**facts["languages"]) if facts.get("languages") else None,
        **origin(facts, source),
    )
