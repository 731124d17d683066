"""Token ids to answers: the graphs of a bundle, its config, and how rows share a run."""

import logging
import operator
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
from ftool_runtime.decoding.detokenize import Stopped
from ftool_runtime.decoding.greedy import Row, search
from ftool_runtime.decoding.logits_processors import RowFacts
from ftool_runtime.decoding.results import GeneratedRow
from ftool_runtime.errors import BundleError, DeviceError, InputError
from ftool_runtime.session.batching import cut_into_runs
from ftool_runtime.session.decoder.cross_cache import SourceEncoder
from ftool_runtime.session.decoder.decoder import Decoder, Logits
from ftool_runtime.session.decoder.graph import DecoderGraph
from ftool_runtime.session.decoder.pool import DecoderPool
from ftool_runtime.session.decoder.prefix_cache import PrefixCache
from ftool_runtime.session.fork_guard import ForkGuard
from ftool_runtime.session.onnx_session import SessionSettings
from ftool_runtime.text.generation_tokens import TextTokens

logger = logging.getLogger(__name__)

# What one run may hold: rows, beams included, since a step's time grows with them from about here on; and tokens of
# prompts, padding included, since their activations take cache.
ROWS_OF_A_RUN: Final = 16
TOKENS_OF_A_RUN: Final = 4096

TokenRows = Sequence[Sequence[int]]
Steps = Generator[None, None, None]  # gives control back after every token


@dataclass(frozen=True, slots=True)
class Graphs:
    """A bundle's graphs, loaded."""

    decoders: DecoderPool
    encoder: SourceEncoder | None  # None for decoders without one


class GeneratorEngine:
    """A bundle's tokenizer, config and graphs, ready to run. Safe to call from several threads at once."""

    def __init__(self, folder: Path, manifest: Manifest, settings: SessionSettings) -> None:
        """Load the bundle in `folder`. Raises BundleError, DeviceError and RuntimeMissingError as loading does."""
        if manifest.generation is None:
            raise BundleError(f"{folder}: the manifest of a {manifest.task} bundle must hold 'generation'")
        self.manifest = manifest
        self.contract: GenerationContract = manifest.generation
        self.settings = _on_cpu(settings)
        self.device = "cpu"
        self.tokens = TextTokens(path_inside(folder, TOKENIZER_FILE))
        self.config = _config(folder, manifest)
        self.held = ForkGuard(self._open(folder))

    def resolve(self, config: GenerationConfig | None) -> GenerationConfig:
        """The bundle's config, or the one given, with the bundle's special tokens where it names none.

        Raises InputError for what is no config.
        """
        if config is not None and not isinstance(config, GenerationConfig):
            raise InputError(
                f"config must be a GenerationConfig, got {type(config).__name__}; give single options by name"
            )
        return self.config if config is None else config.completed(self.config)

    def generate(
        self,
        rows: TokenRows,
        config: GenerationConfig,
        *,
        stopped: Callable[[], Stopped | None] = lambda: None,
        keep_logits: bool = False,
        first_row: int = 0,
    ) -> list[GeneratedRow]:
        """Answer rows of token ids: `num_return_sequences` answers for each, one after the other.

        Args:
            rows: sources, or prompts of decoders without an encoder.
            config: how.
            stopped: makes for each answer what says whether it ends at a stop string.
            keep_logits: whether answers keep the graph's logits.
            first_row: the position of the first row in the caller's numbering, for errors.

        Raises:
            InputError: a row without tokens, with tokens that are none, or one that leaves no room for an answer.
            ClosedError, OtherProcessError, BundleError: as a classifier's call.
        """
        graphs = self.held.get()
        config.check_vocabulary(graphs.decoders.graph.vocabulary)
        if keep_logits and config.num_beams > 1:
            raise InputError("logits are kept for num_beams=1 alone")
        _check_rows(rows)
        facts = [self.facts(row, config, first_row + place) for place, row in enumerate(rows)]
        answers: list[list[GeneratedRow]] = [[] for _ in rows]
        for places, sequences in self._runs([len(row) for row in rows], config):
            tokens = [rows[place] for place in places]
            chosen = [facts[place] for place in places]
            if config.num_beams > 1:
                found = self._beams(graphs, tokens, chosen, config, stopped)
            else:
                made = [
                    [self._row(row, fact, config, number, stopped(), keep_logits) for number in sequences]
                    for row, fact in zip(tokens, chosen, strict=True)
                ]
                with graphs.decoders.borrow() as decoder:
                    for _ in self._search(graphs, decoder, tokens, config, made):
                        pass
                found = [[row.result() for row in several] for several in made]
            for place, several in zip(places, found, strict=True):
                answers[place] += several
        return [answer for several in answers for answer in several]

    def grow(self, tokens: Sequence[int], config: GenerationConfig, row: Row) -> Steps:
        """Let the answer to one source or prompt grow, a token a step; its buffers are free when this ends."""
        return self._grow(self.held.get(), tokens, config, row)

    def grow_on(self, cache: PrefixCache, tokens: Sequence[int], row: Row) -> Steps:
        """Likewise for a conversation, of which `memory` has read the beginning."""
        self.held.get()
        try:
            yield from search(cache.decoder, cache.read(tokens), [row])
        finally:
            cache.note(row.answer)

    def _grow(self, graphs: Graphs, tokens: Sequence[int], config: GenerationConfig, row: Row) -> Steps:
        with graphs.decoders.borrow() as decoder:
            yield from self._search(graphs, decoder, [tokens], config, [[row]])

    def new_row(
        self, tokens: Sequence[int], config: GenerationConfig, stopped: Stopped | None, row: int = 0
    ) -> Row:
        """The beginning of the answer to one source or prompt. Raises InputError as `generate`."""
        config.check_vocabulary(self.held.get().decoders.graph.vocabulary)
        return self._row(tokens, self.facts(tokens, config, row), config, 0, stopped, False)

    def score(
        self, rows: TokenRows, answers: TokenRows, config: GenerationConfig
    ) -> list[NDArray[np.float32]]:
        """The logits that predict each token of given answers, float32 (tokens of the answer, vocabulary) a row.

        Raises InputError where a row and its answer are more than the model holds; as `generate` too.
        """
        _check_rows(rows)
        _check_rows(answers)
        if len(rows) != len(answers):
            raise InputError(f"{len(rows)} rows and {len(answers)} answers")
        graphs = self.held.get()
        config.check_vocabulary(graphs.decoders.graph.vocabulary)
        scored = []
        for place, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            _check_tokens(row, f"row {place}", place, self._readable(graphs))
            _check_tokens(answer, f"answer {place}", place, graphs.decoders.graph.vocabulary, empty=True)
            if not len(answer):
                scored.append(np.empty((0, graphs.decoders.graph.vocabulary), np.float32))
                continue
            prompt = self._prompt(row, config)
            kept = np.arange(len(prompt) - 1, len(prompt) - 1 + len(answer))[None]
            with graphs.decoders.borrow() as decoder:
                decoder.begin(1, None if graphs.encoder is None else graphs.encoder.encode([row]))
                scored.append(decoder.feed([[*prompt, *answer[:-1]]], kept)[0].copy())
        return scored

    def facts(self, tokens: Sequence[int], config: GenerationConfig, row: int) -> RowFacts:
        """What the rules need to know of one row. Raises InputError where there is no room for an answer."""
        _check_tokens(tokens, f"row {row}", row, self._readable(self.held.get()))
        most = self.manifest.input.max_length
        if self.contract.family == "encoder-decoder" and len(tokens) > most:
            raise InputError(
                f"row {row} has {len(tokens)} tokens, and the model reads {most}; cut it", row=row
            )
        prompt = len(self._prompt(tokens, config))
        limit = self.contract.max_length
        if limit is not None and prompt >= limit:
            raise InputError(
                f"text {row} has {prompt} tokens, which leaves no room for an answer: the model holds {limit}, prompt "
                'and answer together; shorten it, or cut its beginning by overflow="cut" (--overflow cut)',
                row=row,
            )
        longest = config.longest(prompt)
        return RowFacts(
            prompt_tokens=prompt,
            longest=longest if limit is None else min(longest, limit),
            source=np.array(tokens, np.int64),
            row=row,
        )

    def close(self) -> None:
        """Let go of the graphs, their threads and buffers. Calls under way finish; later ones raise ClosedError."""
        self.held.close()

    def __reduce__(self) -> NoReturn:
        self.held.__reduce__()

    def _open(self, folder: Path) -> Graphs:
        manifest = self.manifest
        graph = DecoderGraph(
            path_inside(folder, DECODER_FILE), self.contract, manifest.precision, self.settings
        )
        encoder = None
        if self.contract.family == "encoder-decoder":
            path = path_inside(folder, ENCODER_FILE)
            encoder = SourceEncoder(
                path, manifest.precision, self.settings, manifest.input.pad_token_id, graph.cross
            )
            if self.config.decoder_start_token_id is None and self.config.bos_token_id is None:
                raise BundleError(f"{folder}: {GENERATION_CONFIG_FILE} must name decoder_start_token_id")
        return Graphs(DecoderPool(graph), encoder)

    def _readable(self, graphs: Graphs) -> int:
        """Below which number a row's token ids lie."""
        vocabulary = graphs.decoders.graph.vocabulary
        if graphs.encoder is None:
            return vocabulary
        return max(vocabulary, self.tokens.size)  # an encoder may have a vocabulary of its own

    def _prompt(self, tokens: Sequence[int], config: GenerationConfig) -> Sequence[int]:
        """What the decoder is given first."""
        if self.contract.family == "decoder":
            return tokens
        start = config.decoder_start_token_id
        if start is None:
            assert config.bos_token_id is not None  # loading saw to it
            return [config.bos_token_id]
        return [start] if isinstance(start, int) else [start[0]]

    def _runs(self, lengths: Sequence[int], config: GenerationConfig) -> list[tuple[list[int], range]]:
        """The rows of each run, and which of their drawn answers: rows of like length, or each answer alone."""
        drawn = config.num_return_sequences if config.num_beams == 1 else 1
        if self.manifest.precision.rows_share_scale:  # company would change answers
            alone = [range(number, number + 1) for number in range(drawn)]
            return [([place], numbers) for place in range(len(lengths)) for numbers in alone]
        most = max(1, ROWS_OF_A_RUN // max(config.num_beams, drawn))
        runs = cut_into_runs(lengths, TOKENS_OF_A_RUN)
        cut = [run[start : start + most] for run in runs for start in range(0, len(run), most)]
        return [(run, range(drawn)) for run in cut]

    def _row(
        self,
        tokens: Sequence[int],
        facts: RowFacts,
        config: GenerationConfig,
        sequence: int,
        stopped: Stopped | None,
        keep_logits: bool,
    ) -> Row:
        prompt = self._prompt(tokens, config)
        return Row(prompt, facts, config, sequence=sequence, stopped=stopped, keep_logits=keep_logits)

    def _beams(
        self,
        graphs: Graphs,
        tokens: TokenRows,
        facts: Sequence[RowFacts],
        config: GenerationConfig,
        stopped: Callable[[], Stopped | None],
    ) -> list[list[GeneratedRow]]:
        rows = [
            BeamRow(self._prompt(row, config), fact, config, stopped=stopped())
            for row, fact in zip(tokens, facts, strict=True)
        ]
        with graphs.decoders.borrow() as decoder:
            logits = self._begin(graphs, decoder, tokens, config)
            for _ in beam_search(decoder, logits, rows, config.num_beams):
                pass
        return [row.results() for row in rows]

    def _search(
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
        return search(decoder, logits, [row for several in made for row in several])

    def _begin(self, graphs: Graphs, decoder: Decoder, tokens: TokenRows, config: GenerationConfig) -> Logits:
        """Run sources and prompts: the logits of the first answer token, (rows, 1, vocabulary)."""
        prompts = [self._prompt(row, config) for row in tokens]
        sources = None if graphs.encoder is None else graphs.encoder.encode(tokens)
        decoder.begin(len(tokens), sources, room=config.longest(max(map(len, prompts))))
        return decoder.feed(prompts)


def _on_cpu(settings: SessionSettings) -> SessionSettings:
    if settings.device == "cuda":
        raise DeviceError('generation runs on the CPU alone for now; load with device="cpu"')
    if settings.device == "auto":
        logger.info("device='auto' runs on the CPU: generation runs nowhere else for now")
    return replace(settings, device="cpu")


def _config(folder: Path, manifest: Manifest) -> GenerationConfig:
    if GENERATION_CONFIG_FILE not in manifest.files:
        return GenerationConfig()
    return GenerationConfig.read(path_inside(folder, GENERATION_CONFIG_FILE))


def _check_rows(rows: object) -> None:
    if isinstance(rows, str | bytes) or not hasattr(rows, "__len__"):
        raise InputError(f"rows must be a list of lists of token ids, got {rows!r}")


def _check_tokens(tokens: object, name: str, row: int, vocabulary: int, *, empty: bool = False) -> None:
    """Raise InputError unless `tokens`, which errors call `name`, are ids below `vocabulary`."""
    if isinstance(tokens, str | bytes) or not isinstance(tokens, Sequence | np.ndarray):
        raise InputError(f"{name} is {tokens!r}; rows are lists of token ids", row=row)
    if not len(tokens) and not empty:
        raise InputError(f"{name} holds no tokens", row=row)
    for token in tokens:
        try:
            number = operator.index(token)
        except TypeError:
            number = -1
        if number < 0:
            raise InputError(f"{name} holds {token!r}, which is no token id", row=row)
        if number >= vocabulary:
            raise InputError(
                f"{name} holds the token {number}, and the model has those below {vocabulary}", row=row
            )
