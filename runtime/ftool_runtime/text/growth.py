"""Bound how much longer a tokenizer's normaliser or decoder can make a text.

Their steps are data of a bundle: 60 replacements of "a" by "aa" in a row, or one by a megabyte, would fill the memory
from a text of a few characters, and Rust then ends the whole process.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LARGEST_GROWTH: Final = 200  # real ones: up to about 100, those of SentencePiece
_PARTS: Final = ("normalizer", "decoder")
_STEPS: Final = ("normalizers", "decoders")  # of a sequence


def growth_problem(tokenizer: "Tokenizer") -> str | None:
    """Return why a tokenizer can make a text too long, as a sentence; None if it does not."""
    for name in _PARTS:
        part = getattr(tokenizer, name)
        growth = 1.0
        for step in _steps(json.loads(part.__getstate__()) if part is not None else {}):
            growth *= _growth(step)
            if growth > LARGEST_GROWTH:
                return f"its {name} can make a text more than {LARGEST_GROWTH} times as long"
    return None


def _steps(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    inner = next((part[name] for name in _STEPS if name in part), None)
    if inner is None:
        yield part
    else:
        for one in inner:
            yield from _steps(one)


def _growth(step: Mapping[str, Any]) -> float:
    """Return by how much a step can multiply the characters of a text.

    Steps by Unicode's tables are left out: however many there are, they make a character at most 18.
    """
    match step.get("type"):
        case "Replace":
            replaced = step["pattern"].get(
                "String", ""
            )  # a regular expression may match the empty text everywhere
            content = len(step["content"])
            return max(1.0, content / len(replaced)) if replaced else 1.0 + content
        case "Prepend":
            return 1.0 + len(step["prepend"])
        case "Precompiled":
            charsmap = base64.b64decode(step["precompiled_charsmap"])
            texts = charsmap[
                4 + int.from_bytes(charsmap[:4], "little") :
            ]  # after the trie, each ended by a zero
            return float(max(1, *map(len, texts.split(b"\0"))))  # in bytes, which are at least as many
    return 1.0
