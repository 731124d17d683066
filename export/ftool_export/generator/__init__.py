"""Models that generate text in torch: what is trained, what run/ holds, and a bundle's reference."""

from ftool_export.generator.checkpoint import (
    GENERATION_TASKS,
    LoadedGenerator,
    load_generator,
    save_generator,
)

__all__ = ["GENERATION_TASKS", "LoadedGenerator", "load_generator", "save_generator"]
