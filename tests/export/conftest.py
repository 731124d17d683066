"""Fixtures: tiny random checkpoints of many architectures with a working tokenizer, made once per test session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.generators import tiny_generator
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.graph.graphs import Graphs
from ftool_export.passes import PassSettings
from ftool_export.pipeline import capture_source

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [
    "turn",
    "the",
    "lights",
    "off",
    "on",
    "play",
    "some",
    "music",
    "now",
    "please",
    "stop",
    "and",
    "louder",
    "timer",
    "for",
    "ten",
    "minutes",
    "open",
    "file",
]
VOCABULARY = [*SPECIAL, *WORDS]
TEXTS = [
    "stop",
    "turn the lights off",
    "play some music now",
    "open the file",
    "timer for ten minutes please",
    "turn the music off and play some music louder and louder now please",
    "stop the timer for the lights and open some file now and turn the lights on for ten minutes please",
]
LABELS = ["lights", "music", "timer", "files", "none"]
MAX_LENGTH = 32

# Weights of tiny networks are below the sizes from which quantisation pays; these settings take them all the same.
TINY = PassSettings(smallest=512, smallest_table=512)

_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": MAX_LENGTH,
}
_OFFSET = {**_ENCODER, "max_position_embeddings": MAX_LENGTH + 2}  # positions start after the padding's
_DECODER = {**_ENCODER, "num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": _ENCODER,
    "distilbert": {
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 64,
        "max_position_embeddings": MAX_LENGTH,
    },
    "roberta": _OFFSET,
    "xlm-roberta": _OFFSET,
    "electra": {**_ENCODER, "embedding_size": 16},
    "albert": {**_ENCODER, "embedding_size": 16},
    "mpnet": _OFFSET,
    "deberta-v2": {
        **_ENCODER,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "share_att_key": True,
        "position_biased_input": False,
    },
    # a window of 4 tokens each way, narrower than the texts, in one layer of the two
    "modernbert": {
        **_ENCODER,
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
    },
    # its convolutions of 9 tokens run over the padding of a batch
    "convbert": {**_ENCODER, "embedding_size": 32, "head_ratio": 2, "conv_kernel_size": 9},
    "fnet": {name: size for name, size in _ENCODER.items() if name != "num_attention_heads"},
    "funnel": {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64, "block_sizes": [1, 1]},
    "nystromformer": {**_ENCODER, "num_landmarks": 8, "segment_means_seq_len": MAX_LENGTH},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
    "gpt2": {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": MAX_LENGTH,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
    "llama": _DECODER,
    "mistral": {**_DECODER, "sliding_window": 4},
}

WriteCheckpoint = Callable[..., Path]


def make_tokenizer(*, first_type: int = 0, token_types: bool = True) -> PreTrainedTokenizerFast:
    """A word tokenizer; `first_type` is the token type that it gives a single text, where it gives types at all."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"[CLS]:{first_type} $A:{first_type} [SEP]:{first_type}",
        pair=f"[CLS]:{first_type} $A:{first_type} [SEP]:{first_type} $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", *(["token_type_ids"] if token_types else []), "attention_mask"],
    )


@pytest.fixture(scope="session")
def write_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> WriteCheckpoint:
    """Writes a tiny random model with a head, and hands back its folder; the same one for the same arguments."""
    written: dict[tuple[Any, ...], Path] = {}

    def write(
        architecture: str,
        *,
        head: Any = AutoModelForSequenceClassification,
        first_type: int = 0,
        token_types: bool = True,
        multi_label: bool = False,
        **changes: Any,
    ) -> Path:
        key = (architecture, head, first_type, token_types, multi_label, repr(sorted(changes.items())))
        if key not in written:
            folder = tmp_path_factory.mktemp(architecture)
            config = AutoConfig.for_model(
                architecture,
                **{
                    "vocab_size": len(VOCABULARY),
                    "pad_token_id": 0,
                    **ARCHITECTURES.get(architecture, {}),
                    "id2label": dict(enumerate(LABELS)),
                    "label2id": {label: i for i, label in enumerate(LABELS)},
                    "problem_type": "multi_label_classification" if multi_label else None,
                    **changes,
                },
            )
            torch.manual_seed(0)
            model = head.from_config(config)
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=0.3)  # so that answers differ from text to text
            model.save_pretrained(folder)
            make_tokenizer(first_type=first_type, token_types=token_types).save_pretrained(folder)
            written[key] = folder
        return written[key]

    return write


@pytest.fixture(scope="session")
def bert(write_checkpoint: WriteCheckpoint) -> Path:
    """The checkpoint that most tests use."""
    return write_checkpoint("bert")


@pytest.fixture(scope="session")
def tiny() -> PassSettings:
    """Pass settings that quantise tiny networks too."""
    return TINY


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Texts of all lengths, in the tiny tokenizer's words."""
    return list(TEXTS)


@pytest.fixture(scope="session")
def capture_of(
    write_checkpoint: WriteCheckpoint, tiny: PassSettings, texts: list[str]
) -> Callable[..., Graphs]:
    """A tiny checkpoint, captured and tidied: seconds each, so once a session for the same arguments."""
    captured: dict[Path, Graphs] = {}

    def capture(architecture: str, **changes: Any) -> Graphs:
        folder = write_checkpoint(architecture, **changes)
        if folder not in captured:
            loaded = load_classifier(folder)
            captured[folder] = capture_source(loaded, texts, tiny)
        return captured[folder]

    return capture


@pytest.fixture(scope="session")
def source(capture_of: Callable[..., Graphs]) -> Graphs:
    """The tiny BERT, captured and tidied; tests that change its graph clone it."""
    return capture_of("bert")


@pytest.fixture(scope="session")
def make_generator() -> Callable[..., LoadedGenerator]:
    """Makes a tiny random generator of an architecture, by name, with changes to its configuration."""
    return tiny_generator


@pytest.fixture(scope="session")
def graphs_of(tiny: PassSettings) -> Callable[..., Graphs]:
    """A tiny generator, captured and tidied: seconds each, so once a session for the same arguments."""
    captured: dict[tuple[Any, ...], Graphs] = {}

    def capture(name: str, **changes: Any) -> Graphs:
        key = (name, *sorted(changes.items()))
        if key not in captured:
            captured[key] = capture_source(tiny_generator(name, **changes), (), tiny)
        return captured[key]

    return capture
