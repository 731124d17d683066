"""The tables of a recipe as dataclasses. They check their own values, but not whether these fit the task.

The text in a field's annotation explains the field in recipe files. A field with the mark `SOME_TASKS` is only for
tasks that list the field in `Task.settings`; all other fields are for every task. A field with the mark `DERIVED` has a
default that follows from the task or from other fields, and recipe files show this default commented out.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, Literal, TypeVar, cast

from ftool.errors import RecipeError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.schema import DERIVED, SOME_TASKS, require, require_sizes
from ftool_runtime.bundle.precisions import EMBEDDING_BITS, LayoutName, PrecisionName

Method = Literal["full", "head", "lora", "setfit"]
Samples = Literal["multi", "single"]
Pooling = Literal["auto", "mean", "cls", "last", "pooler"]
Loss = Literal["auto", "multiple_negatives", "triplet", "cosent", "cosine"]
Schedule = Literal["linear", "cosine", "constant"]
Optimizer = Literal["adamw", "adafactor"]
TokenizerKind = Literal["unigram", "bpe"]
Tracker = Literal["none", "tensorboard", "mlflow", "wandb"]
Preference = Literal["latency", "size", "memory"]

AUTO: Final = "auto"  # the precision of an export that builds every candidate and chooses one
SCRATCH: Final = "scratch:"  # prefix of the names of bases with random weights

T = TypeVar("T")


class _Int(int):
    """An int that is marked as a default, which means that the user did not choose it."""


class _Float(float):
    """A float that is marked as a default, which means that the user did not choose it."""


class _Str(str):
    """A string that is marked as a default, which means that the user did not choose it."""

    __slots__ = ()


def default(value: T) -> T:
    """Return `value` marked as a default: `Recipe` may replace it with the default of the task or the base model.

    Raises TypeError unless `value` is a number or a string.
    """
    for plain, marked in ((int, _Int), (float, _Float), (str, _Str)):
        if isinstance(value, plain):
            return cast(T, marked(value))
    raise TypeError(f"only numbers and strings can be marked as defaults, got {value!r}")


def is_default(value: object) -> bool:
    """Return whether the user did not choose a setting's value: the value is None or marked by `default`."""
    return value is None or isinstance(value, _Int | _Float | _Str)


def chosen(value: T | None, otherwise: T) -> T:
    """Return `value` if the user chose it, else `otherwise`."""
    return otherwise if value is None or is_default(value) else value


def given(value: T) -> T | None:
    """Return `value` if the user chose it, else None."""
    return None if is_default(value) else value


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one fine-tuning run. Raises RecipeError if a value is out of range."""

    method: Annotated[
        Method,
        "full: all weights; lora: adapters; head: only a classifier's head; setfit: for a classifier's few examples",
    ] = "full"
    samples: Annotated[Samples, "multi: mini-batches; single: one example per update"] = "multi"
    pooling: Annotated[
        Pooling,
        "mean, cls, pooler (classifiers only) or last (embedders only); auto: as the base model was trained",
        SOME_TASKS,
    ] = "auto"
    loss: Annotated[
        Loss,
        "multiple_negatives, triplet, cosent or cosine; auto: cosent for scored pairs, else multiple_negatives",
        SOME_TASKS,
    ] = "auto"
    max_length: Annotated[
        int,
        "longest input in tokens; longer texts are cut, or read in overlapping windows",
        DERIVED,
    ] = default(128)
    stride: Annotated[
        int,
        "tokens shared by neighbouring windows of a long text; a third of max_length",
        SOME_TASKS,
        DERIVED,
    ] = default(42)
    max_answer_length: Annotated[
        int, "longest answer in tokens; 30, or fewer if the stride is short", SOME_TASKS, DERIVED
    ] = default(30)
    max_target_length: Annotated[int, "longest answer in tokens; longer ones are cut", SOME_TASKS] = 128
    epochs: Annotated[float, "passes over the training data; with setfit, each is five passes"] = default(3.0)
    batch_size: Annotated[
        int,
        "examples per step on each device; fewer than 32 if max_length is above 128, to save memory",
        DERIVED,
    ] = default(32)
    gradient_accumulation: Annotated[
        int, "steps per update of the weights; as many as make an update from 32 examples", DERIVED
    ] = default(1)
    learning_rate: Annotated[float, "peak, after warm-up"] = default(1e-4)
    head_learning_rate: Annotated[
        float, "for the head on frozen features, with samples = single", SOME_TASKS
    ] = 0.02
    optimizer: Annotated[Optimizer, "adamw, or adafactor: less memory", SOME_TASKS] = "adamw"
    weight_decay: Annotated[float, "decoupled, for matrices only"] = 0.01
    warmup_ratio: Annotated[float, "share of all updates over which the learning rate rises"] = 0.1
    schedule: Annotated[Schedule, "linear, cosine or constant: the learning rate after warm-up"] = "linear"
    max_grad_norm: Annotated[float, "gradients are clipped to this norm; 0: no clipping"] = 1.0
    label_smoothing: Annotated[float, "share of the target spread over the other labels"] = 0.0
    class_weights: Annotated[
        Literal["none", "balanced"] | Mapping[str, float],
        "none, balanced (rare labels weigh more), or a table: label = weight",
        SOME_TASKS,
    ] = "none"
    thresholds: Annotated[
        Literal["half", "tuned"],
        "multi-label: the probability from which a label applies; half: 0.5; tuned: the best F1 on validation",
        SOME_TASKS,
    ] = "half"
    metric: Annotated[
        str | None,
        "selects the best checkpoint and decides whether a bundle is accepted",
        SOME_TASKS,
        DERIVED,
    ] = None
    evaluations_per_epoch: Annotated[
        int, "evaluations on validation, each with a checkpoint to resume from; setfit: 1", DERIVED
    ] = default(2)
    evaluation_examples: Annotated[
        int,
        "validation examples used during training, evenly spread; the final evaluation uses all",
        SOME_TASKS,
    ] = 256
    early_stopping_patience: Annotated[
        int, "evaluations without an improvement before training stops; 0: never"
    ] = 3
    distill_from: Annotated[
        str | None,
        "a trained model (its folder, or a checkpoint) whose answers are learnt beside the labels",
        SOME_TASKS,
    ] = None
    distill_weight: Annotated[
        float, "share of the teacher's answers in the loss; the rest is that of the labels", SOME_TASKS
    ] = 0.5
    distill_temperature: Annotated[
        float, "above 1, the teacher's less probable labels weigh more", SOME_TASKS
    ] = 2.0
    distill_hidden: Annotated[
        float, "factor of the loss of hidden states, learnt from the teacher's; 0: none", SOME_TASKS
    ] = 0.0
    bf16: Annotated[Literal["auto"] | bool, "bfloat16 arithmetic; auto: if the hardware supports it"] = "auto"
    gradient_checkpointing: Annotated[
        bool, "needs less memory and a third to two thirds more time", SOME_TASKS
    ] = False
    lora_rank: Annotated[int, "rank of an adapter's two matrices"] = 16
    lora_alpha: Annotated[float, "an adapter's output is scaled by alpha / rank"] = 32.0
    lora_dropout: Annotated[float, "dropout on an adapter's input"] = 0.05
    dropout: Annotated[float, "for scratch: bases; other bases keep their own", SOME_TASKS] = 0.1
    tokenizer: Annotated[
        TokenizerKind, "unigram or bpe, learnt from the data for scratch: bases", SOME_TASKS
    ] = "unigram"
    vocabulary_size: Annotated[
        int, "largest number of tokens in the vocabulary, learnt from the data for scratch: bases", SOME_TASKS
    ] = 8000
    report_to: Annotated[
        Tracker | tuple[Tracker, ...],
        "where losses and scores are sent too: tensorboard, mlflow or wandb, or a list of these; none: nowhere",
    ] = "none"
    threads: Annotated[int | None, "CPU threads; by default all physical cores"] = None
    seed: Annotated[int, "seed of shuffling, dropout and new weights"] = 13

    def __post_init__(self) -> None:
        require_sizes(self, "train")
        for what, names, holds in _TRAIN_CHECKS:
            for name in names:
                value = getattr(self, name)
                require(holds(value), f"train.{name}", what, value)
        if self.distill_from is not None and self.method not in ("full", "lora"):
            raise RecipeError(
                f'train.distill_from needs train.method "full" or "lora", got "{self.method}"; leave one of them out'
            )
        if self.trackers and self.method == "head":
            raise RecipeError(
                'train.report_to is for fine-tuning, and train.method is "head", which has no updates to report; leave '
                "one of them out"
            )
        require(self.threads is None or self.threads >= 1, "train.threads", "1 or more", self.threads)
        if not isinstance(self.class_weights, str):
            for label, weight in self.class_weights.items():
                require(weight > 0, f"train.class_weights.{label}", "above 0", weight)

    @property
    def trackers(self) -> tuple[str, ...]:
        """The experiment trackers of `report_to`; empty for none."""
        named = (self.report_to,) if isinstance(self.report_to, str) else self.report_to
        return tuple(tracker for tracker in dict.fromkeys(named) if tracker != "none")


_TRAIN_CHECKS: Final[tuple[tuple[str, tuple[str, ...], Callable[[Any], bool]], ...]] = (
    (
        "above 0",
        ("epochs", "learning_rate", "head_learning_rate", "lora_alpha", "distill_temperature"),
        lambda v: v > 0,
    ),
    ("at most 1,000,000", ("epochs",), lambda v: v <= 1_000_000),
    ("from 0 to 1", ("distill_weight",), lambda v: 0 <= v <= 1),
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
        ("weight_decay", "max_grad_norm", "early_stopping_patience", "seed", "stride", "distill_hidden"),
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
    """The default settings with which a model generates text.

    Names and meanings are those of the generation config of transformers. Raises RecipeError if a value is out of
    range.
    """

    num_beams: Annotated[int, "number of beams; 1: greedy search"] = 1
    max_new_tokens: Annotated[int, "longest answer in tokens; train.max_target_length", DERIVED] = default(
        128
    )
    length_penalty: Annotated[float, "beam search: above 0 prefers long answers, below 0 short ones"] = 1.0
    early_stopping: Annotated[bool, "beam search: stop as soon as num_beams answers are complete"] = False
    no_repeat_ngram_size: Annotated[int, "no sequence of this many tokens is repeated; 0: no limit"] = 0
    repetition_penalty: Annotated[float, "above 1: tokens that appeared before become less likely"] = 1.0
    do_sample: Annotated[bool, "sample tokens by their probability"] = False
    temperature: Annotated[float, "sampling: below 1 sharper, above 1 flatter"] = 1.0
    top_k: Annotated[int, "sampling: only from the k most probable tokens; 0: from all"] = 50
    top_p: Annotated[
        float, "sampling: only from the most probable tokens that reach this total probability"
    ] = 1.0

    def __post_init__(self) -> None:
        require_sizes(self, "generation")
        for name in ("repetition_penalty", "temperature"):
            require(getattr(self, name) > 0, f"generation.{name}", "above 0", getattr(self, name))
        for name in ("no_repeat_ngram_size", "top_k"):
            require(getattr(self, name) >= 0, f"generation.{name}", "0 or more", getattr(self, name))
        for name in ("num_beams", "max_new_tokens"):
            require(getattr(self, name) >= 1, f"generation.{name}", "1 or more", getattr(self, name))
        require(0 < self.top_p <= 1, "generation.top_p", "above 0, at most 1", self.top_p)


@dataclass(frozen=True, kw_only=True)
class ExportRecipe:
    """Settings of the bundle that is exported. Raises RecipeError if a value is out of range."""

    precision: Annotated[
        PrecisionName | Literal["auto"],
        "fp32, fp16 (cuda), w8, int8 (fastest), int8-static, int8-rows, w4 (smallest); auto: cheapest in max_drop",
        DERIVED,
    ] = default("int8")
    embedding_bits: Annotated[
        int, "bits of quantised embedding tables: 8, or 4, which is smaller; auto: 4 tries both"
    ] = 8
    max_drop: Annotated[
        float,
        "largest allowed loss of the main metric on validation; 0.01: one point; auto: at this confidence",
    ] = 0.01
    confidence: Annotated[
        float, "auto: how sure it must be that the loss is at most max_drop; 0.5: compare the loss itself"
    ] = 0.95
    max_latency: Annotated[
        float | None, "auto: longest median time of an answer, or of a generated token, in milliseconds"
    ] = None
    max_size: Annotated[float | None, "auto: largest size of the bundle in MB"] = None
    prefer: Annotated[Preference, "auto: what is cheapest: latency, size or (peak) memory"] = "latency"
    candidates: Annotated[
        tuple[str, ...],
        "auto: further model folders or checkpoints, such as smaller ones distilled from this",
    ] = ()
    shrink: Annotated[
        tuple[str, ...],
        "auto: smaller models to make: vocabulary, vocabulary=20000, a number of layers (0: none), or 3+vocabulary",
    ] = ()
    allow_drift: Annotated[bool, "whether to write a bundle that ftool parity would fail"] = False
    device: Annotated[Literal["cpu", "cuda"], "the device that the bundle must run on"] = "cpu"
    layout: Annotated[
        LayoutName, "ftool; or standard: other libraries read the bundle too (docs/ecosystem.md)"
    ] = "ftool"
    teachable: Annotated[
        bool,
        "whether apps can teach the classifier on the device; the bundle then keeps features of training texts",
        SOME_TASKS,
    ] = False
    golden: Annotated[
        Literal["probes", "data"], "the texts that ship in golden.json: ftool's own, or some of your data"
    ] = "probes"

    def __post_init__(self) -> None:
        require_sizes(self, "export")
        require(0 <= self.max_drop <= 1, "export.max_drop", "from 0 to 1", self.max_drop)
        require(self.embedding_bits in EMBEDDING_BITS, "export.embedding_bits", "8 or 4", self.embedding_bits)
        if self.teachable and self.precision == AUTO:
            raise RecipeError("export.teachable needs one precision: name the one that auto has chosen")
        require(0.5 <= self.confidence < 1, "export.confidence", "at least 0.5 and below 1", self.confidence)
        for name in ("max_latency", "max_size"):
            limit = getattr(self, name)
            require(limit is None or limit > 0, f"export.{name}", "above 0", limit)


@dataclass(frozen=True, kw_only=True)
class Sections:
    """All settings of a recipe. The subclass `Recipe` adds the defaults and the checks of the task."""

    task: Annotated[str, "what the model does"] = "text-classification"
    base: Annotated[str, "a hub id, a checkpoint folder, or a named base such as minilm"] = "minilm"
    data: DataSettings
    train: TrainSettings = field(default_factory=TrainSettings)
    generation: Annotated[GenerationSettings, "", SOME_TASKS] = field(default_factory=GenerationSettings)
    export: ExportRecipe = field(default_factory=ExportRecipe)

    def generation_config(self) -> dict[str, Any]:
        """Return the [generation] table as a dict, with the names of the generation config of transformers."""
        return asdict(self.generation)
