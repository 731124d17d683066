"""Tiny generators of many architectures with random weights, and a tokenizer for all of them."""

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast

from ftool_export.checkpoints.generator import LoadedGenerator

VOCABULARY = 200
POSITIONS = 96

_WORDS = [
    "[PAD]",
    "[START]",
    "[END]",
    "[UNK]",
    "the",
    "it",
    "what",
    "turn",
    "off",
    "shop",
    "open",
    "time",
    "my",
    "but",
]
_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}

_DECODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
}
_GROUPED = {**_DECODER, "num_key_value_heads": 2}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": POSITIONS,
    "decoder_start_token_id": 2,
}

# By name: the model type and its configuration.
GENERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("t5", _T5),
    "mt5": ("mt5", _T5),
    "t5-gated": ("t5", {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "bart": ("bart", _BART),
    "mbart": ("mbart", _BART),
    "marian": ("marian", {**_BART, "decoder_start_token_id": 0}),
    "pegasus": ("pegasus", {**_BART, "decoder_start_token_id": 0}),
    "m2m_100": ("m2m_100", _BART),
    "gpt2": ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}),
    "gpt_neo": (
        "gpt_neo",
        {
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
            "intermediate_size": 64,
            "max_position_embeddings": POSITIONS,
        },
    ),
    "opt": ("opt", {**_DECODER, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    "opt-post-norm": (
        "opt",
        {**_DECODER, "ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    ),
    "llama": ("llama", _GROUPED),
    "mistral": ("mistral", {**_GROUPED, "sliding_window": 4}),
    "qwen2": ("qwen2", _GROUPED),
    "qwen3": ("qwen3", {**_GROUPED, "head_dim": 16}),
    "gemma": ("gemma", {**_GROUPED, "head_dim": 16}),
    "gemma2": ("gemma2", {**_GROUPED, "head_dim": 16, "sliding_window": 4, "attn_logit_softcapping": 2.0}),
    "cohere": ("cohere", _GROUPED),
    "phi": ("phi", {**_DECODER, "partial_rotary_factor": 0.5}),
}


def tiny_generator(name: str, **changes: Any) -> LoadedGenerator:
    """Return a tiny generator with the architecture `name`; `changes` are changes to its configuration.

    Its random weights are larger than those of a newly initialised model, so that its answers vary.
    """
    kind, settings = GENERATORS[name]
    config = AutoConfig.for_model(kind, **{"vocab_size": VOCABULARY, **_IDS, **settings, **changes})
    torch.manual_seed(0)
    auto_class = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = auto_class.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(3)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return LoadedGenerator(
        task="translation" if config.is_encoder_decoder else "text-generation",
        model=model,
        tokenizer=_tokenizer(),
        max_length=POSITIONS,
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    """Return a word tokenizer, whose ids are far below the size of the models' vocabulary."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(_WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        bos_token="[START]",
        eos_token="[END]",
        unk_token="[UNK]",
        model_max_length=POSITIONS,
    )
