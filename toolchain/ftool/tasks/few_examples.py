"""What `train.method = "setfit"` changes in a classifier's recipe: defaults, checks, and when it is suggested."""

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from ftool.errors import RecipeError
from ftool.recipe.sections import Sections

if TYPE_CHECKING:
    from ftool.data.inspection.report import Inspection

METHOD = "setfit"

# Measured on banking77 with 8 examples a label (docs/fine-tuning.md).
_DEFAULTS = {"train.epochs": 1.0, "train.learning_rate": 5e-5, "train.evaluations_per_epoch": 1}
_MOST_EXAMPLES = 16  # a label, for which the method is suggested; only 8 were measured
_SMALLEST_BATCH = 4  # the fewest texts among which some have a common label and others have none


def setfit_defaults(recipe: Sections) -> Mapping[str, Any]:
    """Return the settings whose defaults differ with this method; empty if the recipe has another method."""
    return _DEFAULTS if recipe.train.method == METHOD else {}


def check_setfit(recipe: Sections) -> None:
    """Raise RecipeError if the recipe has this method and settings under which it can't work."""
    train = recipe.train
    if train.method == METHOD and train.samples == "single":
        raise RecipeError(
            'train.method "setfit" compares the texts of a batch, but train.samples is single; '
            'set train.samples to "multi", or train.method to "head" or "full"'
        )
    if train.method == METHOD and (train.batch_size < _SMALLEST_BATCH or train.batch_size % 2):
        raise RecipeError(
            'train.method "setfit" compares texts of a batch, two by two: train.batch_size must be an even '
            f"number from {_SMALLEST_BATCH} on, got {train.batch_size}"
        )


def suggest_setfit(recipe: Sections, found: "Inspection") -> list[str]:
    """Return a line that suggests the method, if the training data has few examples a label; otherwise no line."""
    kinds = ("regression", "multi_label", "pairs")  # for which setfit was not measured
    if recipe.train.method == METHOD or any(found.facts[kind] for kind in kinds):
        return []
    usual = median(found.labels["train"].get(label, 0) for label in found.classes)
    if usual > _MOST_EXAMPLES:
        return []
    return [
        f"{usual:g} training examples a label are few: --set train.method=setfit may learn more from them than "
        f"{recipe.train.method}"
    ]
