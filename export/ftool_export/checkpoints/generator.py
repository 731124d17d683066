"""Generators: read them from any checkpoint, save them, and describe them for the manifest."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedModel

from ftool_export.checkpoints.base import LoadedModel, longest_input, origin_fields, read_facts
from ftool_export.checkpoints.pretrained import read_config, require_task
from ftool_export.checkpoints.weights import read_weights
from ftool_export.errors import CheckpointError
from ftool_export.tokenizers.source import read_tokenizer
from ftool_runtime.bundle.manifest import GenerationContract, InputContract, Languages
from ftool_runtime.bundle.paths import GENERATION_CONFIG_FILE
from ftool_runtime.decoding.config_checks import check
from ftool_runtime.errors import InputError

log = logging.getLogger(__name__)

_OF_SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "top_h",
    "epsilon_cutoff",
    "eta_cutoff",
)


@dataclass(frozen=True, kw_only=True)
class LoadedGenerator(LoadedModel):
    """The checkpoint of a generator.

    Attributes:
        max_length: the largest number of tokens: of a source for encoder-decoders, of prompt and answer together for
            decoders.
        prefix: text to put before every source.
        languages: the languages that a translator is set to, and the tokens or prefixes that select a language; None
            for other models.
    """

    model: PreTrainedModel
    languages: Languages | None = None

    @property
    def family(self) -> str:
        """The architecture's family: "encoder-decoder" or "decoder"."""
        return "encoder-decoder" if self.model.config.is_encoder_decoder else "decoder"

    @property
    def generation_config(self) -> GenerationConfig:
        """The checkpoint's generation settings, from generation_config.json."""
        assert self.model.generation_config is not None
        return self.model.generation_config

    def reference_ids(self, given: Any) -> list[list[int]] | None:
        """Return the token ids of a source or prompt as a list of one row, from transformers' tokenizer.

        Names of special tokens are split like other text. The result is None in two cases, in which the runtime
        tokenises differently on purpose: the text contains the name of a special token that is also an ordinary entry
        of the vocabulary (the runtime splits the name into characters), or a prompt is longer than half the context
        (the runtime cuts the prompt to leave room for the answer).
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
        """Return the manifest's record of how texts become the graph's inputs.

        No part of a text becomes a special token.
        """
        contract = super().input_contract(names)
        return replace(contract, truncation_side=self.truncation_side, split_special_tokens=True)

    @property
    def truncation_side(self) -> Literal["left", "right"]:
        """The side on which long texts are cut: the tokenizer's truncation side for sources, the left for prompts."""
        cuts_left = self.family == "decoder" or self.tokenizer.truncation_side == "left"
        return "left" if cuts_left else "right"

    @property
    def start_token(self) -> int:
        """The id of the token with which the decoder of an encoder-decoder starts."""
        start = self.generation_config.decoder_start_token_id
        if start is None:
            start = self.config.decoder_start_token_id
        return int(start[0] if isinstance(start, list) else start)

    @property
    def decoder_limit(self) -> int | None:
        """The largest number of tokens that the decoder can hold, prompt included; None for relative positions."""
        if self.family == "decoder":
            return self.max_length
        positions = getattr(self.config, "max_position_embeddings", None)
        return int(positions) if positions else None

    def generation_contract(self, caches: Any) -> GenerationContract:
        """Return the manifest's record of how to run the decoder's graph, whose `caches` are "in_place" or "joined"."""
        return GenerationContract(
            family=self.family, caches=caches, max_length=self.decoder_limit, languages=self.languages
        )

    def facts(self) -> dict[str, Any]:
        """Return the facts in `LoadedModel.facts`, and the languages of a translator."""
        return {**super().facts(), "languages": asdict(self.languages) if self.languages else None}

    def save(self, folder: Path) -> None:
        """Write network, tokenizer and generation settings as `LoadedModel.save` does."""
        settings, self.model.generation_config = self.generation_config, GenerationConfig()
        try:  # transformers would refuse to save a temperature without sampling
            super().save(folder)
        finally:
            self.model.generation_config = settings
        self._write_settings(folder)

    def write_files(self, folder: Path) -> None:
        """Write a bundle's files in Hugging Face's format, generation_config.json included. Raises OSError."""
        super().write_files(folder)
        self._write_settings(folder)

    def _write_settings(self, folder: Path) -> None:
        self.generation_config.to_json_file(folder / GENERATION_CONFIG_FILE, use_diff=True)


def load_generator(source: str | Path, task: str) -> LoadedGenerator:
    """Load a generator from a run/ folder, or from any Hugging Face checkpoint (a folder or hub id).

    Raises CheckpointError if there is no model, or the model is a decoder but `task` needs an encoder-decoder, or the
    other way round.
    """
    source = str(source)
    config = read_config(source)
    facts = read_facts(config)
    decoder = task == "text-generation"
    if decoder and config.is_encoder_decoder:
        raise CheckpointError(
            f"{source}: {config.model_type} is an encoder-decoder; {task} takes decoders such as GPT-2 or Llama; use "
            "this one for summarization or translation"
        )
    if not decoder and not config.is_encoder_decoder:
        raise CheckpointError(
            f"{source}: {config.model_type} is not an encoder-decoder, which {task} needs; choose a T5, BART or Marian"
        )
    require_task(source, config, task)
    model, missing = read_weights(AutoModelForCausalLM if decoder else AutoModelForSeq2SeqLM, source, config)
    assert isinstance(model, PreTrainedModel)
    if missing:
        raise CheckpointError(
            f"{source} has no trained weights for {', '.join(missing[:3])}; train it: ftool train"
        )
    _drop_unused_settings(source, model.generation_config)
    tokenizer = read_tokenizer(source, config)
    return LoadedGenerator(
        task=task,
        model=model.eval(),
        tokenizer=tokenizer,
        max_length=facts.get("max_length") or longest_input(model, tokenizer),
        prefix=facts.get("prefix", ""),
        languages=Languages(**facts["languages"]) if facts.get("languages") else None,
        **origin_fields(facts, source),
    )


def _drop_unused_settings(source: str, settings: Any) -> None:
    """Remove settings that only sampling reads from `settings`, if nothing is sampled and the runtime refuses them.

    An example is a temperature of 0 beside `"do_sample": false`.
    """
    if settings.do_sample:
        return
    for name in _OF_SAMPLING:
        value = getattr(settings, name, None)
        try:
            check(name, value)
        except InputError:
            log.warning(
                "%s: %s %r in generation_config.json is left out, because do_sample is false",
                source,
                name,
                value,
            )
            setattr(settings, name, None)
