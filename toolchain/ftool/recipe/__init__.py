"""Recipes: the settings of a model as dataclasses and as one TOML file."""
