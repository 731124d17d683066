"""Limits of a knowledge base: the steps of SQLite in one read, and the length of a question."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftool_runtime as ft
from ftool_runtime.knowledge import KnowledgeBase

DOCUMENTS = {f"{number}.md": [f"passage {number} of some words"] for number in range(3000)}

Writer = Callable[..., Path]


def test_a_read_that_takes_too_many_steps_is_ended(write_base: Writer) -> None:
    path = write_base(DOCUMENTS)
    with KnowledgeBase.open(path) as base:
        expected = base.documents(), base.search("words", 3)
    with KnowledgeBase.open(path, limits=ft.Limits(sql_steps=5000)) as base:
        for _ in range(3):  # the connection serves again
            with pytest.raises(
                ft.InputError, match=r"more than 5,000 steps of SQLite \(the limit sql_steps\)"
            ) as caught:
                base.documents()
            assert str(path) in str(caught.value)
            assert base.text("7.md") == "passage 7 of some words"
    for enough in (None, 10_000_000):
        with KnowledgeBase.open(path, limits=ft.Limits(sql_steps=enough)) as base:
            assert (base.documents(), base.search("words", 3)) == expected


def test_a_question_that_is_too_long_is_refused(write_base: Writer) -> None:
    with KnowledgeBase.open(write_base({"a.md": ["words"]}), limits=ft.Limits(text_characters=10)) as base:
        assert base.search("some words")
        with pytest.raises(
            ft.InputError, match="the question has 11 characters, and the limit text_characters is 10"
        ):
            base.search("some words?")


def test_anything_but_limits_is_refused(write_base: Writer) -> None:
    wrong: Any = 3
    with pytest.raises(ft.InputError, match=r"must be ftool_runtime\.Limits"):
        KnowledgeBase.open(write_base({"a.md": ["words"]}), limits=wrong)
