"""Greedy answers of decoders and encoder-decoders, with both kinds of caches, equal those computed from the weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ftool_runtime as ft

GeneratorMaker = Callable[..., Path]
PROMPTS = [[7, 8, 9, 10, 11], [20, 21], [12, 13, 14, 15, 16, 17, 18, 19], [9]]
SOURCES = [[7, 8, 9, 1], [20, 21, 22, 23, 24, 25, 8, 1], [11, 1]]
CLOSE = 1e-4  # float32 sums over 16 numbers of a size of about 5, against float64


@pytest.mark.parametrize("caches", ["in_place", "joined"])
def test_a_decoder_says_what_its_weights_say(
    make_generator: GeneratorMaker, greedy: Callable[..., list[int]], caches: str
) -> None:
    with ft.TextGenerator.load(make_generator(caches=caches), threads=1) as model:
        rows = model.generate(PROMPTS, max_new_tokens=40)
        for prompt, row in zip(PROMPTS, rows, strict=True):
            assert list(row.ids) == greedy(prompt, 40)
            assert row.finish_reason == ("eos" if row.ids[-1] == 1 else "length")


@pytest.mark.parametrize("caches", ["in_place", "joined"])
def test_an_encoder_decoder_says_what_its_weights_say(
    make_generator: GeneratorMaker, greedy: Callable[..., list[int]], caches: str
) -> None:
    with ft.Seq2SeqGenerator.load(make_generator(source=True, caches=caches), threads=1) as model:
        rows = model.generate(SOURCES, max_new_tokens=40)
        for source, row in zip(SOURCES, rows, strict=True):
            assert list(row.ids) == greedy([0], 40, source)


@pytest.mark.parametrize("caches", ["in_place", "joined"])
@pytest.mark.parametrize("source", [False, True])
def test_kept_and_scored_logits_are_those_of_the_weights(
    make_generator: GeneratorMaker, reference_logits: Callable[..., Any], caches: str, source: bool
) -> None:
    rows = SOURCES if source else PROMPTS
    kind = ft.Seq2SeqGenerator if source else ft.TextGenerator
    with kind.load(make_generator(source=source, caches=caches), threads=1) as model:
        kept = model.generate(rows, max_new_tokens=9, keep_logits=True)
        scored = model.score_tokens(rows, [row.ids for row in kept])
        for given, row, scores in zip(rows, kept, scored, strict=True):
            before = [0] if source else given
            ids = [*before, *row.ids[:-1]]
            expected = reference_logits(ids, given if source else None)[len(before) - 1 :]
            np.testing.assert_allclose(row.logits, expected, atol=CLOSE)
            np.testing.assert_allclose(scores, expected, atol=CLOSE)
