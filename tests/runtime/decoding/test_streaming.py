"""Streamed text for several kinds of tokenizers, stop strings, and cancelling and closing of streams."""

import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import ftool_runtime as ft
from ftool_runtime.decoding.detokenize import IncrementalText, answer_text
from ftool_runtime.text.generation_tokenizer import GenerationTokenizer

GeneratorMaker = Callable[..., Path]
TEXTS = [
    "turn the lights off, please.",
    "你好,世界! 今天天气不错",
    "naïve café — 😀👍🏽 don't",
    "  spaces   and\nlines  ",
] * 3


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    tokenizer.add_special_tokens(["<end>"])
    return tokenizer


def with_byte_fallback() -> Tokenizer:
    """As Llama's and Gemma's: unknown characters become byte tokens."""
    words = [
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *("▁" + c for c in "abcdeth"),
        *"abcdeth▁.,",
        "▁the",
        "▁",
    ]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(["<unk>", *words]))}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<end>"])
    return tokenizer


def metaspace() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=80, unk_token="<unk>", special_tokens=["<unk>", "<end>"])
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def word_pieces() -> Tokenizer:
    words = [
        "[UNK]",
        "don",
        "'",
        "##t",
        "do",
        "not",
        "the",
        ".",
        ",",
        "##ing",
        "walk",
        "[SEP]",
        "'",
        "s",
        "!",
        "?",
    ]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(dict.fromkeys(words))}))
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    tokenizer.add_special_tokens(["[SEP]"])
    return tokenizer


KINDS = {made.__name__: made for made in (byte_level, with_byte_fallback, metaspace, word_pieces)}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GenerationTokenizer]:
    folder = tmp_path_factory.mktemp("tokenizers")
    for name, make in KINDS.items():
        make().save(str(folder / f"{name}.json"))
    return {name: GenerationTokenizer(folder / f"{name}.json") for name in KINDS}


def pieces_of(
    tokens: GenerationTokenizer, ids: Sequence[int], stops: Sequence[str] = ()
) -> tuple[list[str], int]:
    text, pieces = IncrementalText(tokens, stops), []
    for number in ids:
        text.add(number)
        pieces.append(text.chunk())
        if text.stopped:
            break
    return [*pieces, text.rest()], len(pieces)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_chunks_join_to_the_whole_text_whatever_the_tokens(
    kinds: dict[str, GenerationTokenizer], kind: str, data: st.DataObject
) -> None:
    tokens = kinds[kind]
    number = st.integers(0, tokens.tokenizer.get_vocab_size() - 1)
    ids = data.draw(st.lists(number, min_size=1, max_size=data.draw(st.sampled_from([8, 200]))))
    pieces, _ = pieces_of(tokens, ids)
    assert "".join(pieces) == answer_text(tokens, ids, ())


@pytest.mark.parametrize("kind", ["byte_level", "with_byte_fallback"])
@given(text=st.text(st.sampled_from("ab 你😀é👍🏽"), min_size=1).filter(str.strip))
@settings(max_examples=60, deadline=None)
def test_no_piece_ends_inside_a_character(
    kinds: dict[str, GenerationTokenizer], kind: str, text: str
) -> None:
    ids, _ = kinds[kind].encode(text, 0)
    pieces, _ = pieces_of(kinds[kind], ids)
    assert not any("�" in piece for piece in pieces)
    assert "".join(pieces) == text.strip()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_nothing_of_a_stop_string_is_given(
    kinds: dict[str, GenerationTokenizer], kind: str, data: st.DataObject
) -> None:
    tokens = kinds[kind]
    number = st.integers(0, tokens.tokenizer.get_vocab_size() - 1)
    ids = data.draw(st.lists(number, min_size=1, max_size=30))
    whole = tokens.decode(ids)
    begin = data.draw(st.integers(0, max(0, len(whole) - 1)))
    stop = whole[begin : begin + data.draw(st.integers(1, 4))].strip("�") or "never"
    pieces, count = pieces_of(tokens, ids, [stop])
    assert "".join(pieces) == answer_text(tokens, ids[:count], [stop])
    assert stop not in "".join(pieces)


def test_a_stop_string_that_never_comes_is_given_at_the_end(kinds: dict[str, GenerationTokenizer]) -> None:
    ids, _ = kinds["byte_level"].encode("the lights are on, the li", 0)
    pieces, _ = pieces_of(kinds["byte_level"], ids, ["lights off"])
    assert "".join(pieces) == "the lights are on, the li"


def test_a_stream_is_the_answer_in_pieces(
    writer_model: ft.TextGenerator, summariser: ft.Seq2SeqGenerator
) -> None:
    for model in (writer_model, summariser):
        whole = model("turn the lights", max_new_tokens=30)
        stream = model.stream("turn the lights", max_new_tokens=30)
        with pytest.raises(ft.InputError, match="has not ended"):
            stream.result  # noqa: B018
        pieces = list(stream)
        assert len(pieces) > 3
        assert "".join(pieces) == whole.text
        assert stream.result == whole


def test_a_stop_string_ends_an_answer_before_it(writer_model: ft.TextGenerator) -> None:
    whole = writer_model("turn the lights", max_new_tokens=30)
    word = whole.text.split()[5]
    before = whole.text[: whole.text.index(word)].strip()
    answer = writer_model("turn the lights", max_new_tokens=30, stop_strings=word)
    assert (answer.text, answer.finish_reason) == (before, "stop")
    stream = writer_model.stream("turn the lights", max_new_tokens=30, stop_strings=[word, "never at all"])
    assert "".join(stream) == before
    assert stream.result == answer


@pytest.mark.parametrize("beams", [1, 2])
def test_a_stop_string_that_is_a_special_token_ends_an_answer_with_it(
    writer_model: ft.TextGenerator, beams: int
) -> None:
    number, content = next(item for item in writer_model._engine.tokens.special.items() if item[0] > 3)
    forced = {"max_new_tokens": 8, "num_beams": beams, "sequence_bias": [[[number], 1000.0]]}
    assert writer_model.generate([[7, 8]], **forced)[0].ids == (number,) * 8
    answer = writer_model.generate([[7, 8]], stop_strings=["never", content], **forced)[0]
    assert (answer.ids, answer.finish_reason) == ((number,), "eos")


def test_cancelling_from_another_thread_stops_within_a_token(writer_model: ft.TextGenerator) -> None:
    stream = writer_model.stream("play", max_new_tokens=80, min_new_tokens=80)
    read = [next(stream)]
    thread = threading.Thread(target=stream.cancel)
    thread.start()
    thread.join()
    read += list(stream)
    assert stream.result.finish_reason == "cancelled"
    assert len(stream.result.token_ids) <= 4
    assert "".join(read) == stream.result.text


def idle(model: Any) -> int:
    return len(model._engine.guard.get().decoders._idle)


def test_closing_or_dropping_a_stream_frees_its_buffers(make_generator: GeneratorMaker) -> None:
    with ft.TextGenerator.load(make_generator(), threads=1) as model:
        with model.stream("play", max_new_tokens=80, min_new_tokens=80) as stream:
            next(stream)
            assert idle(model) == 0
        assert idle(model) == 1
        dropped: Iterator[str] | None = model.stream("play", max_new_tokens=80, min_new_tokens=80)
        assert dropped is not None
        next(dropped)
        assert idle(model) == 0
        dropped = None
        gc.collect()
        assert idle(model) == 1


def test_beams_and_several_answers_are_not_streamed(writer_model: ft.TextGenerator) -> None:
    with pytest.raises(ft.InputError, match=r"num_beams is 2.*knows its answer only at the end"):
        writer_model.stream("play", num_beams=2)
    with pytest.raises(ft.InputError, match="a stream holds one answer"):
        writer_model.stream("play", do_sample=True, num_return_sequences=2)
