"""Recipes: the settings that make a model, as frozen dataclasses and as one TOML file."""

from .data_settings import DataSettings
from .errors import RecipeError
from .settings import (
    ExportRecipe,
    GenerationSettings,
    Method,
    Pooling,
    PrecisionName,
    Recipe,
    Samples,
    Schedule,
    TrainSettings,
)
from .tasks import GENERATION_TASKS

__all__ = [
    "GENERATION_TASKS",
    "DataSettings",
    "ExportRecipe",
    "GenerationSettings",
    "Method",
    "Pooling",
    "PrecisionName",
    "Recipe",
    "RecipeError",
    "Samples",
    "Schedule",
    "TrainSettings",
]
