"""Generators with random weights, for small tasks and for languages without a checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from ftool.bases import resolve_base
from ftool.recipe.sections import SCRATCH, TrainSettings
from ftool.training.scratch.tokenizer import learn_tokenizer
from ftool_export.checkpoints.generator import LoadedGenerator

_MIN_POSITIONS = 1024  # of the decoder in an encoder-decoder with a position table


@dataclass(frozen=True, kw_only=True)
class Size:
    """The size of a network. Attention heads have a multiple of 8 dimensions, so that caches can grow in place."""

    width: int
    heads: int
    inner: int
    layers: int  # of the encoder and of the decoder each


SIZES: Final = {
    "tiny": Size(width=128, heads=4, inner=256, layers=2),
    "mini": Size(width=256, heads=8, inner=512, layers=4),
    "small": Size(width=512, heads=8, inner=1024, layers=6),
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """An architecture: the function that makes its configuration, and whether it has an encoder."""

    configure: Callable[[Size, int, float], PreTrainedConfig]  # size, positions, dropout
    encoder: bool


def _t5(size: Size, _positions: int, dropout: float) -> PreTrainedConfig:
    return T5Config(
        d_model=size.width,
        num_heads=size.heads,
        d_kv=size.width // size.heads,
        d_ff=size.inner,
        num_layers=size.layers,
        feed_forward_proj="gated-gelu",
        dropout_rate=dropout,
        decoder_start_token_id=0,
    )


def _bart(size: Size, positions: int, dropout: float) -> PreTrainedConfig:
    return BartConfig(
        d_model=size.width,
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        encoder_attention_heads=size.heads,
        decoder_attention_heads=size.heads,
        encoder_ffn_dim=2 * size.inner,
        decoder_ffn_dim=2 * size.inner,
        max_position_embeddings=positions,
        dropout=dropout,
        decoder_start_token_id=3,
        forced_eos_token_id=None,
    )


def _gpt2(size: Size, positions: int, dropout: float) -> PreTrainedConfig:
    return GPT2Config(
        n_embd=size.width,
        n_head=size.heads,
        n_layer=2 * size.layers,
        n_inner=2 * size.inner,
        n_positions=positions,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
    )


def _llama(size: Size, positions: int, dropout: float) -> PreTrainedConfig:
    return LlamaConfig(
        hidden_size=size.width,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads // 2,
        num_hidden_layers=2 * size.layers,
        intermediate_size=size.inner,
        max_position_embeddings=positions,
        attention_dropout=dropout,
        tie_word_embeddings=True,
    )


FAMILIES: Final = {
    "t5": Family(configure=_t5, encoder=True),
    "bart": Family(configure=_bart, encoder=True),
    "gpt2": Family(configure=_gpt2, encoder=False),
    "llama": Family(configure=_llama, encoder=False),
}


def create_scratch(
    base: str,
    task: str,
    *,
    sources: Sequence[str],
    targets: Sequence[str],
    chat: bool,
    settings: TrainSettings,
) -> LoadedGenerator:
    """Return a generator with random weights, seeded by `settings.seed`, and a tokenizer learnt from the texts.

    Args:
        base: the name of the architecture and size, such as scratch:t5-tiny.
        task: the task's name.
        sources: sources of pairs, prompts, or turns of conversations.
        targets: the texts that the model learns to write.
        chat: whether the texts are turns of conversations, so that the tokenizer needs a chat template.
        settings: the recipe's [train] table.

    Raises BaseError for an unknown `base`.
    """
    family, size = _find(base)
    longest = settings.max_length
    tokenizer = learn_tokenizer(
        [text for text in (*sources, *targets) if text],
        kind=settings.tokenizer,
        vocabulary_size=settings.vocabulary_size,
        max_length=longest,
        ends=family.encoder,
        chat=chat,
        exact=targets if family.encoder else sources,
    )
    positions = longest
    if family.encoder:
        positions = max(longest, settings.max_target_length, _MIN_POSITIONS)
    config = family.configure(size, positions, settings.dropout)
    _name_tokens(config, tokenizer)
    torch.manual_seed(settings.seed)
    auto: Any = AutoModelForSeq2SeqLM if family.encoder else AutoModelForCausalLM
    return LoadedGenerator(
        task=task,
        model=auto.from_config(config).eval(),
        tokenizer=tokenizer,
        max_length=longest,
        base=base,
    )


def _find(base: str) -> tuple[Family, Size]:
    name, _, size = resolve_base(base).removeprefix(SCRATCH).rpartition("-")
    return FAMILIES[name], SIZES[size]


def _name_tokens(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    config.vocab_size = len(tokenizer)
    config.pad_token_id = tokenizer.pad_token_id
    config.eos_token_id = tokenizer.eos_token_id
    config.bos_token_id = tokenizer.bos_token_id
