"""The kinds of checkpoints that people have, and what ftool does with each: a table for tests and docs/checkpoints.md.

`python -m tests.helpers.checkpoint_kinds docs/checkpoints.md` writes the page.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as parts
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from ftool_export.checkpoints.classifier import compute_logits
from ftool_export.checkpoints.embedder import compute_vectors

CLASSES, TAGS, VECTORS, TEXT = (
    "text-classification",
    "token-classification",
    "feature-extraction",
    "text-generation",
)
TEXTS = ("turn the lights off", "play music please")
_HEADS = {
    CLASSES: AutoModelForSequenceClassification,
    TAGS: AutoModelForTokenClassification,
    VECTORS: AutoModel,
}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_BART = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4
}  # fmt: skip


@dataclass(frozen=True)
class Workshop:
    """Makes checkpoints in a test's own folder.

    Attributes:
        write: the fixture `write_checkpoint`.
        place: an empty folder; the working directory.
        cache: the folder of the hub's cache.
    """

    write: Callable[..., Path]
    place: Path
    cache: Path

    def model(self, task: str = CLASSES, architecture: str = "bert", **changes: Any) -> Path:
        """Write a tiny checkpoint of a task into the folder "model", which tests may change, and return the folder."""
        head = changes.pop("head", AutoModelForCausalLM if task == TEXT else _HEADS[task])
        if task == TAGS and "id2label" not in changes:
            changes |= labels("O", "B-x", "I-x")
        return Path(shutil.copytree(self.write(architecture, head=head, **changes), self.place / "model"))

    def configured(self, task: str = CLASSES, **fields: Any) -> Path:
        """Write a checkpoint, and replace fields of its config.json; None removes a field."""
        folder = self.model(task)
        change(folder / "config.json", **fields)
        return folder

    def weighted(self, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
        """Write a checkpoint with changed weights."""
        folder = self.model()
        weights = edit(load_file(folder / "model.safetensors"))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    def sentences(self, encoder: Path | None = None, *after: Any, **options: Any) -> Path:
        """Write a sentence-transformers model into the folder "st"."""
        modules = [
            parts.Transformer(str(encoder or self.model(VECTORS))),
            parts.Pooling(32, pooling_mode="mean"),
        ]
        SentenceTransformer(modules=[*modules, *after], device="cpu", **options).save(str(self.place / "st"))
        return self.place / "st"

    def setfit(self, head: Any) -> Path:
        """Write a SetFit model with a head of scikit-learn."""
        folder = self.sentences()
        vectors = np.random.default_rng(0).normal(size=(6, 32))
        joblib.dump(head.fit(vectors, [0, 1, 2] * 2), folder / "model_head.pkl")
        (folder / "config_setfit.json").write_text(json.dumps({"labels": ["a", "b", "c"]}))
        return folder

    def adapter(
        self, task: str = CLASSES, settings: Any = LoraConfig, base: str | None = "", **options: Any
    ) -> Path:
        """Write an adapter into the folder "adapter" and its base into "model"; `base` replaces the base's name."""
        folder = self.model(task)
        head = AutoModelForCausalLM if task == TEXT else _HEADS[task]
        kind = {CLASSES: "SEQ_CLS", TEXT: "CAUSAL_LM"}[task]
        adapted = get_peft_model(head.from_pretrained(folder), settings(task_type=kind, **options))
        adapted.save_pretrained(self.place / "adapter")
        if base != "":
            change(self.place / "adapter" / "adapter_config.json", base_model_name_or_path=base)
        return self.place / "adapter"

    def cached(self) -> str:
        """Write a checkpoint into the hub's cache, and return its id."""
        place = self.cache / "models--owner--name"
        shutil.copytree(self.model(), place / "snapshots" / ("a" * 40))
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text("a" * 40)
        return "owner/name"

    def file(self, name: str) -> Path:
        """Write a file with some bytes."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"bytes")
        return path


def change(path: Path, **fields: Any) -> None:
    """Replace fields of a JSON file; None removes a field."""
    kept = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({name: value for name, value in kept.items() if value is not None}))


def labels(*names: str) -> dict[str, Any]:
    """Return the fields of config.json that name labels."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


@dataclass(frozen=True)
class Kind:
    """A kind of checkpoint, and what ftool does with it.

    Attributes:
        given: what people give, for the page.
        result: what ftool does, or why the checkpoint is refused and what to do, for the page.
        make: writes such a checkpoint, and returns what to give as --checkpoint.
        task: the task.
        facts: what the user says besides, by the names in `Task.facts`.
        says: a part of the warning, or of the error if the checkpoint is refused; "" if there is no warning.
        has: attributes of the loaded model, as the kind requires them.
        answers: returns the right outputs for `TEXTS`, float32 (texts, width), as another library gives them; None if
            `has` or `says` tells right from wrong.
    """

    given: str
    result: str
    make: Callable[[Workshop], object]
    task: str = CLASSES
    facts: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""
    has: Mapping[str, Any] = field(default_factory=dict)
    answers: Callable[[Workshop], np.ndarray[Any, Any]] | None = None


def _logits(shop: Workshop, source: Path | None = None) -> np.ndarray[Any, Any]:
    """The logits of the classifier that `Workshop.model` wrote, from transformers; `source` is another folder."""
    original = source or shop.write("bert", head=AutoModelForSequenceClassification)
    network = AutoModelForSequenceClassification.from_pretrained(original, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(original)
    with torch.inference_mode():
        rows = [network(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in TEXTS]
    return np.stack(rows)


def _vectors(shop: Workshop) -> np.ndarray[Any, Any]:
    """The vectors of the folder "st", from sentence-transformers."""
    return np.asarray(SentenceTransformer(str(shop.place / "st"), device="cpu").encode([*TEXTS]))


def _means(shop: Workshop) -> np.ndarray[Any, Any]:
    """The means of the token vectors of the encoder in the folder "model", from transformers."""
    network = AutoModel.from_pretrained(shop.place / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(shop.place / "model")
    with torch.inference_mode():
        rows = [network(**tokenizer(text, return_tensors="pt"))[0][0].mean(0).numpy() for text in TEXTS]
    return np.stack(rows)


def _adapted(shop: Workshop) -> np.ndarray[Any, Any]:
    """The outputs of the base in the folder "model" with the adapter on it, from peft, which does not merge here."""
    adapter = shop.place / "adapter"
    is_text = json.loads((adapter / "adapter_config.json").read_text())["task_type"] == "CAUSAL_LM"
    head = AutoModelForCausalLM if is_text else AutoModelForSequenceClassification
    network = PeftModel.from_pretrained(head.from_pretrained(shop.place / "model"), adapter).eval()
    return _outputs(network, AutoTokenizer.from_pretrained(shop.place / "model"))


def _outputs(network: Any, tokenizer: Any) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        rows = [network(torch.tensor([tokenizer(text)["input_ids"]])).logits[0] for text in TEXTS]
    return np.stack([row.numpy() if row.dim() == 1 else row[-1].numpy() for row in rows])


def answers_of(loaded: Any) -> np.ndarray[Any, Any]:
    """The outputs of a loaded model for `TEXTS`, float32 (texts, width); for a generator those of the last token."""
    if loaded.task == VECTORS:
        return compute_vectors(loaded, [*TEXTS])
    if loaded.task == TEXT:
        return _outputs(loaded.model, loaded.tokenizer)
    return compute_logits(loaded, [*TEXTS])


def _sharded(shop: Workshop) -> Path:
    folder = shop.model()
    network = AutoModelForSequenceClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    network.save_pretrained(folder, max_shard_size="20KB")
    return folder


def _trainers(shop: Workshop) -> Path:
    folder = shop.model()
    shutil.copytree(shop.write("bert", hidden_size=16), folder / "checkpoint-500")
    (folder / "training_args.bin").write_bytes(b"pickle")
    return folder


def _only_steps(shop: Workshop) -> Path:
    shutil.copytree(shop.model(), shop.place / "output" / "checkpoint-500")
    return shop.place / "output"


def _with_outputs(shop: Workshop, outputs: int, **fields: Any) -> Path:
    named = {"id2label": None, "label2id": None, "num_labels": outputs}
    folder = shop.model(CLASSES, **{**named, **{name: fields.pop(name) for name in named if name in fields}})
    change(folder / "config.json", **fields)
    return folder


def _with_new_token(shop: Workshop) -> Path:
    folder = shop.model()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    return folder


def _unlimited(shop: Workshop) -> Path:
    folder = shop.model(CLASSES, "xlnet")
    change(folder / "tokenizer_config.json", model_max_length=None)
    return folder


def _llama_adapter(shop: Workshop) -> Path:
    folder = Path(shutil.copytree(shop.write("llama", head=AutoModelForCausalLM), shop.place / "model"))
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder),
        LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False),
    )
    adapted.save_pretrained(shop.place / "adapter")
    return shop.place / "adapter"


def _frozen(shop: Workshop) -> Path:
    folder = shop.model(TEXT, "llama")
    (folder / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.0}')
    return folder


def _pickled(shop: Workshop) -> Path:
    folder = shop.model()
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def _without_index(shop: Workshop) -> Path:
    folder = _sharded(shop)
    (folder / "model.safetensors.index.json").unlink()
    return folder


def _pointer(shop: Workshop) -> Path:
    folder = shop.model()
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    return folder


def _damaged(shop: Workshop) -> Path:
    folder = shop.model()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    return folder


def _misfit(shop: Workshop) -> Path:
    folder = shop.adapter()
    other = shutil.copytree(shop.write("distilbert"), shop.place / "other")
    change(folder / "adapter_config.json", base_model_name_or_path=str(other))
    return folder


def _without_tokenizer(shop: Workshop) -> Path:
    folder = shop.model()
    for path in folder.glob("tokenizer*"):
        path.unlink()
    return folder


def _vocabulary_only(shop: Workshop) -> Path:
    folder = shop.model()
    numbers = AutoTokenizer.from_pretrained(folder).get_vocab()
    for path in folder.glob("tokenizer*"):
        path.unlink()
    words = [*sorted(numbers, key=numbers.__getitem__)[:-1], "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


READ = (
    Kind(
        "a folder that `save_pretrained` wrote",
        "weights from safetensors files, in float32",
        Workshop.model,
        answers=_logits,
    ),
    Kind(
        "a hub id", "from the hub; without a network at once from its cache", Workshop.cached, answers=_logits
    ),
    Kind("weights in several safetensors files", "as one", _sharded, answers=_logits),
    Kind(
        "weights in float16 or bfloat16",
        "in float32",
        lambda shop: shop.weighted(lambda weights: {name: value.half() for name, value in weights.items()}),
        answers=lambda shop: _logits(shop, shop.place / "model"),
    ),
    Kind(
        "names of weights with prefixes of `torch.compile`, DataParallel or FSDP (`_orig_mod.`, `module.`)",
        "the prefixes are taken off",
        lambda shop: shop.weighted(
            lambda weights: {f"module._orig_mod.{n}": value for n, value in weights.items()}
        ),
        answers=_logits,
    ),
    Kind(
        "names of weights that all begin with one prefix more, as those of PyTorch Lightning (`model.`, `net.`)",
        "the prefix is taken off",
        lambda shop: shop.weighted(lambda weights: {f"net.{n}": value for n, value in weights.items()}),
        answers=_logits,
    ),
    Kind(
        "weights of another head beside the model's own (pre-training), or tables that are computed anew",
        "left out",
        answers=_logits,
        make=lambda shop: shop.weighted(
            lambda weights: {
                **weights,
                "cls.predictions.bias": next(iter(weights.values())).flatten()[:23].clone(),
            }
        ),
    ),
    Kind(
        "weights that no class for the architecture has",
        "left out, and a warning counts them",
        lambda shop: shop.weighted(
            lambda weights: {**weights, "mystery.weight": next(iter(weights.values())).clone()}
        ),
        says="nothing reads 1 of the weights in its files (mystery.weight)",
    ),
    Kind(
        "a tokenizer of vocab.txt only (BERT), or of vocab.json and merges.txt, or a sentencepiece model",
        "converted, and compared with the file",
        _vocabulary_only,
        has={"known_ids": 23, "vocabulary": None},
    ),
    Kind(
        "a Trainer's output folder with a model in it",
        "its own model, not those in `checkpoint-N`",
        _trainers,
        answers=_logits,
    ),
    Kind(
        "a sentence-transformers folder",
        "with its pooling, projections, scaling, prompts and `truncate_dim`",
        lambda shop: shop.sentences(None, parts.Dense(32, 16), parts.Normalize(), truncate_dim=8),
        VECTORS,
        answers=_vectors,
    ),
    Kind(
        "a plain encoder as an embedder",
        "the mean of its token vectors, as in sentence-transformers",
        Workshop.model,
        VECTORS,
        answers=_means,
    ),
    Kind(
        "the encoder of a T5, mT5 or UMT5 (sentence-t5)",
        "without a decoder",
        lambda shop: shop.sentences(
            shop.model(VECTORS, "t5", head=AutoModelForTextEncoding, token_types=False, **_T5)
        ),
        VECTORS,
        answers=_vectors,
    ),
    Kind(
        "an adapter folder of peft (LoRA, DoRA, LoHa, …)",
        "merged into the base that adapter_config.json names; the outputs before and after are compared. Its "
        "outputs have the names in the folder's own config.json, or those of the base if it has as many",
        lambda shop: shop.adapter(init_lora_weights=False),
        answers=_adapted,
        says="so that they are called lights, music, timer, files, none, as in its base; to name them otherwise",
    ),
    Kind("an adapter of a generator", "merged into its base", _llama_adapter, TEXT, answers=_adapted),
    Kind(
        "a SetFit folder",
        "its head, a logistic regression, is read without unpickling; the softmax gives its probabilities",
        lambda shop: shop.setfit(LogisticRegression()),
        has={"labels": ("a", "b", "c")},
    ),
    Kind(
        "a CrossEncoder of sentence-transformers",
        "pairs of texts, answered with a number; the activation is its own",
        lambda shop: _with_outputs(shop, 1, sentence_transformers={"version": "5.0"}),
        has={"pairs": True, "regression": True},
    ),
    Kind(
        "labels with `entailment` among them, or a model card with the tag `text-ranking`, `cross-encoder` or "
        "`reranker`",
        "pairs of texts",
        lambda shop: shop.configured(**labels("entailment", "neutral", "contradiction", "a", "b")),
        has={"pairs": True},
    ),
    Kind(
        "a model of pairs that does not say so",
        "pairs, if `--data` has two texts per row, or with `--pairs`; otherwise single texts, and a warning says so",
        lambda shop: shop.configured(id2label=None, label2id=None, num_labels=5),
        facts={"pairs": True},
        has={"pairs": True},
    ),
    Kind(
        "one output without a name",
        "a number",
        lambda shop: _with_outputs(shop, 1),
        has={"regression": True},
    ),
    Kind(
        "`regression` with several outputs",
        "the numbers by name; outputs without names are called `0`, `1`, …",
        lambda shop: _with_outputs(shop, 3, problem_type="regression"),
        has={"regression": True, "labels": ("0", "1", "2")},
    ),
    Kind(
        "one output with a name, or `multi_label_classification`",
        "the label with its sigmoid",
        lambda shop: _with_outputs(shop, 1, **labels("toxic")),
        has={"labels": ("toxic",), "multi_label": True},
    ),
    Kind(
        "labels that are numbers, or only in label2id",
        "as strings; in the order of the outputs",
        lambda shop: shop.configured(id2label={str(i): i * 10 for i in range(5)}),
        has={"labels": ("0", "10", "20", "30", "40")},
    ),
    Kind(
        "a tagger whose label for words outside entities is not `O`",
        "with `--outside-label NAME`",
        lambda shop: shop.model(TAGS, **labels("OTHER", "B-x", "I-x")),
        TAGS,
        {"outside_label": "OTHER"},
        has={"labels": ("O", "B-x", "I-x")},
    ),
    Kind(
        "a tagger of parts of speech",
        "every word has a label; a warning says so",
        lambda shop: shop.model(TAGS, **labels("NOUN", "VERB", "ADJ")),
        TAGS,
        says="no label is O, so every word is answered with its label",
    ),
    Kind(
        "a tokenizer with tokens that the network has no embedding for",
        "a text that holds one is refused",
        _with_new_token,
        says="1 token of its tokenizer has no embedding; a text that holds one is refused",
    ),
    Kind(
        "no limit for the length of inputs anywhere (XLNet, T5)",
        "cut to 512 tokens, and a warning says so",
        _unlimited,
        says="no file limits the length of inputs, so they are cut to 512 tokens",
        has={"max_length": 512},
    ),
    Kind(
        "a generation_config.json with `temperature` 0.0 and `do_sample` false",
        "without settings of sampling that nothing reads",
        _frozen,
        TEXT,
        says="temperature 0.0 in generation_config.json is left out",
    ),
)

REFUSED = (
    Kind(
        "nothing there",
        "the hub is asked once; the message says how to work offline",
        lambda shop: shop.place / "gone",
        says="no such folder",
    ),
    Kind(
        "a folder of `checkpoint-N` folders",
        "give one of them; the message names the last",
        _only_steps,
        says="give one of these, such as",
    ),
    Kind(
        "a bundle",
        "it was exported already: give the checkpoint it was made from",
        lambda shop: shop.file("b/ftool.json").parent,
        says="an ftool bundle, which was exported already",
    ),
    Kind(
        "an ONNX, GGUF, TensorFlow Lite or Core ML file, or a folder of it",
        "an export starts from PyTorch weights",
        lambda shop: shop.file("model.gguf"),
        says="a model in GGUF format",
    ),
    Kind(
        "pickled weights (pytorch_model.bin, model.pt, *.ckpt), or those of TensorFlow and Flax",
        "unpickling can run code: save the model again as safetensors",
        _pickled,
        says="its weights are pickled (pytorch_model.bin), and unpickling them can run code",
    ),
    Kind(
        "parts of a model without model.safetensors.index.json",
        "fetch the index",
        _without_index,
        says="model.safetensors.index.json is missing",
    ),
    Kind(
        "a pointer of Git LFS in the place of a file",
        "`git lfs pull`",
        _pointer,
        says="git lfs pull",
    ),
    Kind(
        "weights of an adapter that was not merged into the model (`lora_A`, `base_layer`)",
        "save the merged model: `merge_and_unload`",
        lambda shop: shop.weighted(
            lambda weights: {**weights, "bert.x.lora_A.weight": next(iter(weights.values())).clone()}
        ),
        says="those of an adapter that was not merged into the model (bert.x.lora_A.weight)",
    ),
    Kind(
        "integers where weights are floating-point numbers",
        "they are quantised: give the checkpoint they were made from",
        lambda shop: shop.weighted(
            lambda weights: {name: value.to(torch.int8) for name, value in weights.items()}
        ),
        says="more hold integers",
    ),
    Kind(
        "weights that are damaged, missing or of another shape",
        "fetch or write the checkpoint again",
        _damaged,
        says="model.safetensors could not be read",
    ),
    Kind(
        "no tokenizer in the folder",
        "every word would be unknown: copy the tokenizer's files of the model that this one was trained from",
        _without_tokenizer,
        says="no tokenizer in this folder (none of tokenizer.json, vocab.txt)",
    ),
    Kind(
        "quantised weights (GPTQ, AWQ, bitsandbytes, compressed-tensors, …)",
        "an export quantises full weights: give the checkpoint they were made from",
        lambda shop: shop.configured(quantization_config={"quant_method": "gptq", "bits": 4}),
        says="already quantised (quantization_config in config.json: gptq)",
    ),
    Kind(
        "an architecture that transformers does not have, or the checkpoint's own Python code (auto_map)",
        "ftool runs no code of checkpoints",
        lambda shop: shop.configured(model_type="unheard-of"),
        says="no model configuration could be read",
    ),
    Kind(
        "an encoder without a trained head",
        "train one on it: `ftool train`",
        lambda shop: shop.model(VECTORS),
        says="has no trained head for text classification",
    ),
    Kind(
        "labels that are not numbered from 0, or a name twice",
        "number and name each output in id2label",
        lambda shop: shop.configured(id2label={"0": "a", "2": "b", "5": "c"}),
        says="id2label numbers its 3 labels 0, 2, 5",
    ),
    Kind(
        "more or fewer labels than outputs",
        "name each output in id2label",
        lambda shop: shop.configured(**labels("a", "b", "c")),
        says="names 3 labels, but the network has 5 outputs",
    ),
    Kind(
        "a tagger whose labels have no names",
        "write them into id2label",
        lambda shop: shop.model(TAGS, id2label=None, label2id=None, num_labels=3),
        TAGS,
        says="does not name its labels",
    ),
    Kind(
        "a tagger without a label `O`",
        "every word would be an entity: `--outside-label NAME`",
        lambda shop: shop.model(TAGS, **labels("OTHER", "B-x", "I-x")),
        TAGS,
        says="with --outside-label OTHER",
    ),
    Kind(
        "a tagger whose tags have prefixes of small letters (`b-per`)",
        "as in data of tags: write `B-per` and `O` into id2label",
        lambda shop: shop.model(TAGS, **labels("o", "b-per", "i-per")),
        TAGS,
        {"outside_label": "o"},
        says="write them into id2label in its config.json as O and B-per",
    ),
    Kind(
        "a model whose class or adapter is that of another task",
        "give its own task, or train a new head on it",
        Workshop.model,
        TAGS,
        {"outside_label": "a"},
        says="use --task text-classification, or train a new head",
    ),
    Kind(
        "a SetFit head other than a logistic regression of one label per text",
        "it is not unpickled: train a new head on the encoder",
        lambda shop: shop.setfit(OneVsRestClassifier(LogisticRegression())),
        says="holds sklearn.multiclass.OneVsRestClassifier",
    ),
    Kind(
        "an adapter that does not name its base, or whose base can't be read",
        "write the base's folder or hub id into adapter_config.json",
        lambda shop: shop.adapter(base=None),
        says="does not name the model it was trained on",
    ),
    Kind(
        "an adapter that does not fit its base",
        "name the right base",
        _misfit,
        says="the adapter does not fit its base",
    ),
    Kind(
        "prompt tuning, prefix tuning and their kind",
        "they can't be merged into weights",
        lambda shop: shop.adapter(settings=PromptTuningConfig, num_virtual_tokens=2),
        says="its adapter is PROMPT_TUNING",
    ),
    Kind(
        "an encoder-decoder other than T5 as an embedder",
        "choose an encoder",
        lambda shop: shop.model(VECTORS, "bart", token_types=False, **_BART),
        VECTORS,
        says="is an encoder-decoder, but vectors come from encoders",
    ),
    Kind(
        "a sentence-transformers module that a bundle can't hold (other poolings, activations, residuals)",
        "the message names the module",
        lambda shop: shop.sentences(None, parts.Dense(32, 32, use_residual=True)),
        VECTORS,
        says="a Dense module can't be used if it has a residual",
    ),
    Kind(
        "an encoder-decoder for text-generation, or a decoder for translation",
        "the message names the fitting task",
        lambda shop: shop.model(VECTORS, "bart", token_types=False, **_BART),
        TEXT,
        says="is an encoder-decoder; text-generation takes decoders",
    ),
)


_PAGE = """# Checkpoints

What `ftool export --checkpoint` and `--base` take: a folder or a hub id. This page is generated by
`python -m tests.helpers.checkpoint_kinds docs/checkpoints.md` from the table that drives
`tests/export/checkpoints/test_kinds.py`, which makes each of these checkpoints and loads it. Which architectures are
tested is in [architectures.md](architectures.md), which tokenizers in [tokenizers.md](tokenizers.md).

No code of a checkpoint is run, and nothing is unpickled.

## What is read

| given | what ftool does |
|---|---|
{read}

## What is refused

With exit status 2 and one line that names the file, the value and the remedy:

| given | why, or what to do |
|---|---|
{refused}
"""


def page() -> str:
    """Return the content of docs/checkpoints.md."""
    read, refused = (
        "\n".join(f"| {one.given} | {one.result} |" for one in kinds) for kinds in (READ, REFUSED)
    )
    return _PAGE.format(read=read, refused=refused)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
