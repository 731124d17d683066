"""`GeneratorEngine`: run a bundle's graphs on rows of token ids, in batches."""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.manifest import GenerationContract, Manifest
from ftool_runtime.bundle.paths import (
    DECODER_FILE,
    ENCODER_FILE,
    GENERATION_CONFIG_FILE,
    TOKENIZER_FILE,
    path_inside,
)
from ftool_runtime.decoding.beam_search import BeamRow, beam_search
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.detokenize import StopCheck
from ftool_runtime.decoding.greedy import Row, generate_tokens
from ftool_runtime.decoding.logits_processors import RowContext
from ftool_runtime.decoding.prompt_lookup import lookup_of, lookup_refusal
from ftool_runtime.decoding.results import GeneratedRow
from ftool_runtime.decoding.token_checks import check_rows, check_tokens
from ftool_runtime.errors import BundleError, DeviceError, InputError
from ftool_runtime.session.batching import cut_into_runs
from ftool_runtime.session.deadline import within_time_limit
from ftool_runtime.session.decoder.cross_cache import SourceEncoder
from ftool_runtime.session.decoder.decoder import Decoder, Logits
from ftool_runtime.session.decoder.graph import DecoderGraph
from ftool_runtime.session.decoder.pool import DecoderPool
from ftool_runtime.session.decoder.prefix_cache import PrefixCache
from ftool_runtime.session.fork_guard import ForkGuard
from ftool_runtime.session.onnx_session import SessionSettings
from ftool_runtime.text.encode import check_padding
from ftool_runtime.text.generation_tokenizer import GenerationTokenizer

logger = logging.getLogger(__name__)

# Limits of one run: the number of rows, including beams, because above this number each row makes a step slower; and
# the number of prompt tokens, including padding, because their activations should fit into the CPU's cache.
ROWS_OF_A_RUN: Final = 16
TOKENS_OF_A_RUN: Final = 4096

TokenRows = Sequence[Sequence[int]]
Steps = Generator[None, None, None]  # yields after every token


@dataclass(frozen=True, slots=True)
class Graphs:
    """A bundle's loaded graphs."""

    decoders: DecoderPool
    encoder: SourceEncoder | None  # None for decoders without an encoder


class GeneratorEngine:
    """Runs a bundle's graphs on token ids, with its tokenizer and generation config. Thread-safe."""

    def __init__(self, folder: Path, manifest: Manifest, settings: SessionSettings) -> None:
        """Load the bundle in `folder`, given its manifest.

        Raises BundleError, DeviceError and RuntimeMissingError for the same reasons as `load`.
        """
        if manifest.generation is None:
            raise BundleError(f"{folder}: the manifest of a {manifest.task} bundle must hold 'generation'")
        self.manifest = manifest
        self.contract: GenerationContract = manifest.generation
        self.settings = _on_cpu(settings)
        self.device = "cpu"
        self.tokens = GenerationTokenizer(folder / TOKENIZER_FILE, manifest.input.vocabulary, settings.limits)
        check_padding(self.tokens.tokenizer, manifest.input)
        self.config = _config(folder, manifest)
        self.guard = ForkGuard(self._open(folder))

    def resolve(self, config: GenerationConfig | None) -> GenerationConfig:
        """Return `config`, with unset special tokens taken from the bundle; the bundle's config if `config` is None.

        Raises InputError if `config` is neither None nor a GenerationConfig.
        """
        if config is not None and not isinstance(config, GenerationConfig):
            raise InputError(
                f"config must be a GenerationConfig, got {type(config).__name__}; pass single options by name"
            )
        return self.config if config is None else config.completed(self.config)

    @within_time_limit
    def generate(
        self,
        rows: TokenRows,
        config: GenerationConfig,
        *,
        new_stop_check: Callable[[], StopCheck | None] = lambda: None,
        keep_logits: bool = False,
        first_row: int = 0,
    ) -> list[GeneratedRow]:
        """Answer rows of token ids. The result has `num_return_sequences` answers for each row, in order.

        Args:
            rows: sources, or prompts for decoders without an encoder.
            config: the generation settings.
            new_stop_check: a function that makes a stop check for each answer.
            keep_logits: whether answers keep the graph's logits.
            first_row: the position of the first row in the caller's numbering, for errors.

        Raises:
            InputError: a row is empty, holds something that is not a token id, or leaves no room for an answer.
            ClosedError: after `close`.
            OtherProcessError: in a child of the process that loaded the model.
            BundleError: a graph fails, or its logits are nan.
            TimeLimitError: the time of the call is over.
        """
        graphs = self.guard.get()
        config.check_vocabulary(graphs.decoders.graph.vocabulary)
        if keep_logits and config.num_beams > 1:
            raise InputError("logits can be kept only with num_beams=1")
        check_rows(rows)
        contexts = [self.row_context(row, config, first_row + place) for place, row in enumerate(rows)]
        answers: list[list[GeneratedRow]] = [[] for _ in rows]
        for places, sequences in self._runs([len(row) for row in rows], config):
            tokens = [rows[place] for place in places]
            chosen = [contexts[place] for place in places]
            if config.num_beams > 1:
                found = self._beam_search(graphs, tokens, chosen, config, new_stop_check)
            else:
                made = [
                    [self._row(*one, config, number, new_stop_check(), keep_logits) for number in sequences]
                    for one in zip(tokens, chosen, strict=True)
                ]
                with graphs.decoders.borrow() as decoder:
                    for _ in self._generate_tokens(graphs, decoder, tokens, config, made):
                        pass
                found = [[row.result() for row in several] for several in made]
            for place, several in zip(places, found, strict=True):
                answers[place] += several
        return [answer for several in answers for answer in several]

    def steps(self, tokens: Sequence[int], config: GenerationConfig, row: Row) -> Steps:
        """Generate the answer to one source or prompt, one token per step; frees the buffers at the end."""
        return self._steps(self.guard.get(), tokens, config, row)

    def steps_with_cache(self, cache: PrefixCache, tokens: Sequence[int], row: Row) -> Steps:
        """Generate the answer to a conversation, one token per step; `cache` may hold the conversation's beginning."""
        self.guard.get()
        try:
            yield from generate_tokens(cache.decoder, cache.read(tokens), [row])
        finally:
            cache.append(row.answer)

    def _steps(self, graphs: Graphs, tokens: Sequence[int], config: GenerationConfig, row: Row) -> Steps:
        with graphs.decoders.borrow() as decoder:
            yield from self._generate_tokens(graphs, decoder, [tokens], config, [[row]])

    def new_row(self, tokens: Sequence[int], config: GenerationConfig, stop_check: StopCheck | None) -> Row:
        """Return a new, empty answer to one source or prompt. Raises InputError for the same reasons as `generate`."""
        config.check_vocabulary(self.guard.get().decoders.graph.vocabulary)
        return self._row(tokens, self.row_context(tokens, config, 0), config, 0, stop_check, False)

    @within_time_limit
    def score(
        self, rows: TokenRows, answers: TokenRows, config: GenerationConfig
    ) -> list[NDArray[np.float32]]:
        """Return the logits that predict the tokens of given answers: for each row float32 (answer tokens, vocabulary).

        Raises InputError if a row and its answer together are too long for the model, and the errors of `generate`.
        """
        check_rows(rows)
        check_rows(answers)
        if len(rows) != len(answers):
            raise InputError(f"{len(rows)} rows and {len(answers)} answers")
        graphs = self.guard.get()
        config.check_vocabulary(graphs.decoders.graph.vocabulary)
        scored = []
        for place, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            check_tokens(row, f"row {place}", place, self._readable(graphs))
            check_tokens(answer, f"answer {place}", place, graphs.decoders.graph.vocabulary, empty=True)
            if not len(answer):
                scored.append(np.empty((0, graphs.decoders.graph.vocabulary), np.float32))
                continue
            prompt = self._prompt(row, config)
            kept = np.arange(len(prompt) - 1, len(prompt) - 1 + len(answer))[None]
            with graphs.decoders.borrow() as decoder:
                decoder.begin(1, None if graphs.encoder is None else graphs.encoder.encode([row]))
                scored.append(decoder.feed([[*prompt, *answer[:-1]]], kept)[0].copy())
        return scored

    def row_context(self, tokens: Sequence[int], config: GenerationConfig, row: int) -> RowContext:
        """Return the facts about one row that logits processors need; `row` is its position, for errors.

        Raises InputError if the row holds wrong token ids, is too long, or leaves no room for an answer.
        """
        check_tokens(tokens, f"row {row}", row, self._readable(self.guard.get()))
        most = self.manifest.input.max_length
        if self.contract.family == "encoder-decoder" and len(tokens) > most:
            raise InputError(
                f"row {row} has {len(tokens)} tokens, and the model reads at most {most}; shorten it", row=row
            )
        prompt = len(self._prompt(tokens, config))
        limit = self.contract.max_length
        if limit is not None and prompt >= limit:
            raise InputError(
                f"text {row} has {prompt} tokens, which leaves no room for an answer: the model holds {limit}, prompt "
                'and answer together; shorten it, or cut its beginning with overflow="cut" (--overflow cut)',
                row=row,
            )
        longest = config.longest(prompt, self.settings.limits.new_tokens)
        return RowContext(
            prompt_tokens=prompt,
            longest=longest if limit is None else min(longest, limit),
            source=np.array(tokens, np.int64),
            row=row,
        )

    def close(self) -> None:
        """Release the graphs, their threads and buffers. Calls in progress finish; later calls raise ClosedError."""
        self.guard.close()

    def __reduce__(self) -> NoReturn:
        self.guard.__reduce__()

    def _open(self, folder: Path) -> Graphs:
        manifest = self.manifest
        graph = DecoderGraph(
            path_inside(folder, DECODER_FILE), self.contract, manifest.precision, self.settings
        )
        encoder = None
        if self.contract.family == "encoder-decoder":
            path = path_inside(folder, ENCODER_FILE)
            encoder = SourceEncoder(path, manifest.precision, self.settings, graph.cross)
            if self.config.decoder_start_token_id is None and self.config.bos_token_id is None:
                raise BundleError(f"{folder}: {GENERATION_CONFIG_FILE} must name decoder_start_token_id")
        return Graphs(DecoderPool(graph), encoder)

    def _readable(self, graphs: Graphs) -> int:
        """Return the number of valid token ids; every id in a row must be smaller than this number."""
        vocabulary = graphs.decoders.graph.vocabulary
        if graphs.encoder is None:
            return vocabulary
        return max(vocabulary, self.tokens.size)  # an encoder may have a vocabulary of its own

    def _prompt(self, tokens: Sequence[int], config: GenerationConfig) -> Sequence[int]:
        """Return the decoder's first tokens: the prompt, or the start token of an encoder-decoder."""
        if self.contract.family == "decoder":
            return tokens
        start = config.decoder_start_token_id
        if start is None:
            assert config.bos_token_id is not None  # checked when loading
            return [config.bos_token_id]
        return [start] if isinstance(start, int) else [start[0]]

    def _runs(self, lengths: Sequence[int], config: GenerationConfig) -> list[tuple[list[int], range]]:
        """Return the runs for rows of these lengths: for each run, the indices of its rows and the answers' numbers.

        A run holds rows of similar length. If rows would change each other's answers, or their tokens are guessed by
        prompt lookup, it holds one answer to one row.
        """
        sampled = config.num_return_sequences if config.num_beams == 1 else 1
        if self.manifest.precision.rows_share_scale or config.looks_up:
            singles = [range(number, number + 1) for number in range(sampled)]
            return [([place], numbers) for place in range(len(lengths)) for numbers in singles]
        most = max(1, ROWS_OF_A_RUN // max(config.num_beams, sampled))
        runs = cut_into_runs(lengths, TOKENS_OF_A_RUN)
        cut = [run[start : start + most] for run in runs for start in range(0, len(run), most)]
        return [(run, range(sampled)) for run in cut]

    def _row(
        self,
        tokens: Sequence[int],
        context: RowContext,
        config: GenerationConfig,
        sequence: int,
        stop_check: StopCheck | None,
        keep_logits: bool,
    ) -> Row:
        prompt = self._prompt(tokens, config)
        source = tokens if self.contract.family == "encoder-decoder" else ()
        return Row(
            prompt,
            context,
            config,
            sequence=sequence,
            stop_check=stop_check,
            keep_logits=keep_logits,
            lookup=lookup_of(config, source, prompt, self.guard.get().decoders.graph.vocabulary),
        )

    def _beam_search(
        self,
        graphs: Graphs,
        tokens: TokenRows,
        contexts: Sequence[RowContext],
        config: GenerationConfig,
        new_stop_check: Callable[[], StopCheck | None],
    ) -> list[list[GeneratedRow]]:
        rows = [
            BeamRow(self._prompt(row, config), context, config, stop_check=new_stop_check())
            for row, context in zip(tokens, contexts, strict=True)
        ]
        with graphs.decoders.borrow() as decoder:
            logits = self._begin(graphs, decoder, tokens, config)
            for _ in beam_search(decoder, logits, rows, config.num_beams):
                pass
        return [row.results() for row in rows]

    def _generate_tokens(
        self,
        graphs: Graphs,
        decoder: Decoder,
        tokens: TokenRows,
        config: GenerationConfig,
        made: Sequence[Sequence[Row]],
    ) -> Iterator[None]:
        logits = self._begin(graphs, decoder, tokens, config)
        repeats = len(made[0])
        if repeats > 1:
            decoder.select(np.repeat(np.arange(len(made)), repeats))
            logits = np.repeat(logits, repeats, axis=0)
        return generate_tokens(decoder, logits, [row for several in made for row in several])

    def _begin(self, graphs: Graphs, decoder: Decoder, tokens: TokenRows, config: GenerationConfig) -> Logits:
        """Run the sources and prompts, and return the logits of each answer's first token, (rows, 1, vocabulary)."""
        prompts = [self._prompt(row, config) for row in tokens]
        sources = None if graphs.encoder is None else graphs.encoder.encode(tokens)
        room = config.longest(max(map(len, prompts)), self.settings.limits.new_tokens)
        decoder.begin(len(tokens), sources, room=room)
        return decoder.feed(prompts)


def _on_cpu(settings: SessionSettings) -> SessionSettings:
    if settings.device == "cuda":
        raise DeviceError('generation runs only on the CPU for now; load with device="cpu"')
    if settings.device == "auto":
        logger.info("device='auto' runs on the CPU: generation does not support other devices yet")
    return replace(settings, device="cpu")


def _config(folder: Path, manifest: Manifest) -> GenerationConfig:
    if GENERATION_CONFIG_FILE not in manifest.files:
        return GenerationConfig()
    config = GenerationConfig.read(folder / GENERATION_CONFIG_FILE)
    refusal = lookup_refusal(config, manifest.precision)
    if refusal is None:
        return config
    logger.warning("%s: %s; tokens are generated one by one", folder / GENERATION_CONFIG_FILE, refusal)
    return replace(config, prompt_lookup_num_tokens=0)
