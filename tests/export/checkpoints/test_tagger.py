"""Taggers: checkpoints, windows and entities equal those of transformers, and bundles give torch's answers."""

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertTokenizerFast,
    GPT2TokenizerFast,
    pipeline,
)

import ftool_runtime as ft
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.tagger import LoadedTagger, create_tagger, load_tagger
from ftool_export.errors import CheckpointError
from ftool_export.examples.tagging import TaggingExamples
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import InputContract, Manifest
from ftool_runtime.postprocessing.entities import AGGREGATIONS, find_entities, trimmed
from ftool_runtime.postprocessing.window_stitching import stitch
from ftool_runtime.text.encode import read_tokenizer
from ftool_runtime.text.windows import Window, WindowEncoder

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXTS = (
    "Ann Lee moved from Nairobi to São Paulo, in 2019.",
    "Mwangi's unbelievable tower (Antananarivo) doesn't stand",
    "  two\tspaces  and\nlines ",
    "José (e\u0301toile) was in 东京 and Beirut بيروت 👩‍👩‍👧 today",
    "ab " * 90,
)


@pytest.fixture(scope="session")
def checkpoint(save_tiny_bert: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT tagger whose word pieces are pairs of letters; wide weights, so that tags are of all kinds."""
    folder = tmp_path_factory.mktemp("tagger")
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*letters, *(a + b for a in letters for b in "aeioun"), *"0129.,'()东京"]
    save_tiny_bert(
        folder,
        [*pieces, *(f"##{piece}" for piece in pieces)],
        length=64,
        kind="BertForTokenClassification",
        seed=3,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
        initializer_range=0.5,
    )
    return folder


@pytest.fixture(scope="session")
def loaded(checkpoint: Path) -> LoadedTagger:
    return load_tagger(checkpoint)


@pytest.fixture(scope="session")
def bundle(loaded: LoadedTagger, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tagger-bundle") / "bundle"
    settings = ExportSettings(
        bundle=folder,
        name="tagger",
        precision="fp32",
    )
    report = export(settings, loaded, TaggingExamples(loaded=loaded, inputs=TEXTS))
    assert report.bundle == folder
    return folder


def test_a_checkpoint_of_transformers_loads_with_its_labels(loaded: LoadedTagger) -> None:
    assert loaded.labels == LABELS
    assert (loaded.max_length, loaded.stride) == (64, 16)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_entities_are_those_of_transformers(loaded: LoadedTagger, bundle: Path, aggregation: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tokenizers without word pieces
        theirs = pipeline(
            "token-classification",
            model=loaded.model.encoder,
            tokenizer=loaded.tokenizer,
            aggregation_strategy=aggregation,
        )
        expected = [theirs(text) for text in TEXTS[:3]]
    assert sum(map(len, expected)) > 10
    with ft.TokenTagger.load(bundle) as tagger:
        found = tagger(TEXTS[:3], aggregation=aggregation)
    for ours, reference in zip(found, expected, strict=True):
        names = [one.get("entity_group", one.get("entity")) for one in reference]
        assert [(one.label, one.start, one.end) for one in ours] == [
            (name, one["start"], one["end"]) for name, one in zip(names, reference, strict=True)
        ]
        np.testing.assert_allclose(
            [one.score for one in ours], [one["score"] for one in reference], atol=1e-4
        )  # torch and onnxruntime sum in another order


def test_a_bundle_says_what_torch_says_of_every_window(loaded: LoadedTagger, bundle: Path) -> None:
    assert len(loaded.windows(TEXTS)[-1]) > 1
    report = parity(loaded, bundle, TaggingExamples(loaded=loaded, inputs=TEXTS))
    assert report.passed
    assert report.agreement == 1
    assert report.batch_effect < 1e-5


def test_the_manifest_says_how_tags_become_entities(bundle: Path) -> None:
    manifest = Manifest.read(bundle)
    assert manifest.labels == LABELS
    assert manifest.entities is not None
    assert (manifest.entities.stride, manifest.entities.aggregation) == (16, "first")


def test_places_are_in_the_text_as_given(loaded: LoadedTagger) -> None:
    examples = TaggingExamples(loaded=loaded, inputs=TEXTS)
    for text, entities in zip(TEXTS, examples.entities(compute_outputs(loaded, examples.rows)), strict=True):
        assert entities
        assert all(one.text == text[one.start : one.end] == one.text.strip() for one in entities)


def test_other_labels_or_places_are_other_answers(loaded: LoadedTagger) -> None:
    examples = TaggingExamples(
        loaded=loaded, inputs=["ann lee", "ann"], words=[[(0, 3), (4, 7)], [(0, 3)]], metric="f1", scorer=len
    )
    logits = [np.zeros((len(row.ids), len(LABELS)), np.float32) for row in examples.rows]
    for row in logits:
        row[:, LABELS.index("B-PER")] = 4
    changed = [row.copy() for row in logits]
    changed[0][:, LABELS.index("B-LOC")] = 8
    assert examples.same(logits, logits).tolist() == [[True], [True]]
    assert examples.same(logits, changed).tolist() == [[False], [True]]
    assert examples.distances(logits, changed)[0] > 0.9
    assert examples.distances(logits, changed)[1] == 0
    assert examples.tags(changed) == [["B-LOC", "B-LOC"], ["B-PER"]]
    assert examples.score(logits) == 2  # the scorer gets the tags of every text


def test_a_tagger_is_written_as_transformers_reads_it(loaded: LoadedTagger, tmp_path: Path) -> None:
    loaded.save(tmp_path)
    again = load_tagger(tmp_path)
    assert (again.labels, again.max_length, again.stride, again.aggregation) == (LABELS, 64, 16, "first")
    theirs = AutoModelForTokenClassification.from_pretrained(tmp_path)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(value, loaded.model.encoder.state_dict()[name])


def test_a_base_gets_a_head_for_its_labels(checkpoint: Path) -> None:
    made = create_tagger(str(checkpoint), ("O", "B-x", "I-x"), max_length=128, base_name="tiny")
    assert made.labels == ("O", "B-x", "I-x")
    assert made.model.head.out_features == 3
    assert (made.max_length, made.stride, made.base) == (64, 21, "tiny")  # the checkpoint reads 64
    chosen = create_tagger(str(checkpoint), ("O", "B-x", "I-x"), max_length=128, stride=40)
    assert chosen.stride == 40  # a stride that was set is kept


def test_a_checkpoint_without_a_head_or_names_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    headless = tmp_path / "headless"
    shutil.copytree(checkpoint, headless)
    AutoModel.from_pretrained(checkpoint).save_pretrained(headless)
    with pytest.raises(CheckpointError, match="has no trained head for token classification"):
        load_tagger(headless)
    nameless = tmp_path / "nameless"
    shutil.copytree(checkpoint, nameless)
    config = json.loads((nameless / "config.json").read_text())
    config["id2label"] = {index: f"LABEL_{index}" for index in range(5)}
    config["label2id"] = {f"LABEL_{index}": index for index in range(5)}
    (nameless / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="does not name its labels"):
        load_tagger(nameless)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("OTHER", "B-PER", "I-PER", "B-LOC", "I-LOC"), 'so every word would be an entity; .* --outside-label OTHER'),
        (("PER", "LOC", "NONE", "ORG", "MISC"), r"\(PER, LOC, NONE, ORG, MISC\) is .* --outside-label NONE"),
        (("B-PER", "I-PER", "B-LOC", "I-LOC", "o"), "--outside-label o"),
        (("B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"), "of words outside entities with --outside-label NAME"),
    ],
)  # fmt: skip
def test_a_tagger_without_a_label_for_words_outside_entities_is_refused(
    relabelled: Callable[..., Path], labels: tuple[str, ...], words: str
) -> None:
    with pytest.raises(CheckpointError, match=words):
        load_tagger(relabelled(labels))


@pytest.mark.parametrize("label", ["OTHER", "none", "B-PER"])
def test_the_label_of_words_outside_entities_can_be_named(
    relabelled: Callable[..., Path], loaded: LoadedTagger, label: str
) -> None:
    folder = relabelled((label, "B-x", "I-x", "B-LOC", "I-LOC"))
    named = load_tagger(folder, outside_label=label)
    assert named.labels == ("O", "B-x", "I-x", "B-LOC", "I-LOC")
    examples = TaggingExamples(loaded=named, inputs=TEXTS[:2])
    places = [
        [(one.start, one.end) for one in found]
        for found in examples.entities(compute_outputs(named, examples.rows))
    ]
    same = TaggingExamples(loaded=loaded, inputs=TEXTS[:2])
    assert places == [
        [(one.start, one.end) for one in found] for found in same.entities(compute_outputs(loaded, same.rows))
    ]


@pytest.mark.parametrize(
    ("labels", "given", "words"),
    [
        (("OTHER", "B-PER", "I-PER", "B-LOC", "I-LOC"), "OTHERS", "its labels is 'OTHERS'; did you mean 'OTHER'?"),
        (("OTHER", "B-PER", "I-PER", "B-LOC", "I-LOC"), "x", "is 'x'; they are OTHER, B-PER, I-PER, B-LOC, I-LOC"),
        (LABELS, "B-PER", "beside which 'B-PER' can't be one; leave --outside-label out"),
    ],
)  # fmt: skip
def test_a_wrong_label_of_words_outside_entities_is_refused(
    relabelled: Callable[..., Path], labels: tuple[str, ...], given: str, words: str
) -> None:
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load_tagger(relabelled(labels), outside_label=given)


@pytest.mark.parametrize("label", ["OTHER", "none", "O"])
def test_a_base_gives_its_weights_to_the_label_of_words_outside_entities(
    relabelled: Callable[..., Path], loaded: LoadedTagger, label: str
) -> None:
    made = create_tagger(str(relabelled((label, *LABELS[1:]))), LABELS[::-1], max_length=64)
    torch.testing.assert_close(made.model.head.weight.flip(0), loaded.model.head.weight, rtol=0, atol=0)


def test_parts_of_speech_need_no_label_for_other_words(
    relabelled: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    labels = ("NOUN", "VERB", "ADJ", "PUNCT", "X")
    assert load_tagger(relabelled(labels)).labels == labels
    assert "no label is O, so every word is answered with its label" in caplog.text


@pytest.fixture
def relabelled(checkpoint: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the checkpoint with other names for its five tags."""

    def write(labels: tuple[str, ...]) -> Path:
        folder = tmp_path / "relabelled"
        shutil.copytree(checkpoint, folder)
        config = json.loads((folder / "config.json").read_text())
        config |= {
            "id2label": dict(enumerate(labels)),
            "label2id": {name: i for i, name in enumerate(labels)},
        }
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return write


LATIN = ("Ich sah Zürich\tund Malmo\u0308 heute", ("Zürich", "Malmo\u0308"))
CHINESE = ("价格在东京和 北京 ok", ("东京", "北京"))
EMOJI = ("love 👩‍👩‍👧 in NAIROBI 🇰🇪!", ("NAIROBI",))
WIDE = ("ＡＣＭＥ ㎏ ﬁrma  Großköln", ("ＡＣＭＥ", "Großköln"))
ARABIC = ("زرت بيروت أمس", ("بيروت",))
SWAHILI = ("Nilienda Dar es Salaam, jana.", ("Dar es Salaam",))
EVERY = (LATIN, CHINESE, EMOJI, WIDE, ARABIC, SWAHILI)
KNOWN = {  # what each has tokens for; an unknown token takes a whole run of words with it
    "bert-base-uncased": EVERY,
    "bert-base-chinese": EVERY,
    "bert-base-multilingual-cased": EVERY,
    "gpt2": EVERY,
    "t5-small": (LATIN, EMOJI, WIDE, ARABIC, SWAHILI),
}


@pytest.fixture(scope="module")
def tokenizer_files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """tokenizer.json of real vocabularies: word pieces, bytes and unigrams."""
    made = {}
    for name in KNOWN:
        source, folder = shared_data / "tokenizers" / name, tmp_path_factory.mktemp(name)
        if name == "t5-small":
            tokenizer = AutoTokenizer.from_pretrained(source)
        elif name == "gpt2":
            tokenizer = GPT2TokenizerFast(str(source / "vocab.json"), str(source / "merges.txt"))
        else:
            tokenizer = BertTokenizerFast(str(source / "vocab.txt"), do_lower_case="uncased" in name)
        tokenizer.save_pretrained(folder)
        made[name] = folder / "tokenizer.json"
    return made


@pytest.mark.parametrize(("name", "given"), [(name, one) for name, known in KNOWN.items() for one in known])
def test_real_tokenizers_lose_no_place(
    tokenizer_files: dict[str, Path], name: str, given: tuple[str, tuple[str, ...]]
) -> None:
    """A model that knows the places by character, behind every kind of tokenizer, in windows."""
    text, names = given
    contract = InputContract(names=("input_ids",), max_length=16)
    windows = WindowEncoder(read_tokenizer(tokenizer_files[name]), contract, 6).windows(text, 0)
    spans = [(text.index(one), text.index(one) + len(one)) for one in names]
    outputs = [oracle(window, text, spans) for window in windows]
    found = find_entities(text, stitch(text, windows, outputs, LABELS), LABELS, "first")
    assert [(one.text, one.start) for one in found] == [(text[start:end], start) for start, end in spans]


def oracle(window: Window, text: str, spans: list[tuple[int, int]]) -> NDArray[np.float32]:
    """Logits (tokens, labels) that know which tokens begin or go on with an entity."""
    logits = np.zeros((len(window.offsets), len(LABELS)), np.float32)
    for position in window.text_positions:
        start, end = trimmed(text, window.offsets[position])
        touched = [span for span in spans if end > span[0] and start < span[1]]
        tag = "O" if not touched else "B-LOC" if start <= touched[0][0] else "I-LOC"
        logits[position, LABELS.index(tag)] = 5
    return logits
