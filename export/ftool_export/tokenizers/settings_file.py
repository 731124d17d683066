"""Make a bundle's tokenizer_config.json mean the same to other libraries as to transformers 5, which wrote it."""

import json
from pathlib import Path
from typing import Final

_FILE: Final = "tokenizer_config.json"
_NEW_CLASS: Final = (
    "TokenizersBackend"  # transformers 5's name, which transformers 4 and onnxruntime-genai don't know
)
_OLD_CLASS: Final = "PreTrainedTokenizerFast"  # the same class, under the name that both know
# Left over from calls of older tokenizers. fastembed cuts texts at max_length, although model_max_length is larger.
_LEFT_OVER: Final = ("max_length", "stride", "truncation_strategy", "pad_to_multiple_of")


def settle_tokenizer_config(folder: Path) -> None:
    """Rewrite the file in `folder` without names and lengths that other libraries misread. Raises OSError."""
    path = folder / _FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in _LEFT_OVER:
        content.pop(name, None)
    if content.get("tokenizer_class") == _NEW_CLASS:
        content["tokenizer_class"] = _OLD_CLASS
    if isinstance(
        content.get("extra_special_tokens"), list
    ):  # transformers 4 expects a mapping under this name
        tokens = content.pop("extra_special_tokens")
        content |= {"additional_special_tokens": tokens} if tokens else {}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
