"""Convert messages to token ids. Special tokens in the template become tokens; in a message, they stay text."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from ftool_runtime.bundle.files import LARGEST_SETTINGS, LARGEST_TEMPLATE, read_file
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import CHAT_TEMPLATE_FILE, TOKENIZER_CONFIG_FILE
from ftool_runtime.chat.template import ChatTemplate
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.errors import BundleError, InputError, naming_bundle
from ftool_runtime.json_reader import JsonError, read_json
from ftool_runtime.text.encode import run_tokenizer, text_problem
from ftool_runtime.text.generation_tokenizer import GenerationTokenizer

_ROLE: Final = re.compile(r"[A-Za-z0-9_-]+")
_PRIVATE: Final = range(0xE000, 0xF8FF)  # characters for private use

Message = Mapping[str, Any]


class ChatFiles(NamedTuple):
    """The content of a bundle's files for chats, read when the bundle was loaded.

    Attributes:
        folder: the bundle, for errors.
        template: the content of chat_template.jinja; None if the bundle has no such file.
        tokenizer_config: the content of tokenizer_config.json; None if the bundle has no such file.
    """

    folder: Path
    template: bytes | None
    tokenizer_config: bytes | None

    @classmethod
    def read(cls, folder: Path, manifest: Manifest) -> Self:
        """Read the files of the bundle in `folder`. Raises BundleError if a file can't be read."""
        names = {CHAT_TEMPLATE_FILE: LARGEST_TEMPLATE, TOKENIZER_CONFIG_FILE: LARGEST_SETTINGS}
        contents = (
            read_file(folder, name, largest) if name in manifest.files else None
            for name, largest in names.items()
        )
        return cls(folder, *contents)

    def settings(self) -> dict[str, Any]:
        """Return the fields of tokenizer_config.json; {} if there is none. Raises BundleError for a damaged file."""
        if self.tokenizer_config is None:
            return {}
        try:
            settings = read_json(self.tokenizer_config, long_integers=True)
        except JsonError as error:
            raise BundleError(f"{self.folder / TOKENIZER_CONFIG_FILE} {error}") from error
        return settings if isinstance(settings, dict) else {}

    def source(self) -> str | None:
        """Return the chat template; None if the bundle has none. Raises BundleError for a damaged file."""
        if self.template is None:
            source = self.settings().get("chat_template")
            return source if isinstance(source, str) else None
        try:
            return self.template.decode()
        except UnicodeDecodeError as error:
            raise BundleError(f"can't read {self.folder / CHAT_TEMPLATE_FILE}: {error}") from error


class ChatTokens:
    """Encodes conversations as token ids, in the form that the model was trained on. Thread-safe."""

    def __init__(self, files: ChatFiles, config: GenerationConfig, tokens: GenerationTokenizer) -> None:
        """Compile the bundle's chat template.

        Raises InputError if the bundle has no template, because its model was not trained on chats; BundleError if the
        template is damaged; and RuntimeMissingError if jinja2 is not installed.
        """
        settings = files.settings()
        source = files.source()
        if source is None:
            raise InputError(
                f"{files.folder} has no chat template: its model continues prompts and was not trained on chats"
            )
        self._folder = files.folder
        with naming_bundle(files.folder):
            self._template = ChatTemplate(source, _special_tokens(settings, config, tokens), tokens.limits)
        self._parsing = tokens.parsing_special_tokens()
        self._tokens = tokens
        self._ids = {content: number for number, content in tokens.special.items()}
        longest_first = sorted(self._ids, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first))) if self._ids else None

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a conversation, up to where the answer begins.

        Raises InputError if messages are malformed, blank, not valid Unicode or too long, or if the template refuses
        them, TimeLimitError if the template takes too long, and BundleError if it fails.
        """
        check_messages(messages)
        characters = sum(map(len, _strings(messages)))
        self._tokens.limits.check_characters(characters, "the conversation", len(messages) - 1)
        with naming_bundle(self._folder):
            ids = self._encoded(messages)
            if not ids:
                raise BundleError("the bundle's chat template renders these messages as an empty text")
        return ids

    def _encoded(self, messages: Sequence[Message]) -> list[int]:
        if self._special is None or not any(self._special.search(text) for text in _strings(messages)):
            text = self._template.render(messages)
            ids: list[int] = run_tokenizer(
                self._parsing, text, what="conversation", add_special_tokens=False
            ).ids
            expected = len(self._special.findall(text)) if self._special else 0
            if sum(number in self._tokens.special for number in ids) <= expected:
                return ids
        return self._encoded_in_parts(messages)

    def _encoded_in_parts(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a conversation whose messages may spell out special tokens, which stay text.

        The text between the template's own special tokens is encoded part by part.
        """
        used = "".join(_strings(messages))
        mark = next(chr(code) for code in _PRIVATE if chr(code) not in used)
        special = self._special
        assert special is not None  # otherwise `_encoded` has returned

        def disarmed(text: str) -> str:
            return special.sub(lambda found: f"{found[0][0]}{mark}{found[0][1:]}", text)

        rendered = self._template.render(
            [{**_mapped(message, disarmed), "role": message["role"]} for message in messages]
        )
        ids: list[int] = []
        end = 0
        for found in special.finditer(rendered):
            ids += self._part(rendered[end : found.start()].replace(mark, ""))
            ids.append(self._ids[found[0]])
            end = found.end()
        return ids + self._part(rendered[end:].replace(mark, ""))

    def _part(self, text: str) -> list[int]:
        return self._tokens.encode_chunk(text) if text else []


def check_messages(messages: object) -> None:
    """Raise InputError unless `messages` is a list of mappings with a role and a content.

    The last message must not be blank, and must not be the assistant's, which would leave nothing to answer.
    """
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence) or not messages:
        raise InputError(
            'messages must be a list such as [{"role": "user", "content": "Hello"}], and not empty, '
            f"got {'an empty one' if messages == [] else type(messages).__name__}"
        )
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise InputError(
                f'message {place} must be a mapping with "role" and "content", got {message!r}', row=place
            )
        if not _ROLE.fullmatch(message["role"]):
            raise InputError(
                f"the role of message {place} must be a word of letters, digits, _ and -, got {message['role']!r}",
                row=place,
            )
        if not isinstance(message.get("content"), str):
            raise InputError(f'the "content" of message {place} must be a string', row=place)
        problem = text_problem(message["content"])
        if problem and (problem != "is empty" or place == len(messages) - 1):
            raise InputError(f"message {place} {problem}", row=place)
    if messages[-1]["role"] == "assistant":
        last = len(messages) - 1
        raise InputError(
            f"message {last}, the last one, is the assistant's, which leaves nothing to answer; end with the user's",
            row=last,
        )


def _strings(value: Any) -> list[str]:
    """Return all strings in messages, at any depth, including keys, which a template can also render."""
    if isinstance(value, str):
        return [value]
    inner: Iterable[Any] = value if isinstance(value, list | tuple) else ()
    if isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    return [text for part in inner for text in _strings(part)]


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of `value` with `change` applied to all its strings, at any depth, including keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            change(key) if isinstance(key, str) else key: _mapped(inner, change)
            for key, inner in value.items()
        }
    return [_mapped(inner, change) for inner in value] if isinstance(value, list | tuple) else value


def _special_tokens(
    settings: Mapping[str, Any], config: GenerationConfig, tokens: GenerationTokenizer
) -> dict[str, str]:
    """Return the special tokens that a template can use as variables, such as "bos_token", by name."""
    ids = {"bos_token": config.bos_token_id, "pad_token": config.pad_token_id}
    ids["eos_token"] = config.eos_token_id[0] if config.eos_token_id else None
    named = {name: tokens.special[number] for name, number in ids.items() if number in tokens.special}
    for name, value in settings.items():
        content = value.get("content") if isinstance(value, Mapping) else value
        if name.endswith("_token") and isinstance(content, str):
            named[name] = content
    return named
