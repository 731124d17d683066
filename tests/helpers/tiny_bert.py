"""Save random BERTs, small enough that training one takes a second."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def save_tiny_bert(
    folder: Path,
    pieces: Sequence[str],
    *,
    length: int,
    kind: str = "BertModel",
    seed: int = 0,
    **config: Any,
) -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokens = {token: index for index, token in enumerate([*special.values(), *pieces])}
    tokenizer = Tokenizer(models.WordPiece(tokens, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    made = transformers.BertConfig(
        vocab_size=len(tokens), max_position_embeddings=length, **{**sizes, **config}
    )
    getattr(transformers, kind)(made).save_pretrained(folder)


def save_tiny_base(folder: Path, pieces: Sequence[str]) -> None:
    """Save a random BERT of two layers, width 32, in sentence-transformers' layout: mean pooling, normalised."""
    # weights wide enough that features of different words differ
    save_tiny_bert(folder, pieces, length=32, initializer_range=0.2)
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{kind}" if i else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
