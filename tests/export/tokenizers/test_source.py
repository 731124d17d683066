"""Tokenizers are made from a checkpoint's files: they give the ids of the original library, or a reason for refusal.

If shared/data exists, the vocabularies of bert-base-uncased, bert-base-chinese, bert-base-multilingual-cased, gpt2 and
t5-small are used. Small sentencepiece models are trained by the tests.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tests.helpers.paths import SHARED_DATA
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ftool_export.errors import CheckpointError
from ftool_export.tokenizers.source import load_tokenizer
from ftool_export.tokenizers.texts import TEXTS
from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.text.encode import TokenEncoder
from ftool_runtime.text.encode import read_tokenizer as runtime_tokenizer

REAL = SHARED_DATA / "tokenizers"
slow = pytest.mark.slow
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs shared/data/tokenizers beside the checkout")

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a checkpoint folder without weights: a model type, files, and what tokenizer_config.json says."""

    def write(model_type: str, *files: Path, says: dict[str, Any] | None = None, **names: Path) -> str:
        folder = tmp_path / model_type
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        if says is not None:
            (folder / "tokenizer_config.json").write_text(json.dumps(says))
        for path in files:
            shutil.copy(path, folder / path.name)
        for name, path in names.items():
            shutil.copy(path, folder / name.replace("_model", ".model").replace("_bpe", ".bpe"))
        return str(folder)

    return write


@pytest.fixture(scope="session")
def train_pieces(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains a small sentencepiece model on the texts, with the special tokens that an architecture wants."""

    def trained(**settings: Any) -> Path:
        prefix = tmp_path_factory.mktemp("pieces") / "m"
        SentencePieceTrainer.train(
            **{
                "sentence_iterator": iter(TEXTS * 20), "model_prefix": str(prefix), "vocab_size": 420,
                "character_coverage": 1.0, "hard_vocab_limit": False, "num_threads": 1, "minloglevel": 2, **settings,
            }
        )  # fmt: skip
        return prefix.with_suffix(".model")

    return trained


def contract(max_length: int = 512) -> InputContract:
    return InputContract(
        names=("input_ids", "attention_mask"), max_length=max_length, padding_side="right", pad_token_id=0, prefix=""
    )  # fmt: skip


def assert_runtime_reads_it_alike(tokenizer: Any, folder: Path) -> None:
    """The runtime's ids, from tokenizer.json alone, against those that transformers gives torch."""
    tokenizer.save_pretrained(folder)
    encoder = TokenEncoder(runtime_tokenizer(folder / "tokenizer.json"), contract())
    for text in TEXTS:
        assert encoder.encode(text, 0).ids == tokenizer(text)["input_ids"]
    assert encoder.encode(TEXTS[0], 0, TEXTS[5]).ids == tokenizer(TEXTS[0], TEXTS[5])["input_ids"]


# --- vocabularies of WordPiece


@needs_real
@pytest.mark.parametrize(
    "model_type", ["bert", *(pytest.param(name, marks=slow) for name in ("distilbert", "electra", "mpnet"))]
)
@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-base-chinese", "bert-base-multilingual-cased"])
def test_vocab_txt_becomes_a_tokenizer_that_the_runtime_reads_alike(
    name: str, model_type: str, write: Write, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(write(model_type, REAL / name / "vocab.txt"))
    lines = (REAL / name / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    vocabulary = tokenizer.get_vocab()
    assert all(vocabulary[word] == number for number, word in enumerate(lines) if word.strip("#").strip())
    assert_runtime_reads_it_alike(tokenizer, tmp_path / "saved")


@needs_real
def test_a_cased_vocabulary_keeps_capitals_where_no_file_says_so(write: Write) -> None:
    tokenizer = load_tokenizer(write("bert", REAL / "bert-base-multilingual-cased" / "vocab.txt"))
    assert tokenizer.tokenize("Hello") == ["Hello"]
    uncased = load_tokenizer(write("electra", REAL / "bert-base-uncased" / "vocab.txt"))
    assert uncased.tokenize("Hello") == ["hello"]


@needs_real
def test_what_tokenizer_config_says_of_capitals_holds(write: Write) -> None:
    path = REAL / "bert-base-multilingual-cased" / "vocab.txt"
    assert load_tokenizer(write("bert", path, says={"do_lower_case": True})).tokenize("Hello") == [
        "hell",
        "##o",
    ]


def test_tokenizer_json_that_keeps_capitals_is_taken_as_it_is(write: Write, tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "All"]
    backend = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.save(str(tmp_path / "tokenizer.json"))
    folder = write("bert", tmp_path / "tokenizer.json", says={"tokenizer_class": "BertTokenizer"})
    tokenizer = load_tokenizer(folder)  # transformers' own class would lower-case it and find nothing
    assert tokenizer("All")["input_ids"] == [2, 5, 3]
    tokenizer.save_pretrained(folder)
    assert load_tokenizer(folder)("All")["input_ids"] == [2, 5, 3]


# --- byte-level BPE


@needs_real
@pytest.mark.parametrize("model_type", ["gpt2", "roberta"])
def test_merges_become_a_tokenizer_that_gives_every_text_back(
    model_type: str, write: Write, tmp_path: Path
) -> None:
    files = [REAL / "gpt2" / "vocab.json", REAL / "gpt2" / "merges.txt"]
    tokenizer = load_tokenizer(write(model_type, *files))
    vocabulary = json.loads(files[0].read_text(encoding="utf-8"))
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
        assert ids == [vocabulary[piece] for piece in tokenizer.tokenize(text)]
    # As OpenAI's encoder has it (github.com/openai/gpt-2, encoder.py).
    assert tokenizer("Hello world", add_special_tokens=False)["input_ids"] == [15496, 995]
    assert_runtime_reads_it_alike(tokenizer, tmp_path / "saved")


# --- sentencepiece


@needs_real
def test_the_sentencepiece_model_of_t5_gives_the_ids_of_its_tokenizer_json(
    write: Write, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(write("t5", REAL / "t5-small" / "spiece.model"))
    published = Tokenizer.from_file(str(REAL / "t5-small" / "tokenizer.json"))
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == published.encode(text).ids
    assert_runtime_reads_it_alike(tokenizer, tmp_path / "saved")


def test_xlm_robertas_pieces_have_sentencepieces_numbers_plus_one(
    train_pieces: Callable[..., Path], write: Write, tmp_path: Path
) -> None:
    model = train_pieces()
    tokenizer = load_tokenizer(write("xlm-roberta", sentencepiece_bpe_model=model))
    processor = SentencePieceProcessor(model_file=str(model))
    for text in TEXTS:
        wanted = [number + 1 if number else 3 for number in processor.encode(text)]  # <unk> is 3
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == wanted
    assert_runtime_reads_it_alike(tokenizer, tmp_path / "saved")


DEBERTA = {
    "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3,
    "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]",
}  # fmt: skip


def test_debertas_pieces_are_normalised_by_the_models_own_table(
    train_pieces: Callable[..., Path], write: Write, tmp_path: Path
) -> None:
    model = train_pieces(**DEBERTA)
    folder = write("deberta-v2", spm_model=model)
    tokenizer = load_tokenizer(folder)  # transformers 5.23 alone makes unknown tokens of full-width letters
    processor = SentencePieceProcessor(model_file=str(model))
    for text in TEXTS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == processor.encode(text)
    assert tokenizer("a")["input_ids"][0] == 1
    assert tokenizer("a")["input_ids"][-1] == 2
    assert_runtime_reads_it_alike(tokenizer, tmp_path / "saved")
    # Written and read again, by the same class name, the table is still there.
    saved = tmp_path / "again"
    tokenizer.save_pretrained(saved)
    (saved / "config.json").write_text('{"model_type": "deberta-v2"}')
    assert load_tokenizer(str(saved))(TEXTS[13])["input_ids"] == tokenizer(TEXTS[13])["input_ids"]


def test_a_debertas_tokenizer_json_keeps_the_table_that_transformers_drops(
    train_pieces: Callable[..., Path], write: Write, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(write("deberta-v2", spm_model=train_pieces(**DEBERTA)))
    saved = tmp_path / "published"
    tokenizer.save_pretrained(saved)
    says = json.loads((saved / "tokenizer_config.json").read_text())
    says |= {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": False}  # as transformers 4 wrote it
    (saved / "tokenizer_config.json").write_text(json.dumps(says))
    (saved / "config.json").write_text('{"model_type": "deberta-v2"}')
    assert load_tokenizer(str(saved))(TEXTS[13])["input_ids"] == tokenizer(TEXTS[13])["input_ids"]


def test_alberts_pieces_are_those_of_its_model_after_alberts_own_preparation(
    train_pieces: Callable[..., Path], write: Write, tmp_path: Path
) -> None:
    model = train_pieces(
        pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]"],
        user_defined_symbols=["[MASK]"], sentence_iterator=iter((TEXTS[0], *TEXTS[13:16]) * 20), vocab_size=110,
    )  # fmt: skip
    tokenizer = load_tokenizer(write("albert", spiece_model=model))
    assert tokenizer("ÉTÉ")["input_ids"] == tokenizer("ete")["input_ids"]
    assert_runtime_reads_it_alike(tokenizer, tmp_path / "saved")


def test_a_conversion_that_cuts_otherwise_is_refused_with_the_text(
    train_pieces: Callable[..., Path], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write("deberta-v2", spm_model=train_pieces(**DEBERTA))
    monkeypatch.setattr("ftool_export.tokenizers.source._with_table", lambda tokenizer, _: tokenizer)
    with pytest.raises(
        CheckpointError, match=r"spm.model: this file splits '.*' into .*, but after .* it becomes .*\[UNK\]"
    ):
        load_tokenizer(folder)


def test_a_vocabulary_without_the_special_tokens_is_refused(
    train_pieces: Callable[..., Path], write: Write
) -> None:
    with pytest.raises(CheckpointError, match=r"lacks a special token that its kind of tokenizer needs"):
        load_tokenizer(write("albert", spiece_model=train_pieces()))


# --- what can't be a tokenizer.json


def test_tiktokens_form_is_refused(write: Write, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_text("aGVsbG8= 0\nd29ybGQ= 1\n")
    with pytest.raises(CheckpointError, match="if it is a tiktoken file, a bundle can't ship it"):
        load_tokenizer(write("llama", tmp_path / "tokenizer.model"))


def test_code_in_a_checkpoint_is_refused_and_not_run(write: Write, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit('this ran')\n")
    says = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    with pytest.raises(
        CheckpointError,
        match=r"its tokenizer is the checkpoint's own Python code \(auto_map\), which ftool does not run",
    ):
        load_tokenizer(write("bert", tmp_path / "own.py", says=says))


def test_a_tokenizer_in_python_is_refused_with_its_name(write: Write) -> None:
    with pytest.raises(CheckpointError, match="ByT5Tokenizer is Python code"):
        load_tokenizer(write("t5", says={"tokenizer_class": "ByT5Tokenizer"}))


# --- every kind of model, from tokenizer.json alone


SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
BYTES = [f"<0x{value:02X}>" for value in range(256)]


def trained(kind: str) -> Tokenizer:
    """A tokenizer of a kind, trained on the texts; byte-level BPE and byte fallback know every character."""
    learn: dict[str, Any] = {"vocab_size": 500, "special_tokens": SPECIAL, "show_progress": False}
    if kind == "unigram":
        tokenizer, trainer = Tokenizer(models.Unigram()), trainers.UnigramTrainer
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        learn |= {"unk_token": "<unk>"}
    elif kind == "wordpiece":
        tokenizer, trainer = Tokenizer(models.WordPiece(unk_token="<unk>")), trainers.WordPieceTrainer
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind == "byte-level bpe":
        tokenizer, trainer = Tokenizer(models.BPE()), trainers.BpeTrainer
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        learn |= {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
    else:  # characters, and bytes for those unknown, as Llama and Gemma have it
        model = models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True)
        tokenizer, trainer = Tokenizer(model), trainers.BpeTrainer
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        learn |= {"special_tokens": SPECIAL + BYTES, "limit_alphabet": 60}
    tokenizer.train_from_iterator(TEXTS, trainer(**learn))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return tokenizer


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "byte-level bpe"])
def test_every_kind_of_tokenizer_runs_from_tokenizer_json_alone(kind: str, tmp_path: Path) -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained(kind),
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
    )
    assert_runtime_reads_it_alike(tokenizer, tmp_path / "saved")
    assert {path.name for path in (tmp_path / "saved").iterdir()} >= {"tokenizer.json"}
    encoder = TokenEncoder(runtime_tokenizer(tmp_path / "saved" / "tokenizer.json"), contract(max_length=8))
    cut = encoder.encode(TEXTS[1], 0)
    assert (len(cut.ids), cut.truncated) == (8, True)
    assert cut.ids == tokenizer(TEXTS[1], truncation=True, max_length=8)["input_ids"]


WITHOUT = [
    ("bert", {}, "none of tokenizer.json, vocab.txt)"),
    ("distilbert", {"tokenizer_config.json": "{}"}, "none of tokenizer.json, vocab.txt)"),
    ("bert", {"vocab.json": '{"a": 0}', "merges.txt": "#version: 0.2"}, "none of tokenizer.json, vocab.txt)"),
    ("gpt2", {}, "none of tokenizer.json, vocab.json, merges.txt)"),
    ("roberta", {"tokenizer_config.json": "{}"}, "none of tokenizer.json, vocab.json, merges.txt)"),
    ("roberta", {"vocab.json": '{"<unk>": 0, "a": 1}'}, "lacks merges.txt"),
    ("gpt2", {"merges.txt": "#version: 0.2\na b\n"}, "lacks vocab.json"),
    ("t5", {}, "none of tokenizer.json, spiece.model)"),
    ("t5", {"special_tokens_map.json": "{}"}, "none of tokenizer.json, spiece.model)"),
    ("llama", {}, "none of tokenizer.json, "),
    ("llama", {"tokenizer_config.json": '{"tokenizer_class": "LlamaTokenizer"}'}, "none of tokenizer.json, "),
    ("gemma", {"chat_template.jinja": "{{ messages }}"}, "none of tokenizer.json)"),
    ("xlm-roberta", {}, "none of tokenizer.json, sentencepiece.bpe.model)"),
    ("marian", {"tokenizer_config.json": "{}"}, "none of tokenizer.json, "),
]


@pytest.mark.parametrize(
    ("model_type", "files", "told"), WITHOUT, ids=[f"{kind}-{'-'.join(files)}" for kind, files, _ in WITHOUT]
)
def test_no_tokenizer_is_made_up_where_the_vocabulary_is_missing(
    write: Write, model_type: str, files: dict[str, str], told: str
) -> None:
    """transformers would make a tokenizer of a few special tokens, to which every word is unknown."""
    source = write(model_type)
    for name, content in files.items():
        (Path(source) / name).write_text(content)
    with pytest.raises(CheckpointError, match=re.escape(told)) as caught:
        load_tokenizer(source)
    assert source in str(caught.value)
    assert "copy" in str(caught.value)
