"""Recipes. A recipe holds all settings of a model: in memory as dataclasses, on disk as one TOML file."""
