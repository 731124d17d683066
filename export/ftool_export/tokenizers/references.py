"""Reference tokenizers, to check converted tokenizers: each reads a tokenizer's files with the original library."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Reference(NamedTuple):
    """The tokenizer that a file describes.

    Attributes:
        pieces: splits a text into its pieces.
        number: returns the id of a piece in the file.
    """

    pieces: Callable[[str], list[str]]
    number: Callable[[str], int]


def sentencepiece_reference(tokenizer: Any, model: Path) -> Reference:
    """Return the sentencepiece library's tokenizer for the file `model`.

    Texts are prepared according to the settings of `tokenizer`.
    """
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(model))

    def pieces(text: str) -> list[str]:
        found: list[str] = processor.encode(_prepared(tokenizer, text), out_type=str)
        return found

    return Reference(pieces, processor.piece_to_id)


def wordpiece_reference(tokenizer: Any, words: Path) -> Reference:
    """Return transformers' Python tokenizer of BERT for the vocabulary file `words`, with settings of `tokenizer`."""
    from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

    legacy = BertTokenizerLegacy(
        str(words),
        do_lower_case=getattr(tokenizer, "do_lower_case", True),
        strip_accents=getattr(tokenizer, "strip_accents", None),
        tokenize_chinese_chars=getattr(tokenizer, "tokenize_chinese_chars", True),
        unk_token=tokenizer.unk_token,
    )

    def pieces(text: str) -> list[str]:
        found: list[str] = legacy.tokenize(text)
        return found

    return Reference(pieces, legacy.convert_tokens_to_ids)


def lossless(tokenizer: Any, text: str) -> bool:
    """Whether decoding a text's tokens returns the text, as must be so for a vocabulary with a token for each byte."""
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return bool(tokenizer.decode(ids, clean_up_tokenization_spaces=False).lstrip(" ") == text.lstrip(" "))


def _prepared(tokenizer: Any, text: str) -> str:
    if getattr(tokenizer, "keep_accents", None) is False:  # ALBERT and XLNet
        text = text.replace("``", '"').replace("''", '"')
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text.lower() if getattr(tokenizer, "do_lower_case", False) else text
