"""Spoiled knowledge bases: one line that names the file, no traceback, no hang, and no memory for what they compute."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.helpers.finding_reader import FindingReader
from tests.helpers.spoiled_bases import SPOILED_BASES, SpoiledBase
from tests.helpers.word_embedder import WordEmbedder

import ftool_runtime as ft
from ftool_runtime.knowledge import KnowledgeBase, KnowledgeBaseError

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no named pipes and devices in folders"),
    pytest.mark.timeout(20),
]

DOCUMENTS = {
    f"{number}.md": [f"passage {number} of some words", f"also {number} words"] for number in range(30)
}
LIMITS = ft.Limits(sql_steps=1_000_000)

Writer = Callable[..., Path]


@dataclass
class Use:
    """What opening a base, a search and a question gave."""

    verdicts: list[str] = field(default_factory=list)
    errors: list[ft.FtoolError] = field(default_factory=list)
    results: list[object] = field(default_factory=list)


@pytest.mark.parametrize("row", SPOILED_BASES, ids=lambda row: row.change)
def test_a_spoiled_base(row: SpoiledBase, write_base: Writer) -> None:
    path = write_base(DOCUMENTS, WordEmbedder())
    sound = used(path, [None, None])
    assert sound.verdicts == ["opens", "other", "other"]
    row.apply(path)
    spoiled = used(path, sound.results)
    assert spoiled.verdicts == [row.open, row.search, row.ask]
    for error in spoiled.errors:
        assert str(path) in str(error)
        assert "\n" not in str(error)


def used(path: Path, before: list[object]) -> Use:
    """Open a base, search and ask; say whether the results are the same as `before`."""
    use = Use()
    try:
        base = KnowledgeBase.open(
            path, embedder=WordEmbedder(), reader=FindingReader("7 of some"), limits=LIMITS
        )
    except KnowledgeBaseError as error:
        use.errors.append(error)
        use.verdicts = ["refuses", "-", "-"]
        return use
    use.verdicts = ["opens"]
    with base:
        for call, expected in zip((base.search, base.ask), before, strict=True):
            try:
                use.results.append(call("passage 7 words", 5))
            except ft.FtoolError as error:
                use.errors.append(error)
                use.verdicts.append("refuses")
            else:
                use.verdicts.append("same" if use.results[-1] == expected else "other")
    return use


def test_there_are_more_than_twenty_kinds() -> None:
    assert len({row.change for row in SPOILED_BASES}) == len(SPOILED_BASES) > 20
