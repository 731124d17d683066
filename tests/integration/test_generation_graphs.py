"""The runtime runs captured graphs of tiny checkpoints: answers, also with beams, equal those of transformers."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast

import ftool_runtime as ft
from ftool_export.bundle.writer import write_model
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.passes import PassSettings
from ftool_export.pipeline import capture_source
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import GenerationContract, InputContract, Manifest, Precision
from ftool_runtime.session.decoder.prefix_cache import PrefixCache

VOCABULARY, POSITIONS, END = 200, 96, 2
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": END}
BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": POSITIONS,
    "decoder_start_token_id": 2,
}
# One of each mechanism: learnt positions, plain joined caches with local attention, rotary positions with fewer heads
# of keys, position bias, an encoder with learnt positions.
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS},
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 4,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS,
    },
    "llama": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS,
    },
    "t5": {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    },
    "bart": BART,
}
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22], [40, 41, 42, 43, 44]]


def checkpoint(name: str) -> LoadedGenerator:
    torch.manual_seed(5)
    config = AutoConfig.for_model(name, vocab_size=VOCABULARY, **MODELS[name], **IDS)
    factory = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = factory.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)  # livelier: not the same token for ever
    model.generation_config.forced_eos_token_id = None
    words = {"[PAD]": 0, "[START]": 1, "[END]": 2, "[UNK]": 3, **{f"w{i}": i for i in range(4, VOCABULARY)}}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", bos_token="[START]", eos_token="[END]", unk_token="[UNK]"
    )
    task = "summarization" if config.is_encoder_decoder else "text-generation"
    return LoadedGenerator(task=task, model=model, tokenizer=tokenizer, max_length=POSITIONS)


def bundle_of(loaded: LoadedGenerator, folder: Path) -> None:
    graphs = capture_source(loaded, (), PassSettings())
    write_model(graphs.models["decoder"], folder, "onnx/decoder.onnx")
    if graphs.models.get("encoder") is not None:
        write_model(graphs.models.get("encoder"), folder, "onnx/encoder.onnx")
    loaded.tokenizer.save_pretrained(folder)
    loaded.generation_config.save_pretrained(folder)
    source = loaded.family == "encoder-decoder"
    Manifest(
        ftool="0",
        created="2026-01-01T00:00:00Z",
        task=loaded.task,
        name="tiny",
        architecture=loaded.model.config.model_type,
        base="scratch",
        labels=(),
        input=InputContract(
            names=("input_ids", "attention_mask") if source else ("input_ids",), max_length=POSITIONS
        ),
        precision=Precision(),
        attention=graphs.attention,
        generation=GenerationContract(family=loaded.family, caches=graphs.caches, max_length=POSITIONS),
        files={
            path.relative_to(folder).as_posix(): file_record(path)
            for path in folder.rglob("*")
            if path.is_file()
        },
    ).write(folder)


# two architectures stand for all in CI
_LATER = [pytest.param(name, marks=pytest.mark.slow) for name in ("llama", "gpt_neo", "bart")]


@pytest.fixture(scope="module", params=["gpt2", "t5", *_LATER])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    loaded = checkpoint(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    bundle_of(loaded, folder)
    with ft.load(folder, threads=1) as model:
        yield loaded.model, model


def torch_answers(model: Any, row: Sequence[int], **options: Any) -> list[list[int]]:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        out = model.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), **options
        )
    start = 1 if model.config.is_encoder_decoder else len(row)
    answers = out[:, start:].tolist()
    return [ids[: ids.index(END) + 1] if END in ids else ids for ids in answers]


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 80},  # past the smallest buffer
        {"max_new_tokens": 20, "num_beams": 4},
        {
            "max_new_tokens": 20,
            "num_beams": 4,
            "length_penalty": 2.0,
            "early_stopping": True,
            "num_return_sequences": 3,
        },
        {"max_new_tokens": 20, "num_beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
        {"max_new_tokens": 16, "min_new_tokens": 16, "no_repeat_ngram_size": 3},
        {"max_new_tokens": 80, "prompt_lookup_num_tokens": 6},
    ],
    ids=str,
)
def test_ragged_batches_get_torchs_answers(pair: Any, options: dict[str, Any]) -> None:
    reference, model = pair
    count = options.get("num_return_sequences", 1)
    rows = model.generate(ROWS, **options)
    for place, row in enumerate(ROWS):
        got = [list(answer.ids) for answer in rows[place * count : (place + 1) * count]]
        assert got == torch_answers(reference, row, **options)


def test_logits_are_torchs(pair: Any) -> None:
    reference, model = pair
    answers = model.generate(ROWS, max_new_tokens=12, keep_logits=True)
    scored = model.score_tokens(ROWS, [answer.ids for answer in answers])
    for row, answer, scores in zip(ROWS, answers, scored, strict=True):
        with torch.inference_mode():
            if reference.config.is_encoder_decoder:
                given = [reference.generation_config.decoder_start_token_id, *answer.ids[:-1]]
                logits = reference(torch.tensor([row]), decoder_input_ids=torch.tensor([given])).logits[0]
            else:
                logits = reference(torch.tensor([[*row, *answer.ids[:-1]]])).logits[0, len(row) - 1 :]
        np.testing.assert_allclose(answer.logits, logits.numpy(), atol=1e-3)  # the bound for fp32
        np.testing.assert_allclose(scores, logits.numpy(), atol=1e-3)


@pytest.mark.parametrize("lookup", [0, 4])
def test_a_conversations_caches_go_on_where_they_were(pair: Any, lookup: int) -> None:
    """Turns that share a beginning, by caches that stay, against fresh runs; a shorter one goes back."""
    _, model = pair
    if isinstance(model, ft.Seq2SeqGenerator):
        pytest.skip("encoder-decoders hold no conversations")
    engine = model._engine
    config = model.generation_config.changed(max_new_tokens=10)
    cache = PrefixCache(engine.guard.get().decoders)
    history: list[int] = []
    for turn in ([5, 6, 7], [30, 31, 32, 33], [50, 51], [9]):
        prompt = [*history, *turn]
        row = engine.new_row(prompt, config.changed(prompt_lookup_num_tokens=lookup), None)
        for _ in engine.steps_with_cache(cache, prompt, row):
            pass
        assert row.answer == list(model.generate([prompt], config)[0].ids)
        history = [*prompt, *row.answer] if turn != [30, 31, 32, 33] else history
