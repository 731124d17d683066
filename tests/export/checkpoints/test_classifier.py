"""The torch classifier computes what it should, and without ftool its run/ loads to a model with the same logits."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.helpers.checkpoint_kinds import change
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from ftool_export.checkpoints.classifier import (
    LoadedClassifier,
    compute_features,
    compute_logits,
    create_classifier,
    load_classifier,
)
from ftool_export.checkpoints.encoder import all_rows
from ftool_export.errors import CheckpointError
from ftool_export.examples.classification import ClassificationExamples
from ftool_runtime.postprocessing.classification import classify

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "turn",
    "the",
    "lights",
    "off",
    "play",
    "some",
    "music",
    "now",
    "query:",
]
TEXTS = ["turn the lights off", "play", "play some music now turn the lights off now", "music some"]
LABELS = ["lights", "music", "other"]
EXACT = 1e-6  # float32 on logits of about 1, sums in another order


def write_tokenizer(folder: Path, *, token_types: bool = True) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names = ["input_ids", *(["token_type_ids"] if token_types else []), "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=names, **special).save_pretrained(
        folder
    )


def tiny_config(architecture: str, **settings: Any) -> Any:
    sizes: dict[str, Any] = {
        "bert": {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        },
        "roberta": {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        },
        "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
        "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    }[architecture]
    positions = "n_positions" if architecture == "gpt2" else "max_position_embeddings"
    common = {"vocab_size": len(WORDS), positions: 20, "pad_token_id": 0}
    kind = {
        "bert": "BertConfig",
        "roberta": "RobertaConfig",
        "distilbert": "DistilBertConfig",
        "gpt2": "GPT2Config",
    }
    return getattr(transformers, kind[architecture])(**{**common, **sizes, **settings})


@pytest.fixture(scope="module")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def make(architecture: str, *, classifier: bool, **settings: Any) -> Path:
        folder = tmp_path_factory.mktemp(architecture)
        torch.manual_seed(0)
        config = tiny_config(architecture, **settings)
        auto = AutoModelForSequenceClassification if classifier else AutoModel
        auto.from_config(config).save_pretrained(folder)
        write_tokenizer(folder, token_types=architecture == "bert")
        return folder

    return make


@pytest.fixture(scope="module")
def encoder(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint("bert", classifier=False)


def with_layout(
    encoder: Path, folder: Path, *, pooling: str, normalize: bool, prompt: str = "", length: int = 12
) -> Path:
    """The encoder with sentence-transformers' files, as its version 2 wrote them."""
    shutil.copytree(encoder, folder)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    modules = [{"idx": i, "path": f"{i}_{k}" if i else "", "type": f"x.{k}"} for i, k in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length}))
    if prompt:
        prompts = {"prompts": {"q": prompt}, "default_prompt_name": "q"}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def with_random_head(loaded: LoadedClassifier) -> LoadedClassifier:
    torch.manual_seed(1)
    with torch.no_grad():
        loaded.model.head.weight.normal_()
        loaded.model.head.bias.normal_()
    return loaded


def saved(loaded: LoadedClassifier, folder: Path) -> Path:
    folder.mkdir()
    loaded.save(folder)
    return folder


@pytest.mark.parametrize(
    ("pooling", "normalize"), [("mean", True), ("mean", False), ("cls", True), ("cls", False)]
)
def test_sentence_transformers_gives_the_logits_of_a_saved_run(
    encoder: Path, tmp_path: Path, pooling: str, normalize: bool
) -> None:
    from sentence_transformers import SentenceTransformer

    mode = {"mean": "mean_tokens", "cls": "cls_token"}[pooling]
    base = with_layout(encoder, tmp_path / "base", pooling=mode, normalize=normalize, prompt="query: ")
    loaded = with_random_head(create_classifier(str(base), LABELS, multi_label=False))
    assert (loaded.model.pooling, loaded.model.normalize, loaded.prefix) == (pooling, normalize, "query: ")
    run = saved(loaded, tmp_path / "run")
    encoded = SentenceTransformer(str(run), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(encoded, compute_logits(loaded, TEXTS), atol=EXACT)


def test_plain_transformers_rebuilds_the_logits_of_a_saved_run(encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    loaded = with_random_head(create_classifier(str(encoder), LABELS, multi_label=False))
    run = saved(loaded, tmp_path / "run")
    inputs = AutoTokenizer.from_pretrained(run)(TEXTS, padding=True, return_tensors="pt")
    model = AutoModel.from_pretrained(run).eval()
    head = load_file(next(run.glob("*_Dense")) / "model.safetensors")
    with torch.inference_mode():
        hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    logits = (hidden * mask).sum(1) / mask.sum(1) @ head["linear.weight"].T + head["linear.bias"]
    np.testing.assert_allclose(logits.numpy(), compute_logits(loaded, TEXTS), atol=EXACT)
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.problem_type == "single_label_classification"


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert"])
def test_a_run_with_the_checkpoints_own_head_loads_as_a_sequence_classifier(
    make_checkpoint: Callable[..., Path], tmp_path: Path, architecture: str
) -> None:
    base = make_checkpoint(architecture, classifier=False)
    loaded = create_classifier(str(base), LABELS, multi_label=True, pooling="pooler")
    run = saved(loaded, tmp_path / "run")
    inputs = AutoTokenizer.from_pretrained(run)(TEXTS, padding=True, return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(run).eval()
    with torch.inference_mode():
        expected = model(**inputs).logits.numpy()
    np.testing.assert_allclose(compute_logits(loaded, TEXTS), expected, atol=EXACT)
    np.testing.assert_allclose(compute_logits(load_classifier(run), TEXTS), expected, atol=EXACT)
    assert load_classifier(run).multi_label


def test_loading_brings_back_everything_that_was_saved(encoder: Path, tmp_path: Path) -> None:
    made = create_classifier(str(encoder), LABELS, multi_label=True, max_length=9, base_name="a/b")
    made = replace(
        with_random_head(made),
        thresholds=(0.25, 0.5, 0.75),
        prefix="query: ",
        licence="mit",
        training_sha256="ab" * 32,
        training_examples=7,
        tuned_on="cd" * 32,
    )
    back = load_classifier(saved(made, tmp_path / "run"))
    names = (
        "labels",
        "multi_label",
        "thresholds",
        "prefix",
        "licence",
        "training_sha256",
        "training_examples",
        "tuned_on",
        "base",
    )
    assert {n: getattr(back, n) for n in names} == {n: getattr(made, n) for n in names}
    assert back.max_length == 9
    assert not back.model.training
    np.testing.assert_array_equal(compute_logits(back, TEXTS), compute_logits(made, TEXTS))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_says_who_may_read_run(encoder: Path, tmp_path: Path, umask: int, mode: int) -> None:
    made = create_classifier(str(encoder), LABELS, multi_label=False)
    before = os.umask(umask)
    try:
        run = saved(made, tmp_path / "run")
    finally:
        os.umask(before)
    modes = {str(p.relative_to(run)): stat.S_IMODE(p.stat().st_mode) for p in run.rglob("*") if p.is_file()}
    assert set(modes.values()) == {mode}
    assert sum(name.endswith("model.safetensors") for name in modes) == 2  # encoder and head


def test_run_holds_no_pickled_weights(encoder: Path, tmp_path: Path) -> None:
    run = saved(create_classifier(str(encoder), LABELS, multi_label=False), tmp_path / "run")
    assert {p.suffix for p in run.rglob("*") if p.is_file()} == {".json", ".safetensors"}


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "gpt2"])
def test_any_sequence_classifier_of_hugging_face_loads(
    make_checkpoint: Callable[..., Path], architecture: str
) -> None:
    folder = make_checkpoint(
        architecture, classifier=True, id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1}
    )
    loaded = load_classifier(folder)
    assert loaded.labels == ("no", "yes")
    assert ("token_type_ids" in loaded.input_names) == (architecture == "bert")
    alone = np.concatenate([compute_logits(loaded, [text]) for text in TEXTS])
    np.testing.assert_allclose(compute_logits(loaded, TEXTS), alone, atol=EXACT)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "gpt2"])
def test_the_head_on_the_features_gives_the_logits(
    make_checkpoint: Callable[..., Path], architecture: str
) -> None:
    loaded = load_classifier(make_checkpoint(architecture, classifier=True, num_labels=3))
    features = torch.from_numpy(compute_features(loaded, TEXTS))
    with torch.inference_mode():
        logits = loaded.model.head(features).numpy()
    np.testing.assert_allclose(logits, compute_logits(loaded, TEXTS), atol=EXACT)


def test_a_label_map_that_is_missing_gets_hugging_faces_names(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint("bert", classifier=True, num_labels=3)
    assert load_classifier(folder).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_a_new_head_gives_every_label_the_same_score(encoder: Path) -> None:
    loaded = create_classifier(str(encoder), LABELS, multi_label=False)
    assert not compute_logits(loaded, TEXTS).any()


def test_pooling_follows_what_the_checkpoint_was_trained_with(
    encoder: Path, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    def chosen(base: Path) -> str:
        return create_classifier(str(base), LABELS, multi_label=False).model.pooling

    assert chosen(encoder) == "mean"
    assert chosen(make_checkpoint("bert", classifier=True)) == "pooler"
    assert chosen(with_layout(encoder, tmp_path / "cls", pooling="cls_token", normalize=False)) == "cls"
    with pytest.raises(CheckpointError, match=r"pools by 'max'; set train\.pooling to mean, cls or pooler"):
        chosen(with_layout(encoder, tmp_path / "max", pooling="max_tokens", normalize=False))


def test_the_length_is_capped_at_what_the_checkpoint_takes(
    encoder: Path, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    def longest(base: Path, asked: int | None = None) -> int:
        return create_classifier(str(base), LABELS, multi_label=False, max_length=asked).max_length

    assert longest(encoder) == 20  # position embeddings
    assert longest(encoder, 128) == 20
    assert longest(encoder, 8) == 8
    assert (
        longest(make_checkpoint("roberta", classifier=False)) == 19
    )  # positions start behind the padding id, 0
    assert (
        longest(with_layout(encoder, tmp_path / "b", pooling="mean_tokens", normalize=True, length=12)) == 12
    )


def test_texts_past_the_maximum_length_are_cut_and_counted(encoder: Path) -> None:
    loaded = with_random_head(create_classifier(str(encoder), LABELS, multi_label=False, max_length=6))
    exact, longer = "turn the lights off", "turn the lights off now now"
    assert [row.truncated for row in all_rows(loaded, [exact, longer, "x " * 1000])] == [False, True, True]
    np.testing.assert_array_equal(compute_logits(loaded, [exact]), compute_logits(loaded, [longer]))
    assert all_rows(loaded, []) == []


def test_padding_and_company_change_no_logits(encoder: Path) -> None:
    loaded = with_random_head(create_classifier(str(encoder), LABELS, multi_label=False))
    many = TEXTS * 200  # more than one batch
    alone = np.concatenate([compute_logits(loaded, [text]) for text in TEXTS])
    np.testing.assert_allclose(compute_logits(loaded, many), np.tile(alone, (200, 1)), atol=EXACT)
    assert compute_logits(loaded, []).shape == (0, 3)


def test_an_encoder_without_a_trained_head_is_refused_by_name(encoder: Path) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"no trained head for text classification \(classifier\.bias, classifier\.weight",
    ):
        load_classifier(encoder)


def test_a_checkpoint_of_one_number_has_no_labels(make_checkpoint: Callable[..., Path]) -> None:
    loaded = load_classifier(make_checkpoint("bert", classifier=True, num_labels=1))
    assert (loaded.regression, loaded.labels, loaded.model.width, loaded.pairs) == (True, (), 1, None)
    assert compute_logits(loaded, TEXTS).shape == (4, 1)


TOXIC = {"id2label": {0: "toxic"}, "label2id": {"toxic": 0}}


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({**TOXIC, "problem_type": "multi_label_classification"}, "toxic"),
        (TOXIC, "toxic"),
        ({"num_labels": 1, "problem_type": "multi_label_classification"}, "LABEL_0"),
        ({**TOXIC, "problem_type": "regression"}, None),
        ({"num_labels": 1}, None),
        ({**TOXIC, "sentence_transformers": {"activation_fn": "torch.nn.Identity"}}, None),
    ],
)
def test_one_output_is_a_label_with_its_sigmoid_or_a_number(
    make_checkpoint: Callable[..., Path], settings: dict[str, Any], label: str | None, tmp_path: Path
) -> None:
    loaded = load_classifier(make_checkpoint("bert", classifier=True, **settings))
    assert (loaded.labels, loaded.multi_label, loaded.regression) == (
        () if label is None else (label,),
        label is not None,
        label is None,
    )
    back = load_classifier(saved(loaded, tmp_path / "run"))
    assert (back.labels, back.multi_label, back.regression) == (
        loaded.labels,
        loaded.multi_label,
        loaded.regression,
    )
    if label is not None:
        answer = transformers.pipeline(
            "text-classification", model=loaded.model.encoder, tokenizer=loaded.tokenizer
        )(TEXTS[0])[0]
        ours = classify(compute_logits(loaded, TEXTS[:1]), loaded.labels, multi_label=loaded.multi_label)[0]
        assert (answer["label"], pytest.approx(answer["score"], abs=EXACT)) == (ours.label, ours.score)


def test_a_new_head_for_one_of_several_possible_labels_is_no_number(encoder: Path) -> None:
    made = create_classifier(str(encoder), ["toxic"], multi_label=True)
    assert (made.labels, made.multi_label, made.regression) == (("toxic",), True, False)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"id2label": {0: "grammar", 1: "style", 2: "content"}}, ("grammar", "style", "content")),
        (
            {"id2label": None, "label2id": {"grammar": 0, "content": 2, "style": 1}},
            ("grammar", "style", "content"),
        ),
        ({"id2label": {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}}, ("0", "1", "2")),
        ({"id2label": {0: "LABEL_0", 1: "LABEL_1", 2: "other"}}, ("LABEL_0", "LABEL_1", "other")),
    ],
)
def test_several_numbers_have_names(
    make_checkpoint: Callable[..., Path], fields: dict[str, Any], names: tuple[str, ...], tmp_path: Path
) -> None:
    folder = shutil.copytree(make_checkpoint("bert", classifier=True, num_labels=3), tmp_path / "model")
    change(folder / "config.json", problem_type="regression", **{"label2id": None, **fields})
    loaded = load_classifier(folder)
    assert (loaded.labels, loaded.regression, loaded.multi_label, loaded.model.width) == (
        names,
        True,
        False,
        3,
    )
    numbers = compute_logits(loaded, TEXTS)
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    with torch.inference_mode():
        expected = network(**loaded.tokenizer(TEXTS[0], return_tensors="pt")).logits
    np.testing.assert_allclose(numbers[:1], expected.numpy(), atol=EXACT)
    again = load_classifier(saved(loaded, tmp_path / "run"))
    assert (again.labels, again.regression) == (names, True)
    np.testing.assert_array_equal(compute_logits(again, TEXTS), numbers)


def test_numbers_are_compared_each_by_its_own_range(make_checkpoint: Callable[..., Path]) -> None:
    loaded = load_classifier(
        make_checkpoint("bert", classifier=True, num_labels=2, problem_type="regression")
    )
    examples = ClassificationExamples(loaded=loaded, inputs=TEXTS)
    reference = np.array([[0.0, 100.0], [1.0, 300.0], [0.5, 200.0]])  # ranges 1 and 200
    other = reference + np.array([[0.05, 0.0], [0.0, 30.0], [0.2, 10.0]])
    np.testing.assert_allclose(examples.distances(reference, other), [0.05, 0.15, 0.2])
    assert examples.same(reference, other).tolist() == [[True, True], [True, False], [False, True]]


def test_a_new_head_gives_labels_where_the_old_one_gave_numbers(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint("bert", classifier=True, num_labels=3, problem_type="regression")
    made = create_classifier(str(folder), LABELS, multi_label=False)
    assert (made.labels, made.regression) == (tuple(LABELS), False)


def test_pickled_weights_are_refused(encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(encoder, folder)
    (folder / "model.safetensors").unlink()
    torch.save(AutoModel.from_pretrained(encoder).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"pickled \(pytorch_model\.bin\).*unpickling them can run code"
    ):
        create_classifier(str(folder), LABELS, multi_label=False)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"\x00" * 64, r"model\.safetensors could not be read"),
        ("modules.json", b"{", r"modules\.json: not valid JSON"),
        ("config.json", b"{", r"config\.json: not valid JSON"),
        ("3_Dense/model.safetensors", None, r"3_Dense/model\.safetensors is missing; train the model again"),
    ],
)
def test_a_damaged_run_says_which_file(
    encoder: Path, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    base = with_layout(encoder, tmp_path / "base", pooling="mean_tokens", normalize=True)
    run = saved(create_classifier(str(base), LABELS, multi_label=False), tmp_path / "run")
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_classifier(run)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        load_classifier(tmp_path / "nowhere")
