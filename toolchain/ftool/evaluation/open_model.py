"""One interface for both forms of a trained model: the checkpoint in PyTorch, and the bundle in the runtime."""

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
from ftool_runtime.postprocessing.entities import WordTags
from ftool_runtime.postprocessing.spans import Spans
from ftool_runtime.text.words import CharRange


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """A trained model that is loaded and ready to answer.

    Attributes:
        on: "run" for the checkpoint in PyTorch, "bundle" for the bundle in the runtime.
        model: an object with the interface of the runtime's model class for the task.
        facts: an object that has, as attributes, the manifest fields that depend on the task, such as `labels`.
        tokenizer: the model's tokenizer, without truncation and padding.
        prefix: the text that is put before every input.
        max_length: the longest input in tokens, special tokens included.
        reference: a function that returns the checkpoint in run/, loading it on the first call.
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
        """The properties of this model that determine how data is read."""
        names = ("labels", "multi_label", "regression", "pairs")
        return ModelFacts(**{name: getattr(self.facts, name) for name in names if hasattr(self.facts, name)})

    def token_counts(self, texts: Sequence[Any], *, special: bool = False) -> list[int]:
        """Return the number of tokens of each text or text pair; `special` says whether special tokens count."""
        encoded = self.tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [len(one.ids) for one in encoded]


def open_run(loaded: LoadedModel, model: Any) -> OpenModel:
    """Return a loaded checkpoint as an open model; `model` wraps the checkpoint with the runtime's interface."""
    tokenizer = Tokenizer.from_str(loaded.tokenizer.backend_tokenizer.to_str())
    fields = loaded.manifest_fields()  # where a checkpoint leaves something open, a manifest does not
    return OpenModel(
        on="run",
        model=model,
        facts=SimpleNamespace(**{name: getattr(loaded, name, value) for name, value in fields.items()}),
        tokenizer=_plain(tokenizer),
        prefix=loaded.prefix,
        max_length=loaded.max_length,
        reference=lambda: loaded,
    )


def open_bundle(
    model: Any, manifest: Manifest, tokenizer: Tokenizer, reference: Callable[[], Any]
) -> OpenModel:
    """Return `model`, a bundle that is loaded in the runtime, as an open model.

    `reference` is a function that loads and returns the checkpoint in run/.
    """
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
    """A PyTorch classifier with the interface of `ftool_runtime.TextClassifier`."""

    loaded: LoadedClassifier

    def logits(self, inputs: Sequence[Any]) -> NDArray[Any]:
        """Return the logits of texts or text pairs, float32 (inputs, labels)."""
        return compute_logits(self.loaded, inputs)

    def __call__(self, inputs: Sequence[Any]) -> list[Classification]:
        """Return the classification of each text or text pair."""
        loaded = self.loaded
        logits = self.logits(inputs)
        return classify(logits, loaded.labels, multi_label=loaded.multi_label, thresholds=loaded.thresholds)


@dataclass(frozen=True)
class TorchTagger:
    """A PyTorch tagger with the interface of `ftool_runtime.TokenTagger`."""

    loaded: LoadedTagger

    def word_answers(self, texts: Sequence[str], words: Sequence[Sequence[CharRange]]) -> list[WordTags]:
        """Return an IOB2 tag, with its probability, for each word of each text.

        `words` holds the character ranges of each text's words.
        """
        examples = TaggingExamples(loaded=self.loaded, inputs=texts, words=words)
        return examples.answers(compute_outputs(self.loaded, examples.rows))


@dataclass(frozen=True)
class TorchReader:
    """A PyTorch reader with the interface of `ftool_runtime.Reader`."""

    loaded: LoadedReader

    @property
    def no_answer_threshold(self) -> float | None:
        """The no-answer threshold; None if the reader always answers."""
        return self.loaded.no_answer_threshold

    def spans(self, inputs: Sequence[dict[str, str]]) -> list[Spans]:
        """Return the best spans for each input, a dict of "question" and "context"."""
        examples = QuestionExamples(loaded=self.loaded, inputs=inputs)
        return examples.spans(compute_outputs(self.loaded, examples.rows))


@dataclass(frozen=True)
class TorchEmbedder:
    """A PyTorch embedder with the interface of `ftool_runtime.Embedder`."""

    loaded: LoadedEmbedder

    def __call__(self, texts: Sequence[str], *, kind: Kind | None = None) -> NDArray[Any]:
        """Return the vectors of texts, float32 (texts, width); `kind` is "query", "passage" or None."""
        return compute_vectors(self.loaded, texts, kind)


@dataclass(frozen=True)
class TorchGenerator:
    """A PyTorch generator with the interface of the runtime's generators."""

    loaded: LoadedGenerator

    def score_tokens(
        self, rows: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
    ) -> list[NDArray[Any]]:
        """Return, for each input, the logits that predict the tokens of its given answer: float32 (tokens, vocabulary).

        `rows` holds the token ids of the inputs, `answers` those of the given answers.
        """
        return score_tokens(self.loaded, rows, answers)

    def write(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the text that is generated for each row of input token ids, with the model's generation config."""
        return decode(self.loaded, generate_tokens(self.loaded, rows))
