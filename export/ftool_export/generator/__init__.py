"""Models that generate text in torch: what is trained, what run/ holds, and a bundle's reference."""

from ftool_export.generator.checkpoint import (
    GENERATION_TASKS,
    LoadedGenerator,
    load_generator,
    save_generator,
)
from ftool_export.generator.inference import (
    count_cut,
    decode,
    generate_texts,
    generate_tokens,
    score_tokens,
    tokenize_chats,
    tokenize_sources,
)

__all__ = [
    "GENERATION_TASKS",
    "LoadedGenerator",
    "count_cut",
    "decode",
    "generate_texts",
    "generate_tokens",
    "load_generator",
    "save_generator",
    "score_tokens",
    "tokenize_chats",
    "tokenize_sources",
]
