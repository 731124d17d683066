"""Recipes: all settings of a model, as dataclasses in memory and as one TOML file on disk."""
