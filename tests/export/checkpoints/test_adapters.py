"""Adapter folders of peft: merged into their base with torch's answers, or refused by name."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import IA3Config, LoHaConfig, LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as parts
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from ftool_export.checkpoints.adapters import merge
from ftool_export.checkpoints.classifier import compute_logits, create_classifier, load_classifier
from ftool_export.checkpoints.embedder import compute_vectors, load_embedder
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.generator import load_generator
from ftool_export.checkpoints.pretrained import task_of
from ftool_export.checkpoints.reader import load_reader
from ftool_export.checkpoints.tagger import create_tagger, load_tagger
from ftool_export.errors import CheckpointError
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings

WriteCheckpoint = Callable[..., Path]
TAGS = {"id2label": {0: "O", 1: "B-x", 2: "I-x"}, "label2id": {"O": 0, "B-x": 1, "I-x": 2}}


@pytest.fixture
def adapt(write_checkpoint: WriteCheckpoint, tmp_path: Path) -> Callable[..., Path]:
    """Writes a base and an adapter folder with random weights, and returns the adapter's folder."""

    def adapt(
        head: Any,
        kind: str | None,
        *,
        architecture: str = "bert",
        base_head: Any = AutoModel,
        outputs: int | None = None,
        settings: Any = LoraConfig,
        tokens: int = 0,
        **options: Any,
    ) -> Path:
        base, folder = write_checkpoint(architecture, head=base_head), tmp_path / "adapter"
        changed = {} if outputs is None else {"num_labels": outputs}
        torch.manual_seed(1)
        network = head.from_pretrained(base, ignore_mismatched_sizes=True, **changed)
        if tokens:
            network.resize_token_embeddings(network.config.vocab_size + tokens)
        adapted = get_peft_model(network, settings(task_type=kind, **options))
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.3)
        adapted.save_pretrained(folder)
        return folder

    return adapt


def of_torch(folder: Path, head: Any, texts: list[str], outputs: int | None = None) -> list[Tensor]:
    """Return the outputs of peft's own network for each text."""
    settings = json.loads((folder / "adapter_config.json").read_text())
    base = settings["base_model_name_or_path"]
    changed = {} if outputs is None else {"num_labels": outputs}
    network = head.from_pretrained(base, ignore_mismatched_sizes=True, **changed)
    adapted = PeftModel.from_pretrained(network, str(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    with torch.inference_mode():
        rows = [tokenizer(text, return_tensors="pt", truncation=True, max_length=32) for text in texts]
        return [adapted(**row)[0][0] for row in rows]


EVERY_LINEAR = {"target_modules": "all-linear"}


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("bert", {}),
        ("bert", {"use_dora": True}),
        ("bert", {"use_rslora": True, "r": 3, "lora_alpha": 5}),
        ("bert", {"bias": "all"}),
        ("bert", {"settings": LoHaConfig}),
        ("bert", {"settings": IA3Config}),
        ("bert", {"trainable_token_indices": [4, 5]}),
        ("bert", {"init_lora_weights": "pissa"}),
        ("roberta", EVERY_LINEAR),
        ("distilbert", {"target_modules": ["q_lin", "lin1"]}),
        ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
        ("llama", EVERY_LINEAR),
    ],
)
def test_a_classifiers_adapter_gives_the_logits_of_torch(
    adapt: Callable[..., Path], texts: list[str], architecture: str, options: dict[str, Any]
) -> None:
    head = AutoModelForSequenceClassification
    folder = adapt(head, "SEQ_CLS", architecture=architecture, outputs=3, **options)
    assert task_of(str(folder)) == "text-classification"
    loaded = load_classifier(folder)
    assert loaded.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    expected = torch.stack(of_torch(folder, head, texts, 3)).numpy()
    np.testing.assert_allclose(compute_logits(loaded, texts), expected, atol=1e-4)


def test_an_adapter_is_exported(adapt: Callable[..., Path], texts: list[str], tmp_path: Path) -> None:
    loaded = load_classifier(adapt(AutoModelForSequenceClassification, "SEQ_CLS", outputs=3))
    examples = ClassificationExamples(loaded=loaded, inputs=texts)
    bundle = tmp_path / "bundle"
    assert export(ExportSettings(bundle=bundle, name="x", precision="fp32"), loaded, examples).bundle
    assert parity(loaded, bundle, examples).passed


def test_the_folder_of_an_adapter_may_name_the_labels(
    adapt: Callable[..., Path], caplog: pytest.LogCaptureFixture, texts: list[str]
) -> None:
    head = AutoModelForTokenClassification
    folder = adapt(head, "TOKEN_CLS", outputs=3)
    with pytest.raises(CheckpointError, match="does not name its labels"):
        load_tagger(folder)
    assert task_of(str(folder)) == "token-classification"
    words = "don't name its 3 outputs, so that they are called LABEL_0, LABEL_1, LABEL_2; to name them otherwise, copy"
    assert caplog.text.count(words) == 1
    settings = json.loads((folder / "adapter_config.json").read_text())
    config = json.loads(Path(settings["base_model_name_or_path"], "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **TAGS}))
    loaded = load_tagger(folder)
    assert loaded.labels == ("O", "B-x", "I-x")
    rows = [row for rows in loaded.rows(texts) for row in rows]
    for found, expected in zip(compute_outputs(loaded, rows), of_torch(folder, head, texts, 3), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_labels_of_the_base_are_kept_if_there_are_as_many(adapt: Callable[..., Path]) -> None:
    head = AutoModelForSequenceClassification
    loaded = load_classifier(adapt(head, "SEQ_CLS", base_head=head))
    assert loaded.labels == ("lights", "music", "timer", "files", "none")


@pytest.mark.parametrize("tokens", [0, 2])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_generators_adapter_gives_the_logits_of_torch(
    adapt: Callable[..., Path], architecture: str, tokens: int
) -> None:
    head = AutoModelForCausalLM
    extra = {"modules_to_save": ["wte", "lm_head"] if architecture == "gpt2" else ["embed_tokens", "lm_head"]}
    folder = adapt(
        head, "CAUSAL_LM", architecture=architecture, base_head=head, tokens=tokens,
        target_modules=["c_attn"] if architecture == "gpt2" else ["q_proj", "down_proj"],
        **(extra if tokens else {}),
    )  # fmt: skip
    assert task_of(str(folder)) == "text-generation"
    loaded = load_generator(folder, "text-generation")
    assert loaded.model.get_input_embeddings().num_embeddings == 23 + tokens
    ids = torch.tensor([[4, 5, 6, 7, 22 + tokens]])
    settings = json.loads((folder / "adapter_config.json").read_text())
    network = head.from_pretrained(settings["base_model_name_or_path"])
    network.resize_token_embeddings(23 + tokens)
    with torch.inference_mode():
        expected = PeftModel.from_pretrained(network, str(folder)).eval()(ids).logits
        torch.testing.assert_close(loaded.model(ids).logits, expected, atol=1e-4, rtol=0)


def test_other_tasks_are_merged_too(adapt: Callable[..., Path], texts: list[str], tmp_path: Path) -> None:
    folder = adapt(AutoModel, "FEATURE_EXTRACTION")
    assert task_of(str(folder)) == "feature-extraction"
    expected = torch.stack([states.mean(dim=0) for states in of_torch(folder, AutoModel, texts)])
    np.testing.assert_allclose(compute_vectors(load_embedder(folder), texts), expected, atol=1e-4)
    shutil.rmtree(folder)
    folder = adapt(AutoModelForQuestionAnswering, "QUESTION_ANS", outputs=2)
    assert task_of(str(folder)) == "question-answering"
    assert load_reader(folder).model.width == 2


def test_an_adapter_of_sentence_transformers_keeps_its_layout(
    bert: Path, tmp_path: Path, texts: list[str]
) -> None:
    modules = [parts.Transformer(str(bert)), parts.Pooling(32, pooling_mode="cls"), parts.Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "base"))
    model = SentenceTransformer(str(tmp_path / "base"), device="cpu")
    model.add_adapter(LoraConfig(task_type="FEATURE_EXTRACTION", init_lora_weights=False))
    model.save(str(tmp_path / "adapter"))
    loaded = load_embedder(tmp_path / "adapter")
    assert (loaded.model.pooling, loaded.model.normalize) == ("cls", True)
    np.testing.assert_allclose(compute_vectors(loaded, texts), model.encode(texts), atol=1e-5)
    (tmp_path / "adapter" / "modules.json").unlink()  # as peft itself saves it: the layout is the base's
    np.testing.assert_allclose(
        compute_vectors(load_embedder(tmp_path / "adapter"), texts), model.encode(texts), atol=1e-5
    )


def test_an_adapter_of_the_encoder_of_a_t5_is_merged(
    write_checkpoint: WriteCheckpoint, tmp_path: Path, texts: list[str]
) -> None:
    sizes = {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    }
    base = write_checkpoint("t5", head=AutoModelForTextEncoding, token_types=False, **sizes)
    settings = LoraConfig(task_type="FEATURE_EXTRACTION", target_modules=["q", "v"], init_lora_weights=False)
    get_peft_model(AutoModelForTextEncoding.from_pretrained(base), settings).save_pretrained(tmp_path)
    expected = [states.mean(dim=0) for states in of_torch(tmp_path, AutoModelForTextEncoding, texts)]
    np.testing.assert_allclose(
        compute_vectors(load_embedder(tmp_path), texts), torch.stack(expected), atol=1e-4
    )


@pytest.mark.parametrize("pooling", ["mean", "pooler"])
def test_an_adapter_can_be_a_base(adapt: Callable[..., Path], pooling: Any, texts: list[str]) -> None:
    head = AutoModelForSequenceClassification
    folder = adapt(head, "SEQ_CLS", outputs=3)
    merged = load_classifier(folder).model.encoder.bert.state_dict()
    made = create_classifier(str(folder), ["a", "b", "c", "d"], multi_label=False, pooling=pooling)
    assert made.labels == ("a", "b", "c", "d")
    encoder = made.model.encoder.bert if pooling == "pooler" else made.model.encoder
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(value, merged[name], rtol=0, atol=0)
    tagger = create_tagger(str(folder), ["O", "B-x"], max_length=16)
    value = tagger.model.encoder.bert.encoder.layer[0].attention.self.query.weight
    torch.testing.assert_close(value, merged["encoder.layer.0.attention.self.query.weight"], rtol=0, atol=0)


def test_the_base_may_stand_beside_the_adapter(adapt: Callable[..., Path], texts: list[str]) -> None:
    folder = adapt(AutoModelForSequenceClassification, "SEQ_CLS", outputs=3)
    expected = compute_logits(load_classifier(folder), texts)
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text())
    shutil.copytree(settings["base_model_name_or_path"], folder.parent / "base")
    path.write_text(json.dumps({**settings, "base_model_name_or_path": "../base"}))
    np.testing.assert_array_equal(compute_logits(load_classifier(folder), texts), expected)


def test_a_head_that_was_not_saved_is_missing(adapt: Callable[..., Path]) -> None:
    folder = adapt(AutoModelForSequenceClassification, None, outputs=3)
    assert task_of(str(folder)) is None
    with pytest.raises(CheckpointError, match="has no trained head for text classification"):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_model_name_or_path": None}, "does not name the model it was trained on; write its folder or hub id as"),
        ({"base_model_name_or_path": ""}, "does not name the model it was trained on"),
        ({"base_model_name_or_path": "./gone"}, "the adapter's base can't be read; write its folder or hub id"),
        ({"base_model_name_or_path": "."}, "is an adapter too; merge that one first"),
        ({"r": 5}, "does not fit its base"),
        ({"target_modules": ["nothing"]}, "does not fit its base"),
        ({"target_modules": ["query"]}, "does not fit its base"),
        ({"target_modules": ["query", "value", "key"]}, "does not fit its base"),
        ({"peft_type": "UNHEARD_OF"}, "does not fit its base"),
        ({"peft_type": None}, "does not say what kind of adapter it is (peft_type is None)"),
    ],
)  # fmt: skip
def test_an_adapter_that_does_not_fit_is_refused(
    adapt: Callable[..., Path], changes: dict[str, Any], words: str
) -> None:
    folder = adapt(AutoModelForSequenceClassification, "SEQ_CLS", outputs=3)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load_classifier(folder)


def test_an_adapter_of_another_architecture_is_refused(
    adapt: Callable[..., Path], write_checkpoint: WriteCheckpoint
) -> None:
    folder = adapt(AutoModelForSequenceClassification, "SEQ_CLS", outputs=3)
    path = folder / "adapter_config.json"
    for other in (write_checkpoint("distilbert"), write_checkpoint("bert", hidden_size=16)):
        path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": str(other)}))
        with pytest.raises(CheckpointError, match=f"the adapter does not fit its base {other}"):
            load_classifier(folder)


def test_prompt_tuning_is_refused_by_name(adapt: Callable[..., Path]) -> None:
    folder = adapt(
        AutoModelForSequenceClassification,
        "SEQ_CLS",
        outputs=3,
        settings=PromptTuningConfig,
        num_virtual_tokens=2,
    )
    with pytest.raises(
        CheckpointError, match="its adapter is PROMPT_TUNING, which puts vectors before the text"
    ):
        load_classifier(folder)


def test_pickled_or_damaged_weights_are_not_read(adapt: Callable[..., Path]) -> None:
    folder = adapt(AutoModelForSequenceClassification, "SEQ_CLS", outputs=3)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors: could not be read"):
        load_classifier(folder)
    weights.rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="unpickling them can run code"):
        load_classifier(folder)


def test_a_base_in_the_folder_of_its_adapter_is_adapted_as_in_transformers(
    adapt: Callable[..., Path], bert: Path, texts: list[str]
) -> None:
    head = AutoModelForSequenceClassification
    folder = adapt(head, "SEQ_CLS", base_head=head)
    expected = torch.stack(of_torch(folder, head, texts)).numpy()
    shutil.copytree(bert, folder, dirs_exist_ok=True)
    np.testing.assert_allclose(compute_logits(load_classifier(folder), texts), expected, atol=1e-4)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="adapter"):
        load_classifier(folder)


def test_a_merge_that_changes_outputs_is_refused() -> None:
    class Adapted(torch.nn.Linear):
        def merge_and_unload(self) -> torch.nn.Module:
            return torch.nn.Linear(2, 2)

    with pytest.raises(CheckpointError, match="merging the adapters changed outputs by"):
        merge(Adapted(2, 2), lambda network: network(torch.ones(1, 2)))


def test_weights_of_layers_that_the_base_lacks_are_refused(adapt: Callable[..., Path]) -> None:
    folder = adapt(AutoModelForSequenceClassification, "SEQ_CLS", outputs=3)
    path = folder / "adapter_model.safetensors"
    name = "base_model.model.bert.encoder.layer.7.attention.self.query.lora_A.weight"
    save_file({**load_file(path), name: torch.ones(8, 32)}, path)
    with pytest.raises(
        CheckpointError, match=r"does not fit its base .*layer\.7.* is in only one of the two"
    ):
        load_classifier(folder)
