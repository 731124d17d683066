"""Files of texts for the tiny bundle, and its answers in a folder."""

import json
from pathlib import Path

from tests.helpers.tiny_bundles import WORDS


def sentences(count: int, first: int = 0) -> list[str]:
    """Return different texts of the bundle's words, of 1 to 9 words."""
    return [
        " ".join(WORDS[(number * place + place) % len(WORDS)] for place in range(number % 9 + 1))
        for number in range(first, first + count)
    ]


def write_csv(path: Path, texts: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id,text\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)), encoding="utf-8")
    return path


def write_jsonl(path: Path, texts: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def answers(output: Path) -> str:
    """Return the lines of all parts, in the order of their names."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted(output.glob("part-*.jsonl")))
