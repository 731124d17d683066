"""What a manifest says of a model's inputs, and of the kind of answers it gives, each with its checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ftool_runtime.errors import BundleError
from ftool_runtime.schema import written

INPUT_NAMES: Final = ("input_ids", "attention_mask", "token_type_ids")
SIDES: Final = ("right", "left")
FAMILIES: Final = ("encoder-decoder", "decoder")
CACHES: Final = ("in_place", "joined")
AGGREGATIONS: Final = ("none", "simple", "first", "average", "max")
POOLINGS: Final = ("mean", "cls", "last")
SIMILARITIES: Final = ("cosine", "dot")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputContract:
    """The graph's inputs: int64 arrays (batch, sequence) under `names`, padded on the right.

    For models that generate text these are the encoder's inputs and `max_length` is the longest source; for decoders
    without an encoder the only name is `input_ids`, and `max_length` is the context: prompt and answer together.

    Attributes:
        names: inputs of the graph.
        max_length: tokens of a row at most, special tokens included.
        padding_side: "right".
        truncation_side: the side at which a text longer than `max_length` loses its tokens.
        split_special_tokens: whether a special token spelled out in a text, such as "[SEP]", is tokenized like any
            other text; False: it becomes that token.
        pad_token_id: fills `input_ids`.
        pad_token_type_id: fills `token_type_ids`.
        prefix: goes before every text.
    """

    names: tuple[str, ...]
    max_length: int
    padding_side: str = written("right")
    truncation_side: str = "right"
    split_special_tokens: bool = False
    pad_token_id: int = written(0)
    pad_token_type_id: int = 0
    prefix: str = ""

    def __post_init__(self) -> None:
        check_names("input.names", self.names, INPUT_NAMES)
        if "input_ids" not in self.names:
            raise BundleError(f"input.names must hold 'input_ids', got {list(self.names)}")
        if self.max_length < 1:
            raise BundleError(f"input.max_length must be at least 1, got {self.max_length}")
        check_names("input.padding_side", (self.padding_side,), ("right",))
        check_names("input.truncation_side", (self.truncation_side,), SIDES)
        if min(self.pad_token_id, self.pad_token_type_id) < 0:
            raise BundleError(f"input.pad_token_id must not be negative, got {self.pad_token_id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    """How a translator is told which languages to read and write; codes are the checkpoint's own, such as "zh_CN".

    Attributes:
        source: the code meant where a call names none; None where there is no choice.
        target: likewise of the answer.
        source_tokens: the token that says what language a source is in, by code. It stands among the special tokens
            of a source: the tokenizer puts that of `source` there, and for another language it is exchanged.
        target_tokens: the token that an answer must begin with, by code.
        target_prefixes: the text that goes before a source, by code of the answer's language.
    """

    source: str | None = None
    target: str | None = None
    source_tokens: Mapping[str, int] = field(default_factory=dict)
    target_tokens: Mapping[str, int] = field(default_factory=dict)
    target_prefixes: Mapping[str, str] = field(default_factory=dict)

    def known(self) -> dict[str, list[str]]:
        """The codes that may be asked for, of sources and of answers, in their order."""
        targets = {*self.target_tokens, *self.target_prefixes}
        return {"source": sorted(self.source_tokens), "target": sorted(targets)}

    def __post_init__(self) -> None:
        targets = {*self.target_tokens, *self.target_prefixes}
        for where, code, known in (
            ("source", self.source, {*self.source_tokens}),
            ("target", self.target, targets),
        ):
            if code is not None and known and code not in known:
                raise BundleError(
                    f"languages.{where} is {code!r}, which is not among {', '.join(sorted(known))}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationContract:
    """How a bundle's decoder graph is run; how it is told to answer stands in `generation_config.json`.

    Attributes:
        family: "encoder-decoder" or "decoder".
        caches: "in_place", where the graph appends to buffers (batch, heads, capacity, head_dim), or "joined", where
            it gives back past and new keys and values joined along their length.
        max_length: tokens that a row of the decoder can hold, its prompt included; None where nothing limits it.
        languages: of translators that are told their languages; None for the others.
    """

    family: str
    caches: str = written("in_place")
    max_length: int | None = None
    languages: Languages | None = None

    def __post_init__(self) -> None:
        check_names("generation.family", (self.family,), FAMILIES)
        check_names("generation.caches", (self.caches,), CACHES)
        if self.max_length is not None and self.max_length < 2:
            raise BundleError(f"generation.max_length must be at least 2, got {self.max_length}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionContract:
    """How a reader finds answers in a context.

    Attributes:
        stride: tokens that neighbouring windows of a long context share.
        max_answer_length: of an answer, in tokens.
        no_answer_threshold: how far the score of no answer may lie above that of the best answer for this still to be
            given, as logits; None where the model knows no questions without an answer.
    """

    stride: int = written(128)
    max_answer_length: int = written(30)
    no_answer_threshold: float | None = None

    def __post_init__(self) -> None:
        if self.stride < 0:
            raise BundleError(f"questions.stride must not be negative, got {self.stride}")
        if self.max_answer_length < 1:
            raise BundleError(f"questions.max_answer_length must be at least 1, got {self.max_answer_length}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityContract:
    """How tags of tokens become entities.

    Attributes:
        stride: tokens that neighbouring windows of a long text share.
        aggregation: how the tokens of a word, and the words of an entity, are joined, unless a call says otherwise.
    """

    stride: int = written(32)
    aggregation: str = written("first")

    def __post_init__(self) -> None:
        if self.stride < 0:
            raise BundleError(f"entities.stride must not be negative, got {self.stride}")
        check_names("entities.aggregation", (self.aggregation,), AGGREGATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingContract:
    """What a text's vector is.

    Attributes:
        dimension: numbers in a vector.
        pooling: how token vectors became one; the graph does it.
        normalize: whether vectors have length 1.
        prompts: the text that goes before an input, by its kind, such as "query" and "passage".
        similarity: what vectors are made to be compared by: "cosine", or "dot" where lengths count.
    """

    dimension: int
    pooling: str
    normalize: bool
    prompts: Mapping[str, str] = field(default_factory=dict)
    similarity: str = "cosine"

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise BundleError(f"embedding.dimension must be at least 1, got {self.dimension}")
        check_names("embedding.pooling", (self.pooling,), POOLINGS)
        check_names("embedding.similarity", (self.similarity,), SIMILARITIES)


def check_names(where: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Raise BundleError for a name that this runtime does not know."""
    for name in names:
        if name not in known:
            raise BundleError(
                f"{where}: this runtime knows {', '.join(known)}, got {name!r}; upgrade ftool-runtime"
            )
