"""Chinese, Swahili, Arabic and Hebrew work in every encoder task, from data to bundle, with the commands."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.cli import succeeds, told
from tests.helpers.files import write_jsonl
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import ftool_runtime as ft

# What is said of a person who lives somewhere, gladly or not; names and places with vowel signs, joiners and spaces.
LANGUAGES: dict[str, dict[str, list[str]]] = {
    "zh": {
        "name": ["李娜", "王伟", "欧阳明"],
        "place": ["北京", "上海", "呼和浩特"],
        "text": ["{name}住在{place}，很{mood}。"],
        "mood": ["高兴", "难过"],
        "question": ["{name}住在哪里？"],
    },
    "sw": {
        "name": ["Juma", "Neema", "Mwana'idi"],
        "place": ["Mombasa", "Dar es Salaam", "Ng'ambo"],
        "text": ["{name} anaishi {place} na {mood} sana."],
        "mood": ["anafurahi", "anahuzunika"],
        "question": ["{name} anaishi wapi?"],
    },
    "ar": {
        "name": ["أحمد", "مُحَمَّد", "عبد\u200cالله"],
        "place": ["القاهرة", "الدَّار البيضاء", "دمشق"],
        "text": ["يعيش {name} في مدينة {place} وهو {mood}."],
        "mood": ["سعيد", "حزين"],
        "question": ["أين يعيش {name}؟"],
    },
    "he": {
        "name": ["דוד", "שָׂרָה", "רות"],
        "place": ["ירושלים", "תל אביב", "חֵיפָה"],
        "text": ["\u200f{name} גר בעיר {place} והוא {mood}."],
        "mood": ["שמח", "עצוב"],
        "question": ["היכן גר {name}?"],
    },
}
SETTINGS = [
    part
    for one in ("train.epochs=1", "train.batch_size=16", "train.threads=1", "train.max_length=64")
    for part in ("--set", one)
]


def statements() -> list[dict[str, Any]]:
    """Every name in every place in every mood: the text, what is in it and where, and a question about it."""
    found = []
    for language, words in LANGUAGES.items():
        for name in words["name"]:
            for place in words["place"]:
                for mood in words["mood"]:
                    text = words["text"][0].format(name=name, place=place, mood=mood)
                    found.append(
                        {
                            "text": text,
                            "language": language,
                            "label": "glad" if mood == words["mood"][0] else "sad",
                            "entities": [
                                {
                                    "start": text.index(part),
                                    "end": text.index(part) + len(part),
                                    "label": kind,
                                }
                                for part, kind in ((name, "person"), (place, "place"))
                            ],
                            "question": words["question"][0].format(name=name),
                            "context": text,
                            "answers": {"text": [place], "answer_start": [text.index(place)]},
                        }
                    )
    random.Random(0).shuffle(found)
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT whose word pieces were learnt from the texts; it takes accents off and cuts between Han."""
    folder = tmp_path_factory.mktemp("base")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = [one[key] for one in statements() for key in ("text", "question")]
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=64, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model_of(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains, measures and exports a task on rows, and hands back the model folder with its fp32 bundle."""

    def made(task: str, rows: list[dict[str, Any]], *settings: str) -> Path:
        folder = tmp_path_factory.mktemp(task)
        data = folder / "data"
        data.mkdir()
        for split, part in (("train", rows[:48]), ("validation", rows[48:60]), ("test", rows[60:])):
            write_jsonl(data / f"{split}.jsonl", part)
        more = [part for one in settings for part in ("--set", one)]
        succeeds("new", folder / "m", "--task", task, "--base", base, "--data", data, *SETTINGS, *more)
        succeeds("train", folder / "m")
        told("export", folder / "m", "--precision", "fp32", "--max-drop", 1)
        assert told("parity", folder / "m")["agreement"] == 1
        run, bundle = (told("evaluate", folder / "m", "--on", on)["metrics"] for on in ("run", "bundle"))
        figures = {name for name, value in run.items() if isinstance(value, float)}
        assert {name: bundle[name] for name in figures} == pytest.approx(
            {name: run[name] for name in figures}, abs=1e-4
        )
        return folder / "m"

    return made


def predicted(folder: Path, rows: list[dict[str, Any]], fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """What the command answers to a file of rows."""
    path = write_jsonl(folder / "asked.jsonl", [{name: row[name] for name in fields} for row in rows])
    return [json.loads(line) for line in succeeds("predict", folder, "--input", path).stdout.splitlines()]


def test_the_tokenizer_of_the_bundle_knows_every_character(base: Path) -> None:
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    assert not any("[UNK]" in tokenizer.encode(one["text"]).tokens for one in statements())


def test_texts_are_classified_in_every_language(model_of: Callable[..., Path]) -> None:
    rows = statements()
    fields = ("text", "label", "language")
    labelled = [{name: row[name] for name in fields} for row in rows]
    folder = model_of("text-classification", labelled, "train.method=head")
    answers = predicted(folder, rows, ("text",))
    assert [answer["text"] for answer in answers] == [row["text"] for row in rows]
    slices = told("evaluate", folder, "--by", "language", "--min-examples", 1)["slices"]["language"]
    assert {one["value"] for one in slices["slices"]} <= set(LANGUAGES)


def test_entities_have_their_places_in_the_given_text(model_of: Callable[..., Path]) -> None:
    rows = statements()
    folder = model_of(
        "token-classification",
        [{"text": row["text"], "entities": row["entities"]} for row in rows],
        "train.epochs=40",
        "train.learning_rate=5e-3",
        "train.early_stopping_patience=0",
        "train.evaluations_per_epoch=1",
    )
    answers = predicted(folder, rows, ("text",))
    assert [answer["text"] for answer in answers] == [row["text"] for row in rows]
    found = dict.fromkeys(LANGUAGES, 0)
    for row, answer in zip(rows, answers, strict=True):
        for one in answer["entities"]:
            assert row["text"][one["start"] : one["end"]] == one["text"]
        wanted = {(one["start"], one["end"], one["label"]) for one in row["entities"]}
        found[row["language"]] += len(
            wanted & {(one["start"], one["end"], one["label"]) for one in answer["entities"]}
        )
    # 18 texts a language with two entities each: learnt, with their vowel signs, joiners and spaces inside.
    assert min(found.values()) > 24, found


def test_answers_are_stretches_of_the_context_as_given(model_of: Callable[..., Path]) -> None:
    rows = statements()
    fields = ("question", "context", "answers")
    folder = model_of("question-answering", [{name: row[name] for name in fields} for row in rows])
    answers = predicted(folder, rows, ("question", "context"))
    for row, answer in zip(rows, answers, strict=True):
        assert answer["question"] == row["question"]
        if answer["answer"] is not None:
            assert row["context"][answer["start"] : answer["end"]] == answer["answer"]


def test_vectors_are_torchs_and_tell_the_texts_apart(model_of: Callable[..., Path]) -> None:
    rows = statements()
    pairs = [{"anchor": row["question"], "positive": row["text"]} for row in rows]
    folder = model_of("feature-extraction", pairs)
    with ft.load(folder / "bundle", threads=1) as model:
        vectors = model.outputs([row["text"] for row in rows])
    assert len({tuple(vector.round(4)) for vector in map(abs, vectors)}) == len(rows)
