"""The settings that a recipe holds. Every default of the toolchain stands here, once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from . import toml
from .errors import RecipeError
from .override import apply_overrides
from .paths import anchored, relative_to
from .schema import build, show

Method = Literal["full", "head", "lora"]
Samples = Literal["multi", "single"]
Pooling = Literal["auto", "mean", "cls", "pooler"]
Schedule = Literal["linear", "cosine", "constant"]
PrecisionName = Literal["fp32", "int8", "w8"]


# The text beside a field's type explains it in written recipes and in the documentation.


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Where the examples come from and how a row of them is read."""

    path: Annotated[str, "a file, a folder of train and test files, a hub id, or builtin:NAME"]
    validation: Annotated[str | None, "a file of its own; else found, or cut off the training data"] = None
    test: Annotated[str | None, "a file of its own; else found, or cut off the training data"] = None
    text: Annotated[str | None, "the column of the texts; found by its usual name"] = None
    label: Annotated[str | None, "the column of the labels; found by its usual name"] = None
    columns: Annotated[tuple[str, ...] | None, "the columns' names, for files without a header"] = None
    label_names: Annotated[str | None, "a file of names, one a line, where labels are numbers"] = None
    label_separator: Annotated[str | None, "stands between the labels of one cell, such as a comma"] = None
    multi_label: Annotated[bool | None, "whether a text has several labels; seen from the data"] = None
    validation_fraction: Annotated[float, "share of the training data, where validation is cut off"] = 0.1
    test_fraction: Annotated[float, "share of the training data, where the test is cut off"] = 0.1
    seed: Annotated[int, "which rows are cut off"] = 13

    def __post_init__(self) -> None:
        _require(self.path.strip() != "", "data.path", "a file, folder, hub id, or builtin:NAME", self.path)
        for name in ("validation_fraction", "test_fraction"):
            _require(0 < getattr(self, name) < 0.5, f"data.{name}", "above 0, below 0.5", getattr(self, name))
        if self.columns is not None:
            distinct = len(set(self.columns)) == len(self.columns) > 0
            _require(distinct, "data.columns", "names that differ", list(self.columns))
        _require(self.label_separator != "", "data.label_separator", "a character or more", "")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How one fine-tuning run goes."""

    method: Annotated[Method, "full: all weights; head: the head alone; lora: adapters"] = "full"
    samples: Annotated[Samples, "multi: mini-batches; single: one example an update"] = "multi"
    pooling: Annotated[Pooling, "mean, cls or pooler; auto: as the base model was trained"] = "auto"
    max_length: Annotated[int, "tokens, the special ones counted; longer texts are cut"] = 128
    epochs: Annotated[float, "passes over the training data"] = 3.0
    batch_size: Annotated[int, "examples a step on each device"] = 32
    gradient_accumulation: Annotated[int, "steps whose gradients make one update"] = 1
    learning_rate: Annotated[float, "peak, after warm-up"] = 1e-4
    head_learning_rate: Annotated[float, "of the head on frozen features, with single samples"] = 0.02
    weight_decay: Annotated[float, "decoupled, on matrices only"] = 0.01
    warmup_ratio: Annotated[float, "share of all updates over which the learning rate rises"] = 0.1
    schedule: Annotated[Schedule, "linear, cosine or constant: the learning rate after warm-up"] = "linear"
    max_grad_norm: Annotated[float, "gradients are clipped to this norm; 0 leaves them"] = 1.0
    label_smoothing: Annotated[float, "share of the target spread over the other labels"] = 0.0
    class_weights: Annotated[
        Literal["none", "balanced"] | Mapping[str, float],
        "none, balanced (the rarer, the heavier), or a table: label = weight",
    ] = "none"
    thresholds: Annotated[
        Literal["half", "tuned"],
        "multi-label: a label applies from one half on, or from the probability of its best F1 on validation",
    ] = "half"
    evaluations_per_epoch: Annotated[int, "on validation, each with a checkpoint to resume from"] = 2
    early_stopping_patience: Annotated[int, "evaluations without a gain before training stops; 0: never"] = 3
    bf16: Annotated[Literal["auto"] | bool, "bfloat16 arithmetic; auto: where the hardware has it"] = "auto"
    lora_rank: Annotated[int, "rank of an adapter's two matrices"] = 16
    lora_alpha: Annotated[float, "an adapter's output is scaled by alpha / rank"] = 32.0
    lora_dropout: Annotated[float, "on an adapter's input"] = 0.05
    threads: Annotated[int | None, "CPU threads; all physical cores"] = None
    seed: Annotated[int, "of shuffling, dropout and new weights"] = 13

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "head_learning_rate", "lora_alpha"):
            _require(getattr(self, name) > 0, f"train.{name}", "above 0", getattr(self, name))
        for name in ("batch_size", "gradient_accumulation", "evaluations_per_epoch", "lora_rank"):
            _require(getattr(self, name) >= 1, f"train.{name}", "1 or more", getattr(self, name))
        for name in ("weight_decay", "max_grad_norm", "early_stopping_patience", "seed"):
            _require(getattr(self, name) >= 0, f"train.{name}", "0 or more", getattr(self, name))
        for name in ("warmup_ratio", "label_smoothing", "lora_dropout"):
            _require(0 <= getattr(self, name) < 1, f"train.{name}", "from 0 to below 1", getattr(self, name))
        _require(self.max_length >= 3, "train.max_length", "3 or more", self.max_length)
        _require(self.threads is None or self.threads >= 1, "train.threads", "1 or more", self.threads)
        if not isinstance(self.class_weights, str):
            for label, weight in self.class_weights.items():
                _require(weight > 0, f"train.class_weights.{label}", "above 0", weight)


@dataclass(frozen=True, kw_only=True)
class ExportRecipe:
    """What the bundle is made for."""

    precision: Annotated[PrecisionName, "fp32, int8 (smallest, fastest) or w8 (closest to fp32)"] = "int8"
    max_drop: Annotated[float, "loss of the main metric allowed on validation; 0.01: a point"] = 0.01
    device: Annotated[Literal["cpu", "cuda"], "what the bundle must run on"] = "cpu"

    def __post_init__(self) -> None:
        _require(0 <= self.max_drop <= 1, "export.max_drop", "from 0 to 1", self.max_drop)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The whole of what makes a model: task, base model, data, training and export.

    Paths in memory are relative to the working directory, as everywhere; in a file, to the file's own folder.
    """

    task: Annotated[str, "what the model does"] = "text-classification"
    base: Annotated[str, "a hub id, a checkpoint folder, or a name that ftool knows"] = "minilm"
    data: DataSettings
    train: TrainSettings = field(default_factory=TrainSettings)
    export: ExportRecipe = field(default_factory=ExportRecipe)

    def __post_init__(self) -> None:
        _require(self.base.strip() != "", "base", "a hub id, a folder, or a name such as minilm", self.base)

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """The recipe in the TOML file `path`. Raises RecipeError naming the file, the key and the remedy."""
        try:
            return anchored(build(cls, toml.read(path)), path.parent)
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from error

    def write(self, path: Path) -> None:
        """Write the recipe as TOML, every setting explained; what is there is replaced whole or not."""
        toml.write(relative_to(self, path.parent), path)

    def with_overrides(self, assignments: list[str] | tuple[str, ...]) -> "Recipe":
        """The recipe with settings such as `train.learning_rate=3e-5` put in their places."""
        return apply_overrides(self, assignments)

    def with_data(self, **changes: Any) -> "Recipe":
        """The recipe with fields of its data settings replaced."""
        return replace(self, data=replace(self.data, **changes))


def _require(holds: bool, key: str, what: str, value: object) -> None:
    if not holds:
        raise RecipeError(f"{key} must be {what}, got {show(value)}")
