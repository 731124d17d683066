"""One interface for trained models: run/ in torch, or the bundle in the runtime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

from numpy.typing import NDArray
from tokenizers import Tokenizer

from ftool.data.label_policy import ModelFacts
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_logits
from ftool_export.checkpoints.embedder import LoadedEmbedder, compute_vectors
from ftool_export.checkpoints.embedder_layout import Kind
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import decode, generate_tokens, score_tokens
from ftool_export.checkpoints.reader import LoadedReader
from ftool_export.checkpoints.tagger import LoadedTagger
from ftool_export.examples.questions import QuestionExamples
from ftool_export.examples.tagging import TaggingExamples
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.postprocessing.classification import Classification, classify
from ftool_runtime.postprocessing.spans import Spans
from ftool_runtime.text.words import CharRange


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """A trained model.

    Attributes:
        on: "run" for the checkpoint in torch, "bundle" for the runtime.
        model: answers as the runtime's model of its task does.
        facts: has the manifest's fields that depend on the task, such as `labels`.
        tokenizer: neither truncates nor pads.
        prefix: text that goes before every input.
        max_length: tokens that it reads at once.
        reference: gives the checkpoint in run/, which is loaded if it is not yet.
    """

    on: Literal["run", "bundle"]
    model: Any
    facts: Any
    tokenizer: Tokenizer
    prefix: str
    max_length: int
    reference: Callable[[], Any]

    @property
    def known(self) -> ModelFacts:
        """The facts about this model that reading data needs."""
        names = ("labels", "multi_label", "regression", "pairs")
        return ModelFacts(**{name: getattr(self.facts, name) for name in names if hasattr(self.facts, name)})

    def token_counts(self, texts: Sequence[Any], *, special: bool = False) -> list[int]:
        """The number of tokens of each text or pair of texts, with special tokens or without."""
        encoded = self.tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [len(one.ids) for one in encoded]


def opened_run(loaded: LoadedModel, model: Any) -> OpenModel:
    """Return a checkpoint as an open model; `model` is its wrapper with the runtime's interface."""
    tokenizer = Tokenizer.from_str(loaded.tokenizer.backend_tokenizer.to_str())
    return OpenModel(
        on="run",
        model=model,
        facts=SimpleNamespace(**loaded.manifest_fields()),
        tokenizer=_plain(tokenizer),
        prefix=loaded.prefix,
        max_length=loaded.max_length,
        reference=lambda: loaded,
    )


def opened_bundle(
    model: Any, manifest: Manifest, tokenizer: Tokenizer, reference: Callable[[], Any]
) -> OpenModel:
    """Return a bundle that the runtime has loaded as an open model."""
    return OpenModel(
        on="bundle",
        model=model,
        facts=manifest,
        tokenizer=_plain(tokenizer),
        prefix=manifest.input.prefix,
        max_length=manifest.input.max_length,
        reference=reference,
    )


def _plain(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@dataclass(frozen=True)
class TorchClassifier:
    """A classifier in torch with the interface of `ftool_runtime.TextClassifier`."""

    loaded: LoadedClassifier

    def logits(self, inputs: Sequence[Any]) -> NDArray[Any]:
        """The logits of texts or pairs, float32 (inputs, labels)."""
        return compute_logits(self.loaded, inputs)

    def __call__(self, inputs: Sequence[Any]) -> list[Classification]:
        """The labels of texts or pairs."""
        loaded = self.loaded
        logits = self.logits(inputs)
        return classify(logits, loaded.labels, multi_label=loaded.multi_label, thresholds=loaded.thresholds)


@dataclass(frozen=True)
class TorchTagger:
    """A tagger in torch with the interface of `ftool_runtime.TokenTagger`."""

    loaded: LoadedTagger

    def word_tags(self, texts: Sequence[str], words: Sequence[Sequence[CharRange]]) -> list[list[str]]:
        """The tags of the given words of each text, in IOB2."""
        examples = TaggingExamples(loaded=self.loaded, inputs=texts, words=words)
        return examples.tags(compute_outputs(self.loaded, examples.rows))


@dataclass(frozen=True)
class TorchReader:
    """A reader in torch with the interface of `ftool_runtime.Reader`."""

    loaded: LoadedReader

    @property
    def no_answer_threshold(self) -> float | None:
        """The no-answer threshold."""
        return self.loaded.no_answer_threshold

    def spans(self, inputs: Sequence[dict[str, str]]) -> list[Spans]:
        """The best spans of questions about contexts."""
        examples = QuestionExamples(loaded=self.loaded, inputs=inputs)
        return examples.spans(compute_outputs(self.loaded, examples.rows))


@dataclass(frozen=True)
class TorchEmbedder:
    """An embedder in torch with the interface of `ftool_runtime.Embedder`."""

    loaded: LoadedEmbedder

    def __call__(self, texts: Sequence[str], *, kind: Kind | None = None) -> NDArray[Any]:
        """The vectors of texts, float32 (texts, width)."""
        return compute_vectors(self.loaded, texts, kind)


@dataclass(frozen=True)
class TorchGenerator:
    """A generator in torch with the interface of the runtime's generators."""

    loaded: LoadedGenerator

    def score_tokens(
        self, rows: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
    ) -> list[NDArray[Any]]:
        """The logits that predict each token of `answers`, float32 (tokens, vocabulary) each."""
        return score_tokens(self.loaded, rows, answers)

    def write(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the answers to rows of tokens, generated with the model's generation config."""
        return decode(self.loaded, generate_tokens(self.loaded, rows))
