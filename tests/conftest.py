"""What every test shares: no model hub, no telemetry, a cache of its own, and where the real data lies."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.helpers.paths import SHARED_DATA

# CI judges a change, so it tries the same examples every time; elsewhere new ones are looked for.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "search")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets that stands beside the checkout; tests that need it skip without it."""
    folder = SHARED_DATA
    if not folder.is_dir():
        pytest.skip(f"needs the data sets in {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Feature caches written by a test never reach the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTOOL_CACHE", str(tmp_path_factory.mktemp("ftool-cache")))
        yield


@pytest.fixture(scope="session")
def save_tiny_bert() -> Callable[..., None]:
    """Saves a random BERT of one of transformers' classes into a folder, with a tokenizer of the word pieces given."""

    def save(
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

    return save
