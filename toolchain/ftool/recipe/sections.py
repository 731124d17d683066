"""The tables of a recipe as dataclasses that check their own values; none of them knows the tasks.

The text beside a field's type explains the field in written recipes. `SOME_TASKS` behind it says that only those tasks
use the field whose row names it in `Task.settings`; all other fields are for every task. `DERIVED` marks fields whose
default follows from the task or from other fields, so written recipes show it commented out.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, Literal, TypeVar, cast

from ftool.recipe.data_settings import DataSettings
from ftool.recipe.errors import DERIVED, SOME_TASKS, require

Method = Literal["full", "head", "lora"]
Samples = Literal["multi", "single"]
Pooling = Literal["auto", "mean", "cls", "last", "pooler"]
Loss = Literal["auto", "multiple_negatives", "triplet", "cosent", "cosine"]
Schedule = Literal["linear", "cosine", "constant"]
Optimizer = Literal["adamw", "adafactor"]
TokenizerKind = Literal["unigram", "bpe"]
PrecisionName = Literal["fp32", "int8", "w8"]

SCRATCH: Final = "scratch:"  # begins the names of bases with random weights

T = TypeVar("T")


class _Int(int):
    """A whole number that nobody chose."""


class _Float(float):
    """A number that nobody chose."""


class _Str(str):
    """A string that nobody chose."""

    __slots__ = ()


def default(value: T) -> T:
    """`value` marked as a default: task and base may put another in its place, see `Recipe`."""
    for plain, marked in ((int, _Int), (float, _Float), (str, _Str)):
        if isinstance(value, plain):
            return cast(T, marked(value))
    raise TypeError(f"only numbers and strings can be marked as defaults, got {value!r}")


def is_default(value: object) -> bool:
    """Whether a setting's value is one that nobody chose: None, or marked by `default`."""
    return value is None or isinstance(value, _Int | _Float | _Str)


def chosen(value: T | None, otherwise: T) -> T:
    """`value` if somebody chose it, else `otherwise`."""
    return otherwise if value is None or is_default(value) else value


def given(value: T) -> T | None:
    """`value` if somebody chose it, else None."""
    return None if is_default(value) else value


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one fine-tuning run."""

    method: Annotated[Method, "full: all weights; lora: adapters; head: only a classifier's head"] = "full"
    samples: Annotated[Samples, "multi: mini-batches; single: one example an update"] = "multi"
    pooling: Annotated[
        Pooling,
        "mean, cls, or pooler (classifiers), last (embedders); auto: as the base model was trained",
        SOME_TASKS,
    ] = "auto"
    loss: Annotated[
        Loss,
        "multiple_negatives, triplet, cosent or cosine; auto: cosent for scored pairs, else multiple_negatives",
        SOME_TASKS,
    ] = "auto"
    max_length: Annotated[
        int,
        "tokens that the model reads at once; longer texts are cut, or read in overlapping windows",
        DERIVED,
    ] = default(128)
    stride: Annotated[
        int, "tokens that two windows of a long text share; a third of max_length", SOME_TASKS, DERIVED
    ] = default(42)
    max_answer_length: Annotated[
        int, "most tokens of an answer; 30, or as many as the stride can hold", SOME_TASKS, DERIVED
    ] = default(30)
    max_target_length: Annotated[int, "most tokens of an answer; longer ones are cut", SOME_TASKS] = 128
    epochs: Annotated[float, "passes over the training data"] = default(3.0)
    batch_size: Annotated[int, "examples a step on each device"] = 32
    gradient_accumulation: Annotated[int, "steps whose gradients make one update"] = 1
    learning_rate: Annotated[float, "peak, after warm-up"] = default(1e-4)
    head_learning_rate: Annotated[
        float, "of the head on frozen features, with single samples", SOME_TASKS
    ] = 0.02
    optimizer: Annotated[Optimizer, "adamw, or adafactor: less memory", SOME_TASKS] = "adamw"
    weight_decay: Annotated[float, "decoupled, on matrices only"] = 0.01
    warmup_ratio: Annotated[float, "share of all updates over which the learning rate rises"] = 0.1
    schedule: Annotated[Schedule, "linear, cosine or constant: the learning rate after warm-up"] = "linear"
    max_grad_norm: Annotated[float, "gradients are clipped to this norm; 0 leaves them"] = 1.0
    label_smoothing: Annotated[float, "share of the target spread over the other labels"] = 0.0
    class_weights: Annotated[
        Literal["none", "balanced"] | Mapping[str, float],
        "none, balanced (the rarer, the heavier), or a table: label = weight",
        SOME_TASKS,
    ] = "none"
    thresholds: Annotated[
        Literal["half", "tuned"],
        "multi-label: a label applies from one half on, or from the probability of its best F1 on validation",
        SOME_TASKS,
    ] = "half"
    metric: Annotated[str | None, "decides between checkpoints and between bundles", SOME_TASKS, DERIVED] = (
        None
    )
    evaluations_per_epoch: Annotated[int, "on validation, each with a checkpoint to resume from"] = 2
    evaluation_examples: Annotated[
        int,
        "validation examples, evenly spread, that decide while training; afterwards all count",
        SOME_TASKS,
    ] = 256
    early_stopping_patience: Annotated[int, "evaluations without a gain before training stops; 0: never"] = 3
    bf16: Annotated[Literal["auto"] | bool, "bfloat16 arithmetic; auto: if the hardware has it"] = "auto"
    gradient_checkpointing: Annotated[bool, "less memory for a fifth to a third more time", SOME_TASKS] = (
        False
    )
    lora_rank: Annotated[int, "rank of an adapter's two matrices"] = 16
    lora_alpha: Annotated[float, "an adapter's output is scaled by alpha / rank"] = 32.0
    lora_dropout: Annotated[float, "on an adapter's input"] = 0.05
    dropout: Annotated[float, "of scratch: bases; other bases keep their own", SOME_TASKS] = 0.1
    tokenizer: Annotated[
        TokenizerKind, "unigram or bpe, learnt from the data for scratch: bases", SOME_TASKS
    ] = "unigram"
    vocabulary_size: Annotated[int, "most tokens, learnt from the data for scratch: bases", SOME_TASKS] = 8000
    threads: Annotated[int | None, "CPU threads; all physical cores"] = None
    seed: Annotated[int, "of shuffling, dropout and new weights"] = 13

    def __post_init__(self) -> None:
        for what, names, holds in _TRAIN_CHECKS:
            for name in names:
                value = getattr(self, name)
                require(holds(value), f"train.{name}", what, value)
        require(self.threads is None or self.threads >= 1, "train.threads", "1 or more", self.threads)
        if not isinstance(self.class_weights, str):
            for label, weight in self.class_weights.items():
                require(weight > 0, f"train.class_weights.{label}", "above 0", weight)


_TRAIN_CHECKS: Final[tuple[tuple[str, tuple[str, ...], Callable[[Any], bool]], ...]] = (
    ("above 0", ("epochs", "learning_rate", "head_learning_rate", "lora_alpha"), lambda v: v > 0),
    (
        "1 or more",
        (
            "batch_size", "gradient_accumulation", "evaluations_per_epoch", "evaluation_examples", "lora_rank",
            "max_answer_length",
        ),
        lambda v: v >= 1,
    ),
    (
        "0 or more",
        ("weight_decay", "max_grad_norm", "early_stopping_patience", "seed", "stride"),
        lambda v: v >= 0,
    ),
    (
        "from 0 to below 1",
        ("warmup_ratio", "label_smoothing", "lora_dropout", "dropout"),
        lambda v: 0 <= v < 1,
    ),
    ("3 or more", ("max_length",), lambda v: v >= 3),
    ("2 or more", ("max_target_length",), lambda v: v >= 2),
    ("100 or more", ("vocabulary_size",), lambda v: v >= 100),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """Generation settings for calls that name none; names and meanings are those of transformers."""

    num_beams: Annotated[int, "hypotheses searched side by side; 1: greedy"] = 1
    max_new_tokens: Annotated[int, "most tokens of an answer; train.max_target_length", DERIVED] = default(
        128
    )
    length_penalty: Annotated[float, "beams: above 0 prefers long answers, below 0 short ones"] = 1.0
    early_stopping: Annotated[bool, "beams: stop as soon as num_beams answers are complete"] = False
    no_repeat_ngram_size: Annotated[int, "no run of so many tokens comes twice; 0: any may"] = 0
    repetition_penalty: Annotated[float, "above 1: tokens that appeared before become less likely"] = 1.0
    do_sample: Annotated[bool, "draw tokens by their probability"] = False
    temperature: Annotated[float, "sampling: below 1 sharper, above 1 flatter"] = 1.0
    top_k: Annotated[int, "sampling: from the k likeliest tokens; 0: from all"] = 50
    top_p: Annotated[float, "sampling: from the likeliest tokens that make up this share"] = 1.0

    def __post_init__(self) -> None:
        for name in ("repetition_penalty", "temperature"):
            require(getattr(self, name) > 0, f"generation.{name}", "above 0", getattr(self, name))
        for name in ("no_repeat_ngram_size", "top_k"):
            require(getattr(self, name) >= 0, f"generation.{name}", "0 or more", getattr(self, name))
        for name in ("num_beams", "max_new_tokens"):
            require(getattr(self, name) >= 1, f"generation.{name}", "1 or more", getattr(self, name))
        require(0 < self.top_p <= 1, "generation.top_p", "above 0, at most 1", self.top_p)


@dataclass(frozen=True, kw_only=True)
class ExportRecipe:
    """Settings of the bundle."""

    precision: Annotated[PrecisionName, "fp32, int8 (smallest, fastest) or w8 (closest to fp32)", DERIVED] = (
        default("int8")
    )
    max_drop: Annotated[float, "loss of the main metric allowed on validation; 0.01: a point"] = 0.01
    allow_drift: Annotated[bool, "whether a bundle is written that ftool parity would fail"] = False
    device: Annotated[Literal["cpu", "cuda"], "the device that the bundle must run on"] = "cpu"
    golden: Annotated[
        Literal["probes", "data"], "the texts that ship in golden.json: ftool's own, or some of your data"
    ] = "probes"

    def __post_init__(self) -> None:
        require(0 <= self.max_drop <= 1, "export.max_drop", "from 0 to 1", self.max_drop)


@dataclass(frozen=True, kw_only=True)
class Sections:
    """All that a recipe says, as task rows and training take it; `Recipe` adds what depends on the task."""

    task: Annotated[str, "what the model does"] = "text-classification"
    base: Annotated[str, "a hub id, a checkpoint folder, or a name that ftool knows"] = "minilm"
    data: DataSettings
    train: TrainSettings = field(default_factory=TrainSettings)
    generation: Annotated[GenerationSettings, "", SOME_TASKS] = field(default_factory=GenerationSettings)
    export: ExportRecipe = field(default_factory=ExportRecipe)

    def generation_config(self) -> dict[str, Any]:
        """The [generation] table under transformers' names, for run/ to hold."""
        return asdict(self.generation)
