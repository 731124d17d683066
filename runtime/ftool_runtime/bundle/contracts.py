"""The manifest's contracts: one for a model's inputs and one for each kind of answer; each checks its own values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ftool_runtime.errors import BundleError
from ftool_runtime.schema import show, written

INPUT_NAMES: Final = ("input_ids", "attention_mask", "token_type_ids")
SIDES: Final = ("right", "left")
FAMILIES: Final = ("encoder-decoder", "decoder")
CACHES: Final = ("in_place", "joined")
AGGREGATIONS: Final = ("none", "simple", "first", "average", "max")
POOLINGS: Final = ("mean", "cls", "last")
SIMILARITIES: Final = ("cosine", "dot")
FEATURES_OUTPUT: Final = "features"  # with `teaching`: the input of the graph's last linear layer
MAX_LOSS_RISE: Final = (
    0.05  # nats, by which all lessons may raise the mean cross-entropy of a bundle's replay
)
LARGEST_WHOLE: Final = 2**31 - 1  # of lengths and token ids
LONGEST_PROMPT: Final = 2**16  # characters of a text before every input; real ones have at most some hundreds


@dataclass(frozen=True, slots=True, kw_only=True)
class InputContract:
    """Describes the graph's inputs: int64 arrays (batch, sequence) under `names`, padded on the right.

    For encoder-decoders these are the encoder's inputs, and `max_length` limits a source. For decoders without an
    encoder the only name is `input_ids`, and `max_length` limits the context, that is, prompt and answer together.

    Attributes:
        names: the names of the graph's inputs.
        max_length: the largest number of tokens in a row, including special tokens.
        padding_side: always "right".
        truncation_side: the side at which a text longer than `max_length` is cut, "right" or "left".
        split_special_tokens: whether a special token spelled out in a text, such as "[SEP]", is tokenized like any
            other text. If False, such a text becomes the special token.
        pad_token_id: the value that pads `input_ids`.
        pad_token_type_id: the value that pads `token_type_ids`.
        prefix: text that is put before every input.
        vocabulary: the number of token ids, from 0, that the model has embeddings for, if the tokenizer makes others
            too; a text with such a token is refused. None if the model knows all of the tokenizer's ids.
    """

    names: tuple[str, ...]
    max_length: int
    padding_side: str = written("right")
    truncation_side: str = "right"
    split_special_tokens: bool = False
    pad_token_id: int = written(0)
    pad_token_type_id: int = 0
    prefix: str = ""
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        check_names("input.names", self.names, INPUT_NAMES)
        if "input_ids" not in self.names:
            raise BundleError(f"input.names must hold 'input_ids', got {list(self.names)}")
        check_whole("input.max_length", self.max_length, 1)
        check_whole("input.vocabulary", self.vocabulary, 1)
        check_names("input.padding_side", (self.padding_side,), ("right",))
        check_names("input.truncation_side", (self.truncation_side,), SIDES)
        check_whole("input.pad_token_id", self.pad_token_id, 0)
        check_whole("input.pad_token_type_id", self.pad_token_type_id, 0)
        check_prompt("input.prefix", self.prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    """Describes how to select a translator's languages. Codes are the checkpoint's own, such as "zh_CN".

    Attributes:
        source: the source language if a call does not name one; None if the model offers no choice.
        target: the target language if a call does not name one; None if the model offers no choice.
        source_tokens: the special token that marks the source language, by code. The tokenizer adds the token of
            `source`, which is replaced if a call names another language.
        target_tokens: the token that an answer begins with, by code of the target language.
        target_prefixes: the words that are put before a text to translate, by code of the target language.
    """

    source: str | None = None
    target: str | None = None
    source_tokens: Mapping[str, int] = field(default_factory=dict)
    target_tokens: Mapping[str, int] = field(default_factory=dict)
    target_prefixes: Mapping[str, str] = field(default_factory=dict)

    def known(self) -> dict[str, list[str]]:
        """Return the language codes that a call may name, sorted, under "source" and "target"."""
        targets = {*self.target_tokens, *self.target_prefixes}
        return {"source": sorted(self.source_tokens), "target": sorted(targets)}

    def __post_init__(self) -> None:
        for name in ("source_tokens", "target_tokens"):
            for code, token in getattr(self, name).items():
                check_whole(f"languages.{name}.{code}", token, 0)
        for code, prefix in self.target_prefixes.items():
            check_prompt(f"languages.target_prefixes.{code}", prefix)
        targets = {*self.target_tokens, *self.target_prefixes}
        for where, code, known in (
            ("source", self.source, {*self.source_tokens}),
            ("target", self.target, targets),
        ):
            if code is not None and known and code not in known:
                raise BundleError(
                    f"languages.{where} is {code!r}, which is not one of {', '.join(sorted(known))}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationContract:
    """Describes a bundle's decoder graph. The settings for generating answers are in `generation_config.json`.

    Attributes:
        family: "encoder-decoder" or "decoder".
        caches: "in_place" if the graph appends keys and values to buffers (batch, heads, capacity, head_dim), "joined"
            if the graph returns past and new keys and values concatenated along their length.
        max_length: the largest number of tokens in a row of the decoder, including the prompt; None for no limit.
        languages: for translators with a choice of languages; None for other models.
    """

    family: str
    caches: str = written("in_place")
    max_length: int | None = None
    languages: Languages | None = None

    def __post_init__(self) -> None:
        check_names("generation.family", (self.family,), FAMILIES)
        check_names("generation.caches", (self.caches,), CACHES)
        check_whole("generation.max_length", self.max_length, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionContract:
    """Settings by which a reader finds answers in a context.

    Attributes:
        stride: the number of tokens that neighbouring windows of a long context share.
        max_answer_length: the largest number of tokens in an answer.
        no_answer_threshold: the reader gives its best answer if the score of "no answer" exceeds the answer's score by
            at most this much, in logits; None if the model always answers.
    """

    stride: int = written(128)
    max_answer_length: int = written(30)
    no_answer_threshold: float | None = None

    def __post_init__(self) -> None:
        check_whole("questions.stride", self.stride, 0)
        check_whole("questions.max_answer_length", self.max_answer_length, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityContract:
    """Settings by which a tagger turns the tags of tokens into entities.

    Attributes:
        stride: the number of tokens that neighbouring windows of a long text share.
        aggregation: the default method of merging tokens into words and words into entities; a call can set another.
    """

    stride: int = written(32)
    aggregation: str = written("first")

    def __post_init__(self) -> None:
        check_whole("entities.stride", self.stride, 0)
        check_names("entities.aggregation", (self.aggregation,), AGGREGATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingContract:
    """Settings by which an embedder makes vectors and compares them.

    Attributes:
        dimension: the length of a vector.
        pooling: the method by which the graph pools the vectors of tokens: "mean", "cls" or "last".
        normalize: whether vectors have norm 1.
        prompts: the text that is put before an input, by the input's kind, such as "query" and "passage".
        similarity: the measure that compares vectors: "cosine", or "dot" if the vectors' norms matter.
    """

    dimension: int
    pooling: str
    normalize: bool
    prompts: Mapping[str, str] = field(default_factory=dict)
    similarity: str = "cosine"

    def __post_init__(self) -> None:
        check_whole("embedding.dimension", self.dimension, 1)
        for kind, prompt in self.prompts.items():
            check_prompt(f"embedding.prompts.{kind}", prompt)
        check_names("embedding.pooling", (self.pooling,), POOLINGS)
        check_names("embedding.similarity", (self.similarity,), SIMILARITIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachingContract:
    """Describes what a classifier's bundle holds for lessons on the device.

    Attributes:
        features: the width of the graph's output "features", the input of its last linear layer.
        rows: the number of training texts whose features are in `replay.bin`.
    """

    features: int
    rows: int

    def __post_init__(self) -> None:
        check_whole("teaching.features", self.features, 1)
        check_whole("teaching.rows", self.rows, 1)


def check_whole(where: str, value: int | None, least: int) -> None:
    """Raise BundleError if a whole number is below `least` or beyond 32 bits; None is no number to check.

    Larger numbers fit into no graph, tokenizer or buffer. The message calls the manifest's field `where`.
    """
    if value is not None and not least <= value <= LARGEST_WHOLE:
        raise BundleError(
            f"{where} must be a whole number from {least} to {LARGEST_WHOLE}, got {show(value)}"
        )


def check_prompt(where: str, text: str) -> None:
    """Raise BundleError if a text that is put before inputs is so long that every call would be slow."""
    if len(text) > LONGEST_PROMPT:
        raise BundleError(f"{where} has {len(text):,} characters, and at most {LONGEST_PROMPT:,} are allowed")


def check_names(where: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Raise BundleError if a name is not in `known`; the message calls the manifest's field `where`."""
    for name in names:
        if name not in known:
            raise BundleError(
                f"{where}: this runtime knows {', '.join(known)}, got {name!r}; upgrade ftool-runtime"
            )
