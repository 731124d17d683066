"""Character ranges of byte-level tokens hold whole words, whatever pre-tokenizer puts a space before the words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
)

import ftool_runtime as ft
from ftool_export.checkpoints.reader import load_reader
from ftool_export.checkpoints.tagger import load_tagger
from ftool_export.examples.tagging import TaggingExamples
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_runtime.postprocessing.entities import first_tokens, trimmed
from ftool_runtime.postprocessing.spans import find_spans
from ftool_runtime.text.windows import Window
from ftool_runtime.text.words import split_words

TEXT = "Today  Lee met nine\tof (us) in Amsterdam. \u00c9mile was in \u6771 \u4eac, too"
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=True)
PRE = {
    "robbert": pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), BYTES, pre_tokenizers.Punctuation()]),  # type: ignore[list-item]
    "words": pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), BYTES]),  # type: ignore[list-item]
    "punctuation": pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), BYTES]),  # type: ignore[list-item]
    "digits": pre_tokenizers.Sequence([pre_tokenizers.Digits(), BYTES]),  # type: ignore[list-item]
    "bert": pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), BYTES]),  # type: ignore[list-item]
    "roberta": BYTES,
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
}
TEMPLATE = processors.TemplateProcessing(
    single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
)
POST = {
    "roberta": processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True),
    "sequence": processors.Sequence([processors.ByteLevel(trim_offsets=True), TEMPLATE]),  # type: ignore[list-item]
}


LABELS = {"id2label": {0: "O", 1: "B-x"}, "label2id": {"O": 0, "B-x": 1}}
EACH = pytest.mark.parametrize(("pre", "post"), [*((pre, "roberta") for pre in PRE), ("robbert", "sequence")])


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a random RoBERTa with a head, and a tokenizer with one of the pre- and post-processors."""

    def write(head: Any, pre: str, post: str, **config: Any) -> Path:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = PRE[pre]
        special = ["<s>", "</s>", "<pad>", "<unk>"]
        trainer = trainers.BpeTrainer(
            vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=special,
            show_progress=False,
        )  # fmt: skip
        tokenizer.train_from_iterator([TEXT] * 3, trainer)
        tokenizer.post_processor = POST[post]
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>",
            model_max_length=160,
        ).save_pretrained(tmp_path)  # fmt: skip
        made = AutoConfig.for_model(
            "roberta", vocab_size=330, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=164, pad_token_id=2, initializer_range=0.5, **config,
        )  # fmt: skip
        torch.manual_seed(0)
        head.from_config(made).save_pretrained(tmp_path)
        return tmp_path

    return write


def covered(window: Window) -> set[int]:
    """Return the characters of the text that the window's tokens cover, white space left out."""
    ranges = [trimmed(TEXT, window.offsets[position]) for position in window.text_positions]
    return {place for start, end in ranges for place in range(start, end)}


@EACH
def test_entities_are_whole_words(write: Callable[..., Path], pre: str, post: str) -> None:
    (windows,) = load_tagger(write(AutoModelForTokenClassification, pre, post, **LABELS)).windows([TEXT])
    assert covered(windows[0]) == {place for place, letter in enumerate(TEXT) if not letter.isspace()}
    words = split_words(TEXT)
    offsets = [windows[0].offsets[position] for position in windows[0].text_positions]
    for token, (start, _) in zip(first_tokens(TEXT, offsets, words), words, strict=True):
        assert token is not None
        assert trimmed(TEXT, offsets[token])[0] == start


@EACH
def test_answers_are_whole_words(write: Callable[..., Path], pre: str, post: str) -> None:
    loaded = load_reader(write(AutoModelForQuestionAnswering, pre, post))
    (windows,) = loaded.windows([{"question": "who met us", "context": TEXT}])
    ranges = {position: trimmed(TEXT, windows[0].offsets[position]) for position in windows[0].text_positions}
    for answer in ("Lee", "nine", "us", "Amsterdam", "\u6771", "Lee met nine"):
        start = TEXT.index(answer)
        end = start + len(answer)
        inside = [position for position, (first, last) in ranges.items() if start <= first < last <= end]
        logits = np.zeros((len(windows[0].offsets), 2), np.float32)
        logits[inside[0], 0] = logits[inside[-1], 1] = 9
        found = find_spans(TEXT, windows, [logits], max_answer_length=30).best[0]
        assert TEXT[found.start : found.end] == answer


def test_a_bundle_finds_whole_words(write: Callable[..., Path], tmp_path: Path) -> None:
    loaded = load_tagger(write(AutoModelForTokenClassification, "robbert", "roberta", **LABELS))
    with torch.no_grad():
        loaded.model.head.bias.copy_(torch.tensor([0.0, 50.0]))  # every word is an entity
    examples = TaggingExamples(loaded=loaded, inputs=[TEXT])
    bundle = tmp_path / "bundle"
    assert export(ExportSettings(bundle=bundle, name="x", precision="fp32"), loaded, examples).bundle
    assert parity(loaded, bundle, examples).passed
    with ft.TokenTagger.load(bundle) as tagger:
        assert [(one.start, one.end) for one in tagger(TEXT)] == split_words(TEXT)
