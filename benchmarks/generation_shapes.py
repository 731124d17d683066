"""Make checkpoints with random weights in the sizes of known models."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """The size of a known model; `make` creates a model of this size with random weights."""

    task: str
    tokenizer: str  # name of the folder with its vocabulary
    vocabulary: int
    make: Callable[[], Any]


def _gpt2_small() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config())


def _t5_small() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=32128,
            d_model=512,
            d_kv=64,
            d_ff=2048,
            num_layers=6,
            num_heads=8,
            decoder_start_token_id=0,
        )
    )


def _marian_base() -> Any:
    from transformers import MarianConfig, MarianMTModel

    return MarianMTModel(
        MarianConfig(
            vocab_size=58101, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
            decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=1024,
            activation_function="swish", static_position_embeddings=True, scale_embedding=True, pad_token_id=0,
            eos_token_id=1, decoder_start_token_id=0, forced_eos_token_id=None, tie_word_embeddings=True,
        )
    )  # fmt: skip


SHAPES = {
    "gpt2-small": Shape(task="text-generation", tokenizer="gpt2", vocabulary=50257, make=_gpt2_small),
    "t5-small": Shape(task="translation", tokenizer="t5-small", vocabulary=32100, make=_t5_small),
    "marian-base": Shape(task="translation", tokenizer="t5-small", vocabulary=32100, make=_marian_base),
}


def make_checkpoint(name: str, folder: Path, tokenizers: Path) -> Path:
    """Create a checkpoint of the shape `name` in `folder` unless the folder exists; return the folder."""
    if not folder.exists():
        import torch
        from transformers import AutoTokenizer, GPT2TokenizerFast

        torch.manual_seed(0)
        shape = SHAPES[name]
        source = tokenizers / shape.tokenizer
        kind = GPT2TokenizerFast if shape.tokenizer == "gpt2" else AutoTokenizer
        kind.from_pretrained(source).save_pretrained(folder)
        shape.make().save_pretrained(folder)
    return folder
