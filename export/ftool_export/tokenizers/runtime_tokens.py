"""Tokenise texts and conversations for torch with the runtime's code, so that torch and runtime read equal tokens."""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.errors import CheckpointError
from ftool_export.temporary import temporary_folder
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import GenerationContract, InputContract, Manifest, Precision
from ftool_runtime.bundle.paths import TOKENIZER_FILE
from ftool_runtime.chat.tokens import ChatFiles, ChatTokens
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.text.generation_tokenizer import GenerationTokenizer


@dataclass(frozen=True)
class RuntimeTokens:
    """The runtime's tokenisation of texts and conversations with one checkpoint's tokenizer.

    Attributes:
        language: the source language that the checkpoint's tokenizer was set to when this object was made.
        texts: tokenises texts.
        chats: tokenises conversations; None if the tokenizer has no chat template.
    """

    language: str | None
    texts: GenerationTokenizer
    chats: ChatTokens | None


# Cached by tokenizer, because reading a vocabulary takes seconds.
_CACHE: WeakKeyDictionary[Any, RuntimeTokens] = WeakKeyDictionary()


def runtime_tokens(loaded: LoadedGenerator) -> RuntimeTokens:
    """Return the runtime's tokenisation for `loaded`; it is cached until the tokenizer's source language changes."""
    tokenizer = loaded.tokenizer
    language = getattr(tokenizer, "src_lang", None)
    cached = _CACHE.get(tokenizer)
    if cached is None or cached.language != language:
        cached = _CACHE[tokenizer] = _make(loaded, language)
    return cached


def chat_tokens(loaded: LoadedGenerator) -> ChatTokens:
    """Return the runtime's tokenisation of conversations. Raises CheckpointError if there is no chat template."""
    chats = runtime_tokens(loaded).chats
    if chats is None:
        raise CheckpointError(
            f"{loaded.base or 'this checkpoint'} has no chat template, so it can't read conversations; choose a base "
            "that was trained on chats"
        )
    return chats


def _make(loaded: LoadedGenerator, language: str | None) -> RuntimeTokens:
    with temporary_folder() as folder:
        loaded.tokenizer.save_pretrained(folder)
        texts = GenerationTokenizer(folder / TOKENIZER_FILE, loaded.vocabulary)
        if not loaded.tokenizer.chat_template:
            return RuntimeTokens(language, texts, None)
        manifest = Manifest(
            ftool="",
            created="",
            task=loaded.task,
            name="",
            architecture=loaded.model.config.model_type,
            base=loaded.base,
            labels=(),
            input=InputContract(names=("input_ids",), max_length=loaded.max_length),
            precision=Precision(),
            attention="plain",
            files={path.name: file_record(path) for path in folder.iterdir()},
            generation=GenerationContract(family=loaded.family),
        )
        return RuntimeTokens(
            language, texts, ChatTokens(ChatFiles.read(folder, manifest), GenerationConfig(), texts)
        )
