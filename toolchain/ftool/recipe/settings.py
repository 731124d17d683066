"""The settings that a recipe holds. Every default of the toolchain stands here, once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from ftool.recipe import toml
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.errors import RecipeError
from ftool.recipe.override import apply_overrides
from ftool.recipe.paths import anchored, relative_to
from ftool.recipe.schema import build, require
from ftool.recipe.tasks import (
    EMBEDDING_TASK,
    GENERATION_TASKS,
    QUESTION_TASK,
    TAGGING_TASK,
    check_task_settings,
    default_max_length,
    default_precision,
    default_stride,
)

Method = Literal["full", "head", "lora"]
Samples = Literal["multi", "single"]
Pooling = Literal["auto", "mean", "cls", "last", "pooler"]
Loss = Literal["auto", "multiple_negatives", "triplet", "cosent", "cosine"]
Schedule = Literal["linear", "cosine", "constant"]
Optimizer = Literal["adamw", "adafactor"]
TokenizerKind = Literal["unigram", "bpe"]
PrecisionName = Literal["fp32", "int8", "w8"]

_CLASSIFY = "text-classification"

# The text beside a field's type explains it in written recipes and in the documentation. The tasks behind it are
# those that the setting is for; where there are none, it is for all.


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How one fine-tuning run goes."""

    method: Annotated[Method, "full: all weights; lora: adapters; head, for classifiers: the head alone"] = (
        "full"
    )
    samples: Annotated[Samples, "multi: mini-batches; single: one example an update"] = "multi"
    pooling: Annotated[
        Pooling,
        "mean, cls, or for classifiers pooler, for embedders last; auto: as the base model was trained",
        _CLASSIFY,
        EMBEDDING_TASK,
    ] = "auto"
    loss: Annotated[
        Loss,
        "multiple_negatives, triplet, cosent or cosine; auto: cosent for scored pairs, else multiple_negatives",
        EMBEDDING_TASK,
    ] = "auto"
    max_length: Annotated[
        int | None,
        "tokens of a text, a source, or a prompt with its answer; longer ones are cut, "
        "for token-classification into windows; 128; 512 for text-generation; "
        "for question-answering tokens of a window with its question; 384",
    ] = None
    stride: Annotated[
        int | None,
        "tokens that two windows of a long text share; a third of max_length",
        QUESTION_TASK,
        TAGGING_TASK,
    ] = None
    max_answer_length: Annotated[
        int | None, "tokens of an answer at most; 30, or as many as the stride can hold", QUESTION_TASK
    ] = None
    max_target_length: Annotated[int, "tokens of an answer; longer ones are cut", *GENERATION_TASKS] = 128
    epochs: Annotated[float, "passes over the training data"] = 3.0
    batch_size: Annotated[int, "examples a step on each device"] = 32
    gradient_accumulation: Annotated[int, "steps whose gradients make one update"] = 1
    learning_rate: Annotated[float, "peak, after warm-up"] = 1e-4
    head_learning_rate: Annotated[float, "of the head on frozen features, with single samples", _CLASSIFY] = (
        0.02
    )
    optimizer: Annotated[Optimizer, "adamw, or adafactor: less memory", *GENERATION_TASKS] = "adamw"
    weight_decay: Annotated[float, "decoupled, on matrices only"] = 0.01
    warmup_ratio: Annotated[float, "share of all updates over which the learning rate rises"] = 0.1
    schedule: Annotated[Schedule, "linear, cosine or constant: the learning rate after warm-up"] = "linear"
    max_grad_norm: Annotated[float, "gradients are clipped to this norm; 0 leaves them"] = 1.0
    label_smoothing: Annotated[float, "share of the target spread over the other labels"] = 0.0
    class_weights: Annotated[
        Literal["none", "balanced"] | Mapping[str, float],
        "none, balanced (the rarer, the heavier), or a table: label = weight",
        _CLASSIFY,
    ] = "none"
    thresholds: Annotated[
        Literal["half", "tuned"],
        "multi-label: a label applies from one half on, or from the probability of its best F1 on validation",
        _CLASSIFY,
    ] = "half"
    metric: Annotated[
        str | None,
        "what decides between checkpoints and bundles; the task's own",
        *GENERATION_TASKS,
        EMBEDDING_TASK,
    ] = None
    evaluations_per_epoch: Annotated[int, "on validation, each with a checkpoint to resume from"] = 2
    evaluation_examples: Annotated[
        int,
        "of validation, spread evenly, that decide while training; afterwards all count",
        *GENERATION_TASKS,
    ] = 256
    early_stopping_patience: Annotated[int, "evaluations without a gain before training stops; 0: never"] = 3
    bf16: Annotated[Literal["auto"] | bool, "bfloat16 arithmetic; auto: where the hardware has it"] = "auto"
    gradient_checkpointing: Annotated[
        bool, "less memory for a fifth to a third more time", *GENERATION_TASKS
    ] = False
    lora_rank: Annotated[int, "rank of an adapter's two matrices"] = 16
    lora_alpha: Annotated[float, "an adapter's output is scaled by alpha / rank"] = 32.0
    lora_dropout: Annotated[float, "on an adapter's input"] = 0.05
    dropout: Annotated[float, "of scratch: bases; other bases keep their own", *GENERATION_TASKS] = 0.1
    tokenizer: Annotated[
        TokenizerKind, "unigram or bpe, learnt from the data for scratch: bases", *GENERATION_TASKS
    ] = "unigram"
    vocabulary_size: Annotated[
        int, "tokens at most, learnt from the data for scratch: bases", *GENERATION_TASKS
    ] = 8000
    threads: Annotated[int | None, "CPU threads; all physical cores"] = None
    seed: Annotated[int, "of shuffling, dropout and new weights"] = 13

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "head_learning_rate", "lora_alpha"):
            require(getattr(self, name) > 0, f"train.{name}", "above 0", getattr(self, name))
        for name in (
            "batch_size",
            "gradient_accumulation",
            "evaluations_per_epoch",
            "evaluation_examples",
            "lora_rank",
        ):
            require(getattr(self, name) >= 1, f"train.{name}", "1 or more", getattr(self, name))
        for name in ("weight_decay", "max_grad_norm", "early_stopping_patience", "seed"):
            require(getattr(self, name) >= 0, f"train.{name}", "0 or more", getattr(self, name))
        for name in ("warmup_ratio", "label_smoothing", "lora_dropout", "dropout"):
            require(0 <= getattr(self, name) < 1, f"train.{name}", "from 0 to below 1", getattr(self, name))
        require(
            self.max_length is None or self.max_length >= 3, "train.max_length", "3 or more", self.max_length
        )
        require(self.stride is None or self.stride >= 0, "train.stride", "0 or more", self.stride)
        longest = self.max_answer_length
        require(longest is None or longest >= 1, "train.max_answer_length", "1 or more", longest)
        require(self.max_target_length >= 2, "train.max_target_length", "2 or more", self.max_target_length)
        require(self.vocabulary_size >= 100, "train.vocabulary_size", "100 or more", self.vocabulary_size)
        require(self.threads is None or self.threads >= 1, "train.threads", "1 or more", self.threads)
        if not isinstance(self.class_weights, str):
            for label, weight in self.class_weights.items():
                require(weight > 0, f"train.class_weights.{label}", "above 0", weight)

    def max_length_for(self, task: str) -> int:
        """Tokens at which training cuts a text, or where none are set those of the task."""
        return default_max_length(task) if self.max_length is None else self.max_length

    def stride_for(self, task: str) -> int:
        """Tokens that two windows of a long text share, or where none are set a third of a window."""
        return default_stride(self.max_length_for(task)) if self.stride is None else self.stride

    def max_answer_length_for(self, task: str) -> int:
        """Tokens of an answer at most, or where none are set those that no border of two windows cuts, up to 30."""
        if self.max_answer_length is not None:
            return self.max_answer_length
        return min(_ANSWER_LENGTH, self.stride_for(task) + 1)


_ANSWER_LENGTH = 30  # as in the SQuAD scripts
_UNSET_TRAIN = TrainSettings()  # told from settings that were given by being this very object
_SCRATCH_TRAIN = TrainSettings(learning_rate=1e-3, epochs=10)  # random weights have further to go


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How a model is told to answer where a call does not say; names and meanings are transformers' own."""

    num_beams: Annotated[int, "hypotheses searched side by side; 1: greedy", *GENERATION_TASKS] = 1
    max_new_tokens: Annotated[
        int | None, "tokens of an answer at most; train.max_target_length", *GENERATION_TASKS
    ] = None
    length_penalty: Annotated[
        float, "beams: above 0 prefers long answers, below 0 short ones", *GENERATION_TASKS
    ] = 1.0
    early_stopping: Annotated[
        bool, "beams: stop as soon as num_beams answers are complete", *GENERATION_TASKS
    ] = False
    no_repeat_ngram_size: Annotated[
        int, "no run of so many tokens comes twice; 0: any may", *GENERATION_TASKS
    ] = 0
    repetition_penalty: Annotated[float, "above 1: tokens that stood before lose", *GENERATION_TASKS] = 1.0
    do_sample: Annotated[bool, "draw tokens by their probability", *GENERATION_TASKS] = False
    temperature: Annotated[float, "sampling: below 1 sharper, above 1 flatter", *GENERATION_TASKS] = 1.0
    top_k: Annotated[int, "sampling: from the k likeliest tokens; 0: from all", *GENERATION_TASKS] = 50
    top_p: Annotated[float, "sampling: from the likeliest that make up this share", *GENERATION_TASKS] = 1.0

    def __post_init__(self) -> None:
        for name in ("repetition_penalty", "temperature"):
            require(getattr(self, name) > 0, f"generation.{name}", "above 0", getattr(self, name))
        for name in ("no_repeat_ngram_size", "top_k"):
            require(getattr(self, name) >= 0, f"generation.{name}", "0 or more", getattr(self, name))
        require(self.num_beams >= 1, "generation.num_beams", "1 or more", self.num_beams)
        require(0 < self.top_p <= 1, "generation.top_p", "above 0, at most 1", self.top_p)
        limit = self.max_new_tokens
        require(limit is None or limit >= 1, "generation.max_new_tokens", "1 or more", limit)


@dataclass(frozen=True, kw_only=True)
class ExportRecipe:
    """What the bundle is made for."""

    precision: Annotated[
        PrecisionName | None,
        "fp32, int8 (smallest, fastest) or w8 (closest to fp32); w8 for what generates text, else int8",
    ] = None
    max_drop: Annotated[float, "loss of the main metric allowed on validation; 0.01: a point"] = 0.01
    device: Annotated[Literal["cpu", "cuda"], "what the bundle must run on"] = "cpu"

    def __post_init__(self) -> None:
        require(0 <= self.max_drop <= 1, "export.max_drop", "from 0 to 1", self.max_drop)

    def precision_for(self, task: str) -> PrecisionName:
        """The precision, or where none is set that of the task."""
        return self.precision or default_precision(task)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The whole of what makes a model: task, base model, data, training and export.

    Paths in memory are relative to the working directory, as everywhere; in a file, to the file's own folder.
    """

    task: Annotated[str, "what the model does"] = "text-classification"
    base: Annotated[str, "a hub id, a checkpoint folder, or a name that ftool knows"] = "minilm"
    data: DataSettings
    train: TrainSettings = _UNSET_TRAIN  # a base of random weights has a default of its own
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    export: ExportRecipe = field(default_factory=ExportRecipe)

    def __post_init__(self) -> None:
        require(self.base.strip() != "", "base", "a hub id, a folder, or a name such as minilm", self.base)
        if self.train is _UNSET_TRAIN and self.base.startswith("scratch:"):
            object.__setattr__(self, "train", _SCRATCH_TRAIN)
        check_task_settings(self)

    def generation_config(self) -> dict[str, Any]:
        """The [generation] table under transformers' names, the limit on new tokens set, for run/ to hold."""
        limit = self.generation.max_new_tokens or self.train.max_target_length
        return {**asdict(self.generation), "max_new_tokens": limit}

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """The recipe in the TOML file `path`. Raises RecipeError naming the file, the key and the remedy."""
        try:
            return anchored(build(cls, toml.read(path)), path.parent)
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from error

    def write(self, path: Path) -> None:
        """Write the recipe as TOML, every setting of its task explained; what is there is replaced whole or not."""
        toml.write(relative_to(self, path.parent), path, self.task)

    def with_overrides(self, assignments: list[str] | tuple[str, ...]) -> "Recipe":
        """The recipe with settings such as `train.learning_rate=3e-5` put in their places."""
        return apply_overrides(self, assignments)

    def with_data(self, **changes: Any) -> "Recipe":
        """The recipe with fields of its data settings replaced."""
        return replace(self, data=replace(self.data, **changes))
