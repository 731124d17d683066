"""The manifest's contracts: a model's inputs, and one contract for each kind of answer, with their checks."""

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

    For encoder-decoders these are the encoder's inputs, and `max_length` is that of a source. For decoders without an
    encoder the only name is `input_ids`, and `max_length` is the context: prompt and answer together.

    Attributes:
        names: the graph's inputs.
        max_length: the most tokens of a row, including special tokens.
        padding_side: "right".
        truncation_side: the side at which a text longer than `max_length` loses its tokens.
        split_special_tokens: whether a special token spelled out in a text, such as "[SEP]", is tokenized like any
            other text; False: it becomes that token.
        pad_token_id: fills `input_ids`.
        pad_token_type_id: fills `token_type_ids`.
        prefix: the text before every text.
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
    """How to select a translator's languages. Codes are those of the checkpoint, such as "zh_CN".

    Attributes:
        source: the source's language if a call names none; None if there is no choice.
        target: the answer's language if a call names none; None if there is no choice.
        source_tokens: the token for a source's language, by code. It is one of the source's special tokens: the
            tokenizer adds that of `source`, which is replaced for another language.
        target_tokens: the token that an answer begins with, by code.
        target_prefixes: the text before a source, by code of the answer's language.
    """

    source: str | None = None
    target: str | None = None
    source_tokens: Mapping[str, int] = field(default_factory=dict)
    target_tokens: Mapping[str, int] = field(default_factory=dict)
    target_prefixes: Mapping[str, str] = field(default_factory=dict)

    def known(self) -> dict[str, list[str]]:
        """The codes that a call may name for sources and for answers, sorted."""
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
                    f"languages.{where} is {code!r}, which is not one of {', '.join(sorted(known))}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationContract:
    """How to run a bundle's decoder graph. How answers are generated is in `generation_config.json`.

    Attributes:
        family: "encoder-decoder" or "decoder".
        caches: "in_place" if the graph appends to buffers (batch, heads, capacity, head_dim), "joined" if it returns
            past and new keys and values concatenated along their length.
        max_length: the most tokens of a row of the decoder, including its prompt; None if there is no limit.
        languages: for translators with a choice of languages; None for other models.
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
        max_answer_length: the most tokens of an answer.
        no_answer_threshold: the best answer is given if the score of "no answer" is at most this far above its score,
            in logits; None if the model knows no unanswerable questions.
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
    """How the tags of tokens become entities.

    Attributes:
        stride: tokens that neighbouring windows of a long text share.
        aggregation: how tokens are merged into words and words into entities, unless a call sets it.
    """

    stride: int = written(32)
    aggregation: str = written("first")

    def __post_init__(self) -> None:
        if self.stride < 0:
            raise BundleError(f"entities.stride must not be negative, got {self.stride}")
        check_names("entities.aggregation", (self.aggregation,), AGGREGATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingContract:
    """How a text's vector is made and compared.

    Attributes:
        dimension: the length of a vector.
        pooling: how the graph pools the vectors of tokens.
        normalize: whether vectors have norm 1.
        prompts: the text before an input, by the input's kind, such as "query" and "passage".
        similarity: how vectors are compared: "cosine", or "dot" if their norms matter.
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
