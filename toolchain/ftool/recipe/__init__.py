"""Recipes: the settings that make a model, as frozen dataclasses and as one TOML file."""

from .errors import RecipeError
from .settings import (
    DataSettings,
    ExportRecipe,
    Method,
    Pooling,
    PrecisionName,
    Recipe,
    Samples,
    Schedule,
    TrainSettings,
)

__all__ = [
    "DataSettings",
    "ExportRecipe",
    "Method",
    "Pooling",
    "PrecisionName",
    "Recipe",
    "RecipeError",
    "Samples",
    "Schedule",
    "TrainSettings",
]
