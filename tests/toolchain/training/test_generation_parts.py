"""Parts of the training of generators: tokenizers made from data, rows of tokens, languages, metrics."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    GenerationConfig,
    MBart50Tokenizer,
    MBartTokenizer,
    NllbTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
)

from ftool.bases import check_base, resolve_base
from ftool.data.rows.generation import GenerationExample, Message
from ftool.errors import BaseError, RecipeError, TrainingError
from ftool.evaluation.generation_split import GenerationSplit
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import SCRATCH, TrainSettings
from ftool.tasks.registry import find_task
from ftool.training.batches import IGNORED, PairRows, decoder_dataset
from ftool.training.generator_rows import assistant_turns, tokenize_answers, tokenize_examples, turn_end
from ftool.training.scratch.random_models import FAMILIES, SIZES, create_scratch
from ftool.training.scratch.tokenizer import count_altered, learn_tokenizer
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.languages import begin_answers_in, first_token, languages_of, source_prefix
from ftool_export.errors import CheckpointError

TEXTS = [
    "the weather is fine today",
    "it rains and rains",
    "今天天气很好",
    "日本語の文です。",
    "Ärger über Öl",
    "x" * 40,
]


def learnt(kind: Any, **options: Any) -> PreTrainedTokenizerFast:
    chosen: dict[str, Any] = {"vocabulary_size": 400, "max_length": 64, "ends": True, "chat": False} | options
    return learn_tokenizer(TEXTS * 3, kind=kind, **chosen)


BPE, UNIGRAM = learnt("bpe"), learnt("unigram")


# --- tokenizers learnt from data


@pytest.mark.parametrize("tokenizer", [BPE, UNIGRAM], ids=["bpe", "unigram"])
@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁")))
def test_every_text_comes_back_as_it_was(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    text = text.lstrip(" ")  # a unigram model knows no space before the first word
    assert count_altered(tokenizer, [text]) == 0


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_same_texts_give_the_same_tokenizer(kind: str) -> None:
    first, second = (learnt(kind).backend_tokenizer.to_str() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_vocabulary_is_no_larger_than_asked_for_nor_than_the_data_gives(kind: str) -> None:
    assert len(learnt(kind, vocabulary_size=300)) <= 300
    assert len(learnt(kind, vocabulary_size=50_000)) < 1000
    with pytest.raises(TrainingError, match="must be 300 or more"):
        learnt(kind, vocabulary_size=200)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_digits_stay_alone_and_special_names_in_texts_are_text(kind: str) -> None:
    tokenizer = learn_tokenizer(
        ["in 1998 and 1999"] * 9, kind=kind, vocabulary_size=400, max_length=64, ends=True, chat=False
    )
    pieces = tokenizer.tokenize("1998")
    assert [piece for piece in pieces if any(c.isdigit() for c in piece)] == ["1", "9", "9", "8"]
    ids = tokenizer("</s><0x41>", split_special_tokens=True)["input_ids"]
    assert ids.count(tokenizer.eos_token_id) == 1
    assert count_altered(tokenizer, ["</s><0x41><unk>"]) == 0


def test_wide_forms_are_made_plain_only_where_no_answer_has_them() -> None:
    plain = learnt("bpe", exact=["1998-01-02"])
    assert plain("１９９８")["input_ids"] == plain("1998")["input_ids"]
    kept = learnt("bpe", exact=["你好，世界"])  # NFKC would make the comma another one
    assert kept.decode(kept("，", add_special_tokens=False)["input_ids"]) == "，"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_chat_template_marks_the_answers_and_their_end(kind: str) -> None:
    tokenizer = learnt(kind, chat=True, ends=False)
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "today"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == (
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\ntoday<|im_end|>\n"
    )
    whole = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    marked = [i for i, on in zip(whole["input_ids"], whole["assistant_masks"], strict=True) if on]
    assert tokenizer.decode(marked).strip() == "today<|im_end|>"
    prompt = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=False)
    assert whole["input_ids"][: len(prompt)] == prompt


# --- bases of random weights


def scratch(base: str, task: str, *, chat: bool = False, **changes: Any) -> LoadedGenerator:
    chosen = {"vocabulary_size": 400, "max_length": 32, "max_target_length": 8} | changes
    return create_scratch(
        base, task, sources=TEXTS, targets=TEXTS, chat=chat, settings=TrainSettings(**chosen)
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_named_base_has_heads_that_caches_append_in_place_for(family: str, size: str) -> None:
    config = FAMILIES[family].configure(SIZES[size], 64, 0.1)
    width, heads = SIZES[size].width, SIZES[size].heads
    assert (getattr(config, "d_kv", None) or width // heads) % 8 == 0
    assert resolve_base(f"{SCRATCH}{family}-{size}") == f"{SCRATCH}{family}-{size}"


def test_wrong_names_and_kinds_are_refused() -> None:
    with pytest.raises(BaseError, match="did you mean scratch:t5-tiny"):
        scratch("scratch:t5-tinny", "translation")
    with pytest.raises(
        BaseError, match="scratch:t5-tiny, scratch:t5-mini, scratch:t5-small, scratch:bart-tiny"
    ):
        check_base("scratch:gpt2-tiny", find_task("translation"))


def test_the_seed_draws_the_weights() -> None:
    first, again, other = (scratch("scratch:t5-tiny", "translation", seed=seed) for seed in (1, 1, 2))
    weight = [one.model.get_input_embeddings().weight for one in (first, again, other)]
    assert torch.equal(weight[0], weight[1])
    assert not torch.equal(weight[0], weight[2])
    assert (first.base, first.max_length) == ("scratch:t5-tiny", 32)


# --- rows of tokens


def test_a_pair_keeps_the_end_token_when_its_answer_is_cut() -> None:
    loaded = scratch("scratch:t5-tiny", "translation")
    rows = tokenize_examples(
        loaded, [GenerationExample("rainy " * 300, ("it rains " * 30,))], max_target_length=8
    )
    (row,) = rows.rows
    assert (len(row.given), len(row.answer)) == (32, 8)
    assert row.given[-1] == row.answer[-1] == loaded.tokenizer.eos_token_id
    assert (rows.sources_cut, rows.answers_cut) == (1, 1)


def test_a_long_prompt_loses_its_beginning_and_never_its_answer() -> None:
    loaded = scratch("scratch:gpt2-tiny", "text-generation", tokenizer="bpe")
    rows = tokenize_examples(loaded, [GenerationExample("ab" * 50 + "end", ("today",))], max_target_length=8)
    (row,) = rows.rows
    assert len(row) == 32
    assert loaded.tokenizer.decode(row.given).endswith("end")
    assert loaded.tokenizer.decode(row.answer[:-1]) == "today"
    assert (rows.sources_cut, rows.answers_cut) == (1, 0)


def test_the_loss_of_a_chat_is_taken_on_the_answer_alone() -> None:
    loaded = scratch("scratch:llama-tiny", "text-generation", chat=True)
    example = GenerationExample("", ("fine",), (Message("system", "be short"), Message("user", "how is it")))
    (row,) = tokenize_examples(loaded, [example], max_target_length=8).rows
    assert row.answer[-1] == turn_end(loaded) == loaded.tokenizer.convert_tokens_to_ids("<|im_end|>")
    batch = decoder_dataset([row])[0]
    counted = [label for label in batch["labels"] if label != IGNORED]
    assert counted == row.answer
    assert batch["input_ids"] == [*row.given, *row.answer]

    changed = decoder_dataset([replace(row, given=[5] * len(row.given))])[
        0
    ]  # another prompt, the same labels
    assert changed["labels"] == batch["labels"]
    ids, labels = torch.tensor([batch["input_ids"]]), torch.tensor([batch["labels"]])
    logits = loaded.model(input_ids=ids).logits[0, len(row.given) - 1 : -1]
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor(row.answer))
    torch.testing.assert_close(loaded.model(input_ids=ids, labels=labels).loss, wanted)


def test_bare_texts_are_joined_and_every_token_is_predicted_once() -> None:
    loaded = scratch("scratch:gpt2-tiny", "text-generation")
    rows = tokenize_examples(
        loaded, [GenerationExample("", (text,)) for text in TEXTS], max_target_length=8
    ).rows
    assert all(len(row) <= 32 and len(row.given) == 1 for row in rows)
    told = [token for row in rows for token in row.answer]
    assert loaded.tokenizer.decode(told).count("</s>") == len(TEXTS)
    assert len(told) == sum(len(loaded.tokenizer(text)["input_ids"]) + 1 for text in TEXTS)


def test_a_batch_of_pairs_shifts_answers_behind_the_start_and_ignores_padding() -> None:
    loaded = scratch("scratch:bart-tiny", "translation")
    examples = [GenerationExample("it rains", ("it",)), GenerationExample("today", ("the weather is",))]
    rows = tokenize_examples(loaded, examples, max_target_length=8).rows
    batch = PairRows(loaded, rows).collate(rows)
    assert batch["decoder_input_ids"][:, 0].tolist() == [loaded.model.config.decoder_start_token_id] * 2
    for index, row in enumerate(rows):
        length = len(row.answer)
        assert batch["labels"][index, :length].tolist() == row.answer
        assert batch["decoder_input_ids"][index, 1:length].tolist() == row.answer[:-1]
        assert (batch["labels"][index, length:] == IGNORED).all()
        assert batch["attention_mask"][index].sum() == len(row.given)


# --- how it is judged


def test_token_metrics_weigh_every_token_alike() -> None:
    examples = [GenerationExample("a", ("b",)), GenerationExample("c", ("d",))]
    rows = [SimpleNamespace(given=[1], answer=[2]), SimpleNamespace(given=[1], answer=[0, 0, 0])]
    split = GenerationSplit(examples=examples, rows=rows, scores="bleu", language=None)  # type: ignore[arg-type]

    def score(_given: Any, answers: Any) -> list[np.ndarray]:
        return [np.zeros((len(answer), 4), np.float32) for answer in answers]

    found = split.token_metrics(score)
    assert found["token_accuracy"] == 0.75  # the first of equals is token 0
    assert math.isclose(found["perplexity"], 4.0, rel_tol=1e-6)


def test_a_sample_is_spread_over_the_split() -> None:
    examples = [GenerationExample(str(n), (str(n),)) for n in range(10)]
    rows = [SimpleNamespace(given=[n], answer=[n]) for n in range(10)]
    split = GenerationSplit(examples=examples, rows=rows, scores="bleu", language=None)  # type: ignore[arg-type]
    assert [example.source for example in split.sample(4).examples] == ["0", "3", "6", "9"]
    assert split.sample(50) is split


# --- languages and prefixes


def tiny(kind: type, codes: list[str], **options: Any) -> Any:
    words = ["<s>", "<pad>", "</s>", "<unk>", "▁a", "▁b", "a", "b", "▁"]
    if kind is NllbTokenizer:
        return kind(
            vocab={word: n for n, word in enumerate(words)}, merges=[], additional_special_tokens=codes
        )
    return kind(vocab=[(word, -float(n)) for n, word in enumerate(words)], **options)


def loaded_with(tokenizer: Any, start: int | None, languages: Any) -> LoadedGenerator:
    model = SimpleNamespace(
        config=T5Config(),
        generation_config=GenerationConfig(decoder_start_token_id=start, eos_token_id=tokenizer.eos_token_id),
        get_input_embeddings=lambda: torch.nn.Embedding(len(tokenizer), 1),
    )
    return LoadedGenerator(
        task="translation",
        model=model,
        tokenizer=tokenizer,
        max_length=16,
        languages=languages,  # type: ignore[arg-type]
    )


def test_nllb_is_forced_to_begin_in_the_target_language() -> None:
    tokenizer = tiny(NllbTokenizer, ["eng_Latn", "zho_Hans", "fra_Latn"])
    languages = languages_of(tokenizer, T5Config(), "fra_Latn", "zho_Hans")
    assert languages is not None
    assert set(languages.source_tokens) >= {"eng_Latn", "zho_Hans", "fra_Latn"}
    assert tokenizer("a")["input_ids"][0] == languages.source_tokens["fra_Latn"]
    loaded = loaded_with(tokenizer, 2, languages)
    begin_answers_in(loaded.generation_config, languages)
    first = languages.target_tokens["zho_Hans"]
    assert loaded.generation_config.forced_bos_token_id == first
    (answer,) = tokenize_answers(loaded, ["a b"])
    assert (answer[0], answer[-1]) == (first, tokenizer.eos_token_id)
    assert answer.count(tokenizer.eos_token_id) == 1


def test_mbart_50_is_forced_likewise_and_the_first_mbart_begins_from_the_language() -> None:
    for kind, start in ((MBart50Tokenizer, 2), (MBartTokenizer, None)):
        tokenizer = tiny(kind, [])
        languages = languages_of(tokenizer, T5Config(decoder_start_token_id=start), "en_XX", "zh_CN")
        assert languages is not None
        first = languages.target_tokens["zh_CN"]
        assert tokenizer.convert_ids_to_tokens(first) == "zh_CN"
        loaded = loaded_with(tokenizer, start, languages)
        begin_answers_in(loaded.generation_config, languages)
        (answer,) = tokenize_answers(loaded, ["a"])
        assert answer[-1] == tokenizer.eos_token_id
        if start is None:
            assert loaded.generation_config.decoder_start_token_id == first
            assert first not in answer
        else:
            assert loaded.generation_config.forced_bos_token_id == first == answer[0]


def converted(tokens: list[str], source: str | None) -> PreTrainedTokenizerFast:
    """A tokenizer.json as converters write it, with nothing that knows of languages but its tokens."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", *(() if source else tokens)]
    backend = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if source:
        backend.add_special_tokens([AddedToken(token, special=True) for token in tokens])
        marked = [(source, backend.token_to_id(source)), ("</s>", 2)]
        backend.post_processor = processors.TemplateProcessing(f"{source} $A </s>", None, marked)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def test_m2m_100_is_known_by_its_tokens_alone() -> None:
    tokenizer = converted(["__en__", "__zh__"], "__en__")
    languages = languages_of(tokenizer, T5Config(), None, "zh")
    assert languages is not None
    assert (languages.source, languages.target) == ("en", "zh")
    loaded = loaded_with(tokenizer, 2, languages)
    assert first_token(loaded.generation_config, languages) == [tokenizer.convert_tokens_to_ids("__zh__")]
    with pytest.raises(CheckpointError, match="can't be set to 'zh'"):
        languages_of(tokenizer, T5Config(), "zh", "en")


def test_marian_is_told_by_a_word_before_the_source() -> None:
    languages = languages_of(converted([">>cmn<<", ">>jpn<<"], None), T5Config(), None, "jpn")
    assert languages is not None
    assert languages.target_prefixes == {"cmn": ">>cmn<< ", "jpn": ">>jpn<< "}
    assert source_prefix(T5Config(), "translation", languages, None, "jpn") == ">>jpn<< "


def test_an_unknown_language_is_named_with_those_near_it() -> None:
    tokenizer = tiny(NllbTokenizer, ["eng_Latn", "zho_Hans"])
    with pytest.raises(CheckpointError, match=r"target language 'zho_Latn'.*zho_Hans"):
        languages_of(tokenizer, T5Config(), "eng_Latn", "zho_Latn")
    assert languages_of(BPE, T5Config(), None, None) is None


def test_the_prefix_is_what_a_t5_says_for_the_task() -> None:
    config = T5Config()
    config.task_specific_params = {
        "summarization": {"prefix": "summarize: "},
        "translation_en_to_de": {"prefix": "translate English to German: "},
    }
    assert source_prefix(config, "translation", None, "en", "de").startswith("translate")
    with pytest.raises(CheckpointError, match="no prefix for en to fr, only for en_to_de"):
        source_prefix(config, "translation", None, "en", "fr")
    assert source_prefix(config, "summarization", None, None, None) == "summarize: "
    assert json.dumps(config.to_dict()["task_specific_params"])


# --- lengths, languages and turns of what training starts from


def test_the_length_depends_on_the_task_and_leaves_a_prompt_room() -> None:
    data = DataSettings(path="a")
    lengths = [Recipe(task=task, data=data).train.max_length for task in ("text-generation", "translation")]
    assert lengths == [512, 128]
    with pytest.raises(RecipeError, match=r"max_target_length must be below .* got 128 and 128"):
        Recipe(task="text-generation", data=DataSettings(path="x"), train=TrainSettings(max_length=128))


def test_random_weights_get_a_rate_and_epochs_of_their_own_unless_given() -> None:
    data = DataSettings(path="x")
    usual = Recipe(task="translation", base="scratch:t5-tiny", data=data)
    assert (usual.train.learning_rate, usual.train.epochs) == (1e-3, 10)
    assert usual.with_overrides(["train.epochs=2"]).train.epochs == 2
    given = Recipe(
        task="translation", base="scratch:t5-tiny", data=data, train=TrainSettings(learning_rate=1e-4)
    )
    assert given.train.learning_rate == 1e-4


def test_training_cuts_shorter_than_the_models_own_context() -> None:
    loaded = scratch("scratch:gpt2-tiny", "text-generation", tokenizer="bpe")
    example = [GenerationExample("ab" * 50 + "end", ("today",))]
    (row,) = tokenize_examples(loaded, example, max_target_length=8, max_length=20).rows
    assert len(row) == 20
    assert loaded.max_length == 32


@pytest.mark.parametrize(
    ("roles", "error"),
    [
        (["user", "robot"], "got robot"),
        (["user", "system"], "must be the first"),
        (["user", "user"], "two user turns"),
        (["user", "assistant", "assistant"], "two assistant turns"),
        (["tool", "user"], "after a user turn"),
    ],
)
def test_the_chat_template_refuses_turns_out_of_order(roles: list[str], error: str) -> None:
    tokenizer = learnt("bpe", chat=True, ends=False)
    with pytest.raises(TemplateError, match=error):
        tokenizer.apply_chat_template([{"role": role, "content": "x"} for role in roles], tokenize=False)


def test_the_chat_template_takes_tool_turns_after_a_users() -> None:
    roles = ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    turns = [{"role": role, "content": "x"} for role in roles]
    text = learnt("bpe", chat=True, ends=False).apply_chat_template(turns, tokenize=False)
    assert text.count("<|im_start|>") == len(roles)


def test_every_turn_of_the_assistant_is_learnt_as_an_answer_to_all_before_it() -> None:
    turns = [
        Message(role, content)
        for role, content in (
            ("system", "be kind"), ("assistant", "welcome"), ("user", "hi"), ("assistant", "hello"), ("user", "bye")
        )
    ]  # fmt: skip
    plain = GenerationExample(source="a prompt", targets=("an answer",))
    chat = GenerationExample(source="", targets=("so long",), messages=tuple(turns), row=7)
    found = assistant_turns([plain, chat])
    assert found == [plain, replace(chat, messages=tuple(turns[:3]), targets=("hello",)), chat]
