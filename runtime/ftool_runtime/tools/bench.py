"""`bench`: measure the speed and memory of a bundle on this machine."""

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ftool_runtime.bundle.golden import Golden
from ftool_runtime.errors import FtoolError, InputError
from ftool_runtime.loading import load
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.models.generator import Generator
from ftool_runtime.session.memory_usage import peak_memory_mb
from ftool_runtime.session.onnx_session import Device, Profile
from ftool_runtime.text.files import read_texts
from ftool_runtime.tools.options import input_columns

_WARM_UP_CALLS = 20  # untimed calls before timing
NEW_TOKENS: Final = 64  # length of each timed answer of a generator
ROWS_AT_ONCE: Final = 8  # rows in a timed batch of a generator


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles, in milliseconds, of repeated measurements of a duration."""

    p50: float
    p90: float
    p95: float
    p99: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float]) -> "Latency":
        """Return the percentiles of durations in milliseconds."""
        return cls(*(round(float(value), 4) for value in np.percentile(latencies_ms, (50, 90, 95, 99))))


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """The results of `bench`; times in milliseconds, memory in MB (10**6 bytes).

    Attributes:
        latency_ms: the duration of a call on one text, including tokenization.
        throughput_per_s: texts per second if all texts are given in one call.
        cold_start_ms: the median time from the start of a new Python process until it has given its first answer.
        load_ms: the duration of `load` in this process, including the import of onnxruntime if `load` is the first to
            import it.
        peak_memory_mb: peak resident memory of this process; None if unknown.
        texts: the number of different texts that were timed.
        calls: the number of timed calls from which `latency_ms` was computed.
        info: the model's `info()`.
    """

    latency_ms: Latency
    throughput_per_s: float
    cold_start_ms: float
    load_ms: float
    peak_memory_mb: float | None
    texts: int
    calls: int
    info: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        latency = self.latency_ms
        memory = "unknown" if self.peak_memory_mb is None else f"{self.peak_memory_mb:.0f} MB"
        return [
            f"latency, one text    p50 {latency.p50:.2f} ms   p90 {latency.p90:.2f} ms   "
            f"p95 {latency.p95:.2f} ms   p99 {latency.p99:.2f} ms",
            f"throughput           {self.throughput_per_s:.0f} texts/s",
            f"cold start           {self.cold_start_ms:.0f} ms, of which load {self.load_ms:.0f} ms",
            f"peak memory          {memory}",
            f"{self.texts} texts, {self.calls} calls, {self.info['device']}, "
            f"{self.info['threads']} threads, profile {self.info['profile']}",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationBenchReport:
    """The results of `bench` for a model that generates text; times in milliseconds, memory in MB (10**6 bytes).

    Attributes:
        first_token_ms: the time from the start of a call with one row to the answer's first token.
        token_ms: the time for each later token, in calls with one row.
        tokens_per_s: new tokens per second in calls with one row, including the time for the prompt.
        tokens_per_s_batch: new tokens per second in a call with eight rows.
        new_tokens: the number of tokens in each answer; answers that reach the model's limit are shorter.
        cold_start_ms: the median time from the start of a new Python process until it has given its first answer.
        load_ms: the duration of `load` in this process.
        peak_memory_mb: peak resident memory of this process; None if unknown.
        rows: the number of different sources or prompts that were timed.
        calls: the number of timed calls with one row.
        info: the model's `info()`.
    """

    first_token_ms: Latency
    token_ms: Latency
    tokens_per_s: float
    tokens_per_s_batch: float
    new_tokens: int
    cold_start_ms: float
    load_ms: float
    peak_memory_mb: float | None
    rows: int
    calls: int
    info: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        first, token = self.first_token_ms, self.token_ms
        memory = "unknown" if self.peak_memory_mb is None else f"{self.peak_memory_mb:.0f} MB"
        return [
            f"first token          p50 {first.p50:.2f} ms   p95 {first.p95:.2f} ms",
            f"further tokens       p50 {token.p50:.2f} ms   p95 {token.p95:.2f} ms",
            f"tokens per second    {self.tokens_per_s:.0f} single, "
            f"{self.tokens_per_s_batch:.0f} in a batch of {ROWS_AT_ONCE}",
            f"cold start           {self.cold_start_ms:.0f} ms, of which load {self.load_ms:.0f} ms",
            f"peak memory          {memory}",
            f"{self.rows} rows, {self.calls} calls of {self.new_tokens} new tokens, {self.info['device']}, "
            f"{self.info['threads']} threads, profile {self.info['profile']}",
        ]


def bench(
    folder: Path | str,
    texts: Sequence[Any] | Path | None = None,
    columns: Sequence[str] = (),
    *,
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    calls: int = 500,
    cold_starts: int = 3,
) -> BenchReport | GenerationBenchReport:
    """Measure the bundle in `folder` on this machine.

    Args:
        folder: the bundle.
        texts: the inputs to answer, or a file of inputs; None for the bundle's golden inputs.
        columns: the columns of the file that hold the inputs, as for `predict --column`.
        device: the device, as for `ftool_runtime.load`.
        threads: the number of CPU threads, as for `ftool_runtime.load`.
        profile: the profile, as for `ftool_runtime.load`.
        calls: the smallest number of timed calls on one text; every text is timed at least once.
        cold_starts: the number of new processes whose cold start is timed.

    Raises:
        InputError: there are no texts, or `calls` or `cold_starts` is below 1.
        FtoolError: any error of `ftool_runtime.load` or of the model.
    """
    if min(calls, cold_starts) < 1:
        raise InputError(f"calls and cold_starts must be at least 1, got {calls} and {cold_starts}")
    folder = Path(folder)
    started = time.perf_counter()
    model = load(folder, device=device, threads=threads, profile=profile)
    load_ms = (time.perf_counter() - started) * 1e3
    if isinstance(texts, Path):
        texts = list(read_texts(texts, input_columns(model, columns)))
    if isinstance(model, Generator):
        with model:
            return _bench_generator(folder, model, texts, calls, cold_starts, load_ms)
    with model:
        return _bench_encoder(folder, model, texts, calls, cold_starts, load_ms)


def _bench_encoder(
    folder: Path, model: Any, texts: Sequence[Any] | None, calls: int, cold_starts: int, load_ms: float
) -> BenchReport:
    texts = list(texts) if texts is not None else list(Golden.read(folder).inputs)
    latencies = time_single_calls(model, texts, calls)
    throughput = time_throughput(model, texts)
    info = model.info()
    return BenchReport(
        latency_ms=Latency.of(latencies),
        throughput_per_s=round(throughput, 2),
        cold_start_ms=float(np.median([time_cold_start(folder, texts[0], info) for _ in range(cold_starts)])),
        load_ms=round(load_ms, 2),
        peak_memory_mb=peak_memory_mb(),
        texts=len(texts),
        calls=len(latencies),
        info=info,
    )


def _bench_generator(
    folder: Path, model: Generator, texts: Sequence[str] | None, calls: int, cold_starts: int, load_ms: float
) -> GenerationBenchReport:
    rows: Sequence[Sequence[int]]
    if texts is None:
        given = Golden.read(folder).inputs
        rows = [model.tokenize([one])[0] if isinstance(one, str) else one for one in given]
        text = model.decode(rows[0]) or "a"
    else:
        rows = model.tokenize(list(texts))
        text = texts[0] if texts else ""
    speeds = time_generation(model, rows, calls)
    info = model.info()
    starts = [time_cold_start(folder, text, info) for _ in range(cold_starts)]
    return GenerationBenchReport(
        first_token_ms=Latency.of(speeds.first_ms),
        token_ms=Latency.of(speeds.token_ms),
        tokens_per_s=round(speeds.single_per_s, 2),
        tokens_per_s_batch=round(speeds.batch_per_s, 2),
        new_tokens=NEW_TOKENS,
        cold_start_ms=float(np.median(starts)),
        load_ms=round(load_ms, 2),
        peak_memory_mb=peak_memory_mb(),
        rows=len(rows),
        calls=len(speeds.first_ms),
        info=info,
    )


def time_single_calls(model: EncoderModel[Any, Any], texts: Sequence[Any], calls: int) -> list[float]:
    """Return the durations, in milliseconds, of at least `calls` calls, each on one text, cycling through `texts`.

    Untimed calls are made first, to warm up. Raises InputError if there are no texts.
    """
    if not texts:
        raise InputError("no texts to time")
    for text in itertools.islice(itertools.cycle(texts), _WARM_UP_CALLS):
        model(text)
    latencies = []
    for text in itertools.islice(itertools.cycle(texts), max(calls, len(texts))):
        started = time.perf_counter_ns()
        model(text)
        latencies.append((time.perf_counter_ns() - started) / 1e6)
    return latencies


def time_throughput(model: EncoderModel[Any, Any], texts: Sequence[Any], at_least_s: float = 1.0) -> float:
    """Return the texts per second if all `texts` are given in one call.

    The call is repeated until the calls have taken at least `at_least_s` seconds.
    """
    model(texts[:_WARM_UP_CALLS])
    answered, elapsed = 0, 0.0
    while elapsed < at_least_s:
        started = time.perf_counter()
        model(texts)
        elapsed += time.perf_counter() - started
        answered += len(texts)
    return answered / elapsed


@dataclass(frozen=True, slots=True)
class Speeds:
    """The speed of generation.

    Attributes:
        first_ms: the time to the first token of each call with one row, in milliseconds.
        token_ms: the time for each later token of these calls, in milliseconds.
        single_per_s: tokens per second in calls with one row.
        batch_per_s: tokens per second in a call with ROWS_AT_ONCE rows.
    """

    first_ms: list[float]
    token_ms: list[float]
    single_per_s: float
    batch_per_s: float


def time_generation(model: Generator, rows: Sequence[Sequence[int]], calls: int) -> Speeds:
    """Time greedy answers of NEW_TOKENS tokens to `rows` of token ids, singly and in a batch.

    At least `calls` single answers are timed, cycling through `rows`. Untimed calls are made first, to warm up.
    Raises InputError if there are no rows.
    """
    if not rows:
        raise InputError("no texts to time")
    options: dict[str, Any] = {"do_sample": False, "num_beams": 1, "num_return_sequences": 1}
    options["prompt_lookup_num_tokens"] = 0  # each token takes a step, whatever the text repeats
    options |= {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS}
    model.generate([rows[0]], **options)
    first, later, elapsed, made = [], [], 0.0, 0
    for row in itertools.islice(itertools.cycle(rows), max(calls, len(rows))):
        marks = model.time_tokens(row, **options)
        first.append(marks[0] * 1e3)
        later += [(after - before) * 1e3 for before, after in itertools.pairwise(marks)]
        elapsed += marks[-1]
        made += len(marks)
    batch = list(itertools.islice(itertools.cycle(rows), ROWS_AT_ONCE))
    model.generate(batch, **options)
    started = time.perf_counter()
    answers = model.generate(batch, **options)
    together = sum(len(answer.ids) for answer in answers) / (time.perf_counter() - started)
    return Speeds(first, later or first, made / elapsed, together)


def time_cold_start(folder: Path, given: Any, info: dict[str, Any]) -> float:
    """Return the time, in milliseconds, from the start of a new Python process until it has given its first answer.

    Args:
        folder: the bundle.
        given: the input to answer: a text, or the texts of an input by field.
        info: the `info()` of a model loaded from the bundle; the new process loads the bundle with the device, threads
            and profile in `info`.

    Raises FtoolError, with the process's error output, if the process fails.
    """
    import subprocess  # not needed by `import ftool_runtime`

    options = [f"--{name}={info[name]}" for name in ("device", "threads", "profile")]
    texts = [given] if isinstance(given, str) else list(given.values())
    command = [sys.executable, "-m", "ftool_runtime", "predict", str(folder), *options, "--", *texts]
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        answer = process.stdout.readline()
        elapsed_ms = (time.perf_counter() - started) * 1e3
        _, complaint = process.communicate()
    if not answer or process.returncode:
        raise FtoolError(f"a new process failed to answer: {complaint.decode(errors='replace').strip()}")
    return round(elapsed_ms, 2)
