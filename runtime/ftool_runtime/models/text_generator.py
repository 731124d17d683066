"""`TextGenerator`: decoder models without an encoder, which continue prompts and answer chats."""

import logging
import platform
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

from ftool_runtime.bundle.manifest import digest_of
from ftool_runtime.chat.oldest_turns import without_oldest_turn
from ftool_runtime.chat.tokens import ChatFiles, ChatTokens, Message, check_messages
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.generator_engine import GeneratorEngine
from ftool_runtime.decoding.prompts import fit
from ftool_runtime.decoding.results import Generation
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import InputError
from ftool_runtime.models.chat_session import ChatSession
from ftool_runtime.models.generator import Generator, InputReader, Overflow
from ftool_runtime.session.decoder.prefix_cache import PrefixCache, SharedPrefixes, common_prefix
from ftool_runtime.session.decoder.prefix_file import PrefixFile
from ftool_runtime.session.onnx_session import import_onnxruntime
from ftool_runtime.session.processor import cpu_features, cpu_name
from ftool_runtime.text.encode import Tokens

logger = logging.getLogger(__name__)


class TextGenerator(Generator):
    """A loaded model that continues prompts and answers chats. Call it with one prompt or many.

    A prompt that leaves no room for an answer raises InputError. With overflow="cut", the prompt's beginning is cut
    instead, to leave room for the requested number of new tokens, but at most half the context.
    """

    tasks: ClassVar[tuple[str, ...]] = ("text-generation",)
    family: ClassVar[str] = "decoder"
    default_overflow: ClassVar[Overflow] = "refuse"

    def __init__(self, folder: Path, engine: GeneratorEngine) -> None:
        """Make a model from `engine`, which runs the bundle in `folder`."""
        super().__init__(folder, engine)
        self._prefixes = SharedPrefixes()
        self._chat_files = ChatFiles.read(folder, engine.manifest)

    @property
    def has_chat_template(self) -> bool:
        """Whether the bundle has a chat template, which `chat`, `stream_chat` and `session` need.

        Raises BundleError if the file of the template is damaged.
        """
        return self._chat_files.source() is not None

    def close(self) -> None:
        """Release the graph, threads and buffers. Calls in progress finish; later calls raise ClosedError."""
        super().close()
        self._prefixes.clear()

    def chat(
        self,
        messages: Sequence[Message],
        *,
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> Generation:
        """Answer a conversation, rendered with the checkpoint's chat template.

        Args:
            messages: mappings, each with a "role", such as "system", "user" or "assistant", a "content", and any other
                keys that the template supports. Special tokens spelled out in a message stay text.
            config: generation settings, as for `__call__`.
            overflow: "refuse" (the default) to raise an error for a conversation that is too long, or "cut" to leave
                out its oldest turns, but not the system message.
            options: the options of `__call__`.

        Raises InputError if the bundle has no template, or, with the template's error message, if the template refuses
        `messages`; RuntimeMissingError if jinja2 is not installed; and the errors of `__call__`.
        """
        given = {"config": config, "overflow": overflow, **options}
        return self.answer_chat(messages, None, given)

    def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> TextStream:
        """Return a stream of the answer to a conversation.

        Arguments are the same as for `chat`; raises the errors of `chat` and of `stream`.
        """
        return self.stream_answer(messages, None, {"config": config, "overflow": overflow, **options})

    def session(
        self,
        system: str | None = None,
        *,
        examples: Sequence[Message] = (),
        prefix_cache: Path | str | None = None,
    ) -> ChatSession:
        """Start a conversation that keeps its caches between turns.

        Sessions with the same beginning share its caches.

        Args:
            system: the system message, if any.
            examples: turns before the first one, such as few-shot examples: messages of "user" and "assistant" in turn.
            prefix_cache: a file for the caches of `system` and `examples`, which the next start of the program reads
                instead of computing them. A file that does not fit them, the bundle, onnxruntime, the processor or the
                number of threads, or that is damaged, is replaced, with a warning in the log; see docs/generation.md.

        Raises InputError if `examples` are not messages, or if `prefix_cache` is set but `system` and `examples` are
        not, the bundle can't keep caches, the folder does not exist, or the file is not a prefix cache.
        """
        beginning: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        if system is not None:
            check_messages(beginning)
        if examples:
            beginning += examples
            check_messages([*beginning, {"role": "user", "content": "a question"}])
        file = None if prefix_cache is None else self._prefix_file(Path(prefix_cache), beginning)
        return ChatSession(self, beginning, file)

    def answer_chat(
        self, messages: Sequence[Message], cache: PrefixCache | None, options: dict[str, Any]
    ) -> Generation:
        """Return the answer to a conversation, whose beginning `cache` may hold; `options` are those of `chat`."""
        prompt, settled = self._chat_prompt(messages, **options)
        config = settled.config
        if cache is None or config.num_beams > 1 or config.num_return_sequences > 1:
            given = messages[-1]["content"]
            return self._decode(given, prompt, self._run([prompt], 0, settled)[0], settled)
        with self._text_stream(messages[-1]["content"], prompt, config, cache) as stream:
            for _ in stream:
                pass
        return stream.result

    def stream_answer(
        self,
        messages: Sequence[Message],
        cache: PrefixCache | None,
        options: dict[str, Any],
        ended: Callable[[Generation, bool], None] | None = None,
    ) -> TextStream:
        """Return a stream of the answer to a conversation, whose beginning `cache` may hold.

        `options` are those of `chat`; `ended` is called with the answer and whether it was read to its end.
        """
        prompt, settled = self._chat_prompt(messages, **options)
        return self._text_stream(messages[-1]["content"], prompt, settled.config, cache, ended)

    def prefix_cache(
        self, beginning: Sequence[Message], file: PrefixFile | None = None
    ) -> PrefixCache | None:
        """Return a cache for a new session; None if reading a conversation in parts would change the logits.

        Sessions with the same `beginning` start with the caches of these messages, which are computed only once, or
        read from `file`.
        """
        if self._engine.manifest.precision.rows_share_scale:
            return None
        decoders = self._engine.guard.get().decoders
        shared = self._shared_beginning(beginning) if beginning else []
        cache = PrefixCache(decoders)
        if file is not None and not shared:
            logger.warning("%s is not used: the conversation's beginning leaves no tokens to keep", file.path)
        if shared:
            cache.restore(shared, self._prefixes.snapshot(shared, decoders, file))
        return cache

    def _prefix_file(self, path: Path, beginning: Sequence[Message]) -> PrefixFile:
        manifest = self._engine.manifest
        if not beginning:
            raise InputError(
                "prefix_cache (--prefix-cache) is for a system message (--system) or examples; give one"
            )
        if manifest.precision.rows_share_scale:
            raise InputError(
                "this bundle reads a whole conversation in every turn, so prefix_cache would have no effect; "
                "export it in another precision"
            )
        computed_by = {
            "bundle": digest_of(manifest.to_json()),
            "precision": manifest.precision.name,
            "onnxruntime": import_onnxruntime().__version__,
            "processor": [platform.machine(), cpu_name(), *cpu_features()],
            "threads": self._engine.settings.threads,
        }
        return PrefixFile(path, computed_by, self._engine.guard.get().decoders.graph.caches)

    def _chat_prompt(
        self,
        messages: Sequence[Message],
        config: GenerationConfig | None = None,
        overflow: Overflow | None = None,
        **options: Any,
    ) -> tuple[Tokens, InputReader]:
        settled = self._settle(config=config, overflow=overflow, **options)
        ids = self._chats.encode(messages)
        limit = self._engine.contract.max_length
        room = self._room(settled.config) if overflow == "cut" else None
        if room is None and limit is not None and len(ids) >= limit:
            several = sum(message["role"] == "user" for message in messages) > 1
            remedy = (
                'leave out its oldest turns with overflow="cut" (--overflow cut)' if several else "shorten it"
            )
            raise InputError(
                f"the conversation has {len(ids)} tokens, which leaves no room for an answer: the model holds {limit}, "
                f"both together; {remedy}",
                row=len(messages) - 1,
            )
        kept = list(messages)
        while room is not None and len(ids) > room:
            kept = without_oldest_turn(kept, len(ids), room)
            ids = self._chats.encode(kept)
        return Tokens(ids, truncated=len(kept) < len(messages)), settled

    @cached_property
    def _chats(self) -> ChatTokens:
        return ChatTokens(self._chat_files, self._engine.config, self._engine.tokens)

    def _shared_beginning(self, beginning: Sequence[Message]) -> list[int]:
        """Return the token ids with which every conversation begins whose first messages are `beginning`."""
        first, second = (
            self._chats.encode([*beginning, {"role": "user", "content": text}]) for text in ("a", "1")
        )
        limit = self._engine.contract.max_length
        shared = common_prefix(first, second)
        return shared if limit is None or len(shared) < limit else []

    def _reader(self, config: GenerationConfig, overflow: Overflow, options: dict[str, Any]) -> InputReader:
        settled = config.changed(**options)
        # the engine raises for a prompt that leaves no room
        room = self._room(settled) if overflow == "cut" else None
        return InputReader(partial(self._read, room), settled)

    def _read(self, room: int | None, text: str, row: int) -> Tokens:
        ids, added = self._engine.tokens.encode(
            text, row, prefix=self._engine.manifest.input.prefix, empty=True
        )
        return fit(ids, added, room, side="left", refuse=False, row=row, what="prompt")

    def _room(self, config: GenerationConfig) -> int | None:
        """Return the largest number of prompt tokens that leaves room for the answer; None if there is no limit."""
        limit = self._engine.contract.max_length
        if limit is None:
            return config.max_length - 1 if config.max_new_tokens is None and config.max_length else None
        if config.max_new_tokens is None and config.max_length is not None:
            return min(config.max_length, limit) - 1
        return limit - min(config.new_tokens, limit // 2)
