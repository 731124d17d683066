"""Metrics of generated texts equal published examples and the output of the metric libraries' command lines."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftool.errors import RecipeError
from ftool.evaluation.languages import sentences, units, writing_system_of
from ftool.evaluation.metrics.generation import ScoreFamily, score_called, text_metrics, token_metrics
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.tasks.registry import find_task
from ftool_runtime.errors import InputError

FAMILY: dict[str, ScoreFamily] = {"translation": "bleu", "summarization": "rouge", "text-generation": "rouge"}

DOG = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
DOG_REFERENCES = [
    ["The dog bit the man.", "The dog had bit the man."],
    ["It was not unexpected.", "No one was surprised."],
    ["The man bit him first.", "The man had bitten the dog."],
]


def test_bleu_and_chrf_are_those_of_sacrebleus_readme_and_command() -> None:
    metrics = text_metrics(DOG, DOG_REFERENCES, scores="bleu", language="en")
    assert metrics["bleu"] == pytest.approx(0.48530827, abs=1e-8)  # README of sacreBLEU: 48.53
    assert metrics["chrf"] == pytest.approx(0.59153104, abs=1e-8)  # sacrebleu -m chrf --chrf-word-order 2
    assert metrics["signatures"]["bleu"].startswith("nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert metrics["signatures"]["chrf"].startswith("nrefs:2|case:mixed|eff:yes|nc:6|nw:2|space:no|version:")


@pytest.mark.parametrize(
    ("language", "written", "references", "bleu", "chrf", "tokenizer"),
    [  # sacrebleu -m bleu chrf --chrf-word-order 2 -w 6 -tok zh, and ja-mecab
        (
            "zh",
            ["我喜欢猫。", "今天天气好，我们去公园。"],
            ["我很喜欢猫。", "今天天气很好，我们去公园吧。"],
            0.62143645,
            0.43933140,
            "tok:zh",
        ),
        (
            "ja",
            ["私は猫が好きです。", "今日は天気がいい、公園に行こう。"],
            ["私は猫がとても好きです。", "今日は天気がいいので公園に行きましょう。"],
            0.45265353,
            0.37185135,
            "tok:ja-mecab",
        ),
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_chinese_and_japanese_are_scored_by_their_own_words(
    language: str,
    written: list[str],
    references: list[str],
    bleu: float,
    chrf: float,
    tokenizer: str,
    told: bool,
) -> None:
    code = language if told else None  # else by the script of the references
    metrics = text_metrics(written, [[text] for text in references], scores="bleu", language=code)
    assert metrics["bleu"] == pytest.approx(bleu, abs=1e-8)
    assert metrics["chrf"] == pytest.approx(chrf, abs=1e-8)
    assert tokenizer in metrics["signatures"]["bleu"]


def test_another_number_of_references_a_text_is_taken() -> None:
    references = [DOG_REFERENCES[0], DOG_REFERENCES[1][:1], DOG_REFERENCES[2]]
    metrics = text_metrics(DOG, references, scores="bleu")
    assert "nrefs:var" in metrics["signatures"]["bleu"]
    assert 0 < metrics["bleu"] < 1


def test_rouge_is_that_of_its_readme() -> None:
    metrics = text_metrics(
        ["The quick brown dog jumps on the log."],
        [["The quick brown fox jumps over the lazy dog"]],
        scores="rouge",
    )
    # README and command line of rouge-score, --use_stemmer=true
    assert metrics["rouge1"] == pytest.approx(0.705882, abs=1e-6)
    assert metrics["rouge2"] == pytest.approx(0.266667, abs=1e-6)
    assert metrics["rougeL"] == pytest.approx(0.588235, abs=1e-6)
    assert metrics["rougeLsum"] == pytest.approx(0.588235, abs=1e-6)
    assert "words, stemmed" in metrics["signatures"]["rouge"]


def test_rouge_l_is_that_of_lins_paper() -> None:
    reference = [["police killed the gunman"]]
    same_order = text_metrics(["police kill the gunman"], reference, scores="rouge", language="xx")
    other_order = text_metrics(["the gunman kill police"], reference, scores="rouge", language="xx")
    assert same_order["rougeL"] == pytest.approx(3 / 4)  # Lin 2004, section 3: S2
    assert other_order["rougeL"] == pytest.approx(2 / 4)  # and S3


def test_english_is_stemmed_and_other_languages_are_not() -> None:
    pair = (["kills"], [["killed"]])
    assert text_metrics(*pair, scores="rouge", language="en")["rouge1"] == 1
    assert text_metrics(*pair, scores="rouge", language="de")["rouge1"] == 0


def test_rouge_sum_reads_a_summary_sentence_by_sentence() -> None:
    metrics = text_metrics(
        ["The cat slept. A dog ran."], [["A dog ran. The cat slept."]], scores="rouge", language="en"
    )
    assert metrics["rougeLsum"] == pytest.approx(1)  # the same sentences in another order
    assert metrics["rougeL"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("written", "reference"),
    [("我喜欢猫", "我很喜欢猫"), ("Я люблю кошек", "Я очень люблю кошек"), ("나는 고양이", "나는 큰 고양이")],
)
def test_rouge_drops_no_script(written: str, reference: str) -> None:
    score = text_metrics([written], [[reference]], scores="rouge")["rouge1"]
    overlap, total = len(units(written)), len(units(written)) + len(units(reference))
    assert score == pytest.approx(2 * overlap / total)


def test_the_best_of_several_references_counts() -> None:
    metrics = text_metrics(["a b"], [["c d", "a b"]], scores="rouge", language="en")
    assert (metrics["rougeL"], metrics["exact_match"]) == (1, 1)


def test_exact_match_minds_all_but_spaces_at_the_ends() -> None:
    metrics = text_metrics([" 2021-03-03\n", "2021-3-3"], [["2021-03-03"]] * 2, scores="bleu")
    assert metrics["exact_match"] == 0.5


def test_length_ratio_counts_words_or_characters() -> None:
    assert text_metrics(["a b c"], [["a b"]], scores="bleu")["length_ratio"] == 1.5
    assert text_metrics(["我喜欢"], [["我很喜欢猫。"]], scores="bleu")["length_ratio"] == 3 / 5


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("so 1,200\n#### 1200", True),
        ("#### $1,200.00", True),
        ("#### 12\n#### 1200", True),  # the last one counts
        ("1200", False),  # as gsm8k's own evaluation has it
        ("#### 1201", False),
        ("####", False),
        ("#### twelve", False),
    ],
)
def test_a_final_number_is_compared_by_value(written: str, right: bool) -> None:
    metrics = text_metrics([written, "x"], [["…\n#### 1,200"], ["no number"]], scores="rouge")
    assert metrics["answer_accuracy"] == float(right)


def test_without_final_numbers_there_is_no_such_accuracy() -> None:
    assert "answer_accuracy" not in text_metrics(["a"], [["b"]], scores="rouge")


@pytest.mark.parametrize("task", ["summarization", "translation", "text-generation"])
def test_a_perfect_answer_has_one_and_an_empty_one_nought(task: str) -> None:
    references = [["What is 1 + 1 today, my friend?\n#### 2"], ["Four words are enough for a score."]]
    perfect = text_metrics([texts[0] for texts in references], references, scores=FAMILY[task])
    empty = text_metrics(["", " "], references, scores=FAMILY[task])
    for name in find_task(task).metrics:
        if name != "token_accuracy":
            assert perfect[name] == pytest.approx(1)
            assert perfect[name] <= 1
            assert empty[name] == 0
    assert (perfect["length_ratio"], empty["length_ratio"]) == (1, 0)


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_TEXTS, st.lists(_TEXTS, min_size=1, max_size=3)), min_size=1, max_size=3))
@pytest.mark.parametrize("task", ["translation", "summarization"])
def test_whatever_is_written_scores_between_nought_and_one(
    task: str, rows: list[tuple[str, list[str]]]
) -> None:
    metrics = text_metrics([row[0] for row in rows], [row[1] for row in rows], scores=FAMILY[task])
    assert all(0 <= metrics[name] <= 1 for name in find_task(task).metrics if name in metrics)
    assert math.isfinite(metrics["length_ratio"])


@pytest.mark.parametrize(("predictions", "references"), [([], []), (["a"], []), (["a"], [["b"], ["c"]])])
def test_texts_without_references_are_refused(predictions: list[str], references: list[list[str]]) -> None:
    with pytest.raises(InputError, match="metrics need at least one text, and a list of references"):
        text_metrics(predictions, references, scores="bleu")


def test_even_logits_have_the_vocabularys_size_as_perplexity() -> None:
    metrics = token_metrics([(np.zeros((5, 11), dtype=np.float32), [0, 1, 2, 3, 4])])
    assert metrics["perplexity"] == pytest.approx(11)


def test_tokens_count_alike_whatever_row_they_stand_in() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]], dtype=np.float32))
    metrics = token_metrics([(logits[:1], [0]), (logits[:0], []), (logits[1:], [1, 0])])
    assert metrics["token_accuracy"] == pytest.approx(2 / 3)
    assert metrics["perplexity"] == pytest.approx((1 / (0.5 * 0.75 * 0.25)) ** (1 / 3))  # by definition


def test_large_logits_overflow_nothing() -> None:
    logits = np.array([[3e4, -3e4], [0, 3e4]], dtype=np.float32)
    right, wrong = token_metrics([(logits, [0, 1])]), token_metrics([(logits, [1, 0])])
    assert right == {"token_accuracy": 1, "perplexity": 1}
    assert wrong["token_accuracy"] == 0
    assert math.isfinite(wrong["perplexity"])


def test_tokens_and_logits_must_be_as_many() -> None:
    with pytest.raises(InputError, match="2 tokens can't be scored by 1 rows of logits"):
        token_metrics([(np.zeros((1, 3), dtype=np.float32), [0, 1])])
    with pytest.raises(InputError, match="no token to score"):
        token_metrics([])


def recipe(task: str, metric: str | None = None) -> Recipe:
    return Recipe(task=task, data=DataSettings(path="x"), train=TrainSettings(metric=metric))


def test_the_recipe_or_else_the_task_says_which_metric_decides() -> None:
    assert [recipe(task).train.metric for task in ("translation", "summarization", "text-generation")] == [
        "bleu",
        "rougeL",
        "token_accuracy",
    ]
    assert recipe("translation", "exact_match").train.metric == "exact_match"
    with pytest.raises(RecipeError, match="must be one of bleu, chrf, exact_match"):
        recipe("translation", "rougeL")


def test_a_score_that_the_data_has_not_says_why() -> None:
    assert score_called("bleu", {"bleu": 0.25}) == 0.25
    with pytest.raises(
        InputError, match="no score answer_accuracy, since no reference holds ####; they have bleu"
    ):
        score_called("answer_accuracy", {"bleu": 0.5, "signatures": {}})


@pytest.mark.parametrize(
    ("language", "texts", "writing"),
    [
        ("zh", [], "chinese"),
        ("zh_CN", [], "chinese"),
        ("zho_Hans", [], "chinese"),
        ("cmn", [], "chinese"),
        ("ja-JP", [], "japanese"),
        ("kor_Hang", [], "korean"),
        ("Chinese", [], "chinese"),
        ("tha", [], "unspaced"),
        ("de", ["我"], "spaced"),
        (None, ["我喜欢 Python 的 asyncio 模块。"], "chinese"),
        (None, ["ファイルを開く"], "japanese"),
        (None, ["東京は日本の首都である"], "japanese"),
        (None, ["파일을 열다"], "korean"),
        (None, ["Я"], "spaced"),
        (None, ["ราคา"], "unspaced"),
        (None, ["The word 我 means I, and this is English."], "english"),
        (None, ["2021-03-03"], "english"),
        (None, [], "english"),
    ],
)
def test_writing_follows_from_the_language_or_the_script(
    language: str | None, texts: list[str], writing: str
) -> None:
    assert writing_system_of(language, texts) == writing


def test_units_are_words_and_characters() -> None:
    assert units("Use asyncio模块, don't_wait!") == ["use", "asyncio", "模", "块", "don", "t", "wait"]


def test_sentences_end_at_marks_and_lines() -> None:
    assert sentences("One. Two!\nThree 3.5 四。五？") == ["One.", "Two!", "Three 3.5 四。", "五？"]
