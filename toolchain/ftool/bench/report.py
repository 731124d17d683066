"""Compute the benchmark report from timings: each engine's figures, ratios to the bundle, machine and versions."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ftool.bench.contention import Contention, spread_of
from ftool.bench.measure import BenchSettings
from ftool.bench.scale import number, scale_json, scale_ratios, scale_sentences
from ftool.bench.timings import PERCENTILES, Timings


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """The result of `ftool bench`. `to_json` returns what `--json` prints and reports/bench.json contains.

    `compared` has the changes since an earlier report, as `Slowdown.to_json` returns them; None if there is none.
    """

    subject: str  # name of the bundle's engine, which ratios compare with the other engines
    timings: Mapping[str, Timings]
    contention: Contention
    machine: Mapping[str, Any]
    settings: BenchSettings
    task: str
    split: str
    examples: int
    compared: Sequence[Mapping[str, Any]] | None = None

    def ratio(self, other: str) -> dict[str, Any]:
        """Return ratios that say how many times better the bundle is than the engine `other`.

        A ratio above 1 means that the bundle is faster or smaller. For latency and throughput, a ratio is
        computed in each round, and the result has the median and the range of these ratios.
        """
        bundle, compared = self.timings[self.subject], self.timings[other]
        latency = [b / a for a, b in zip(bundle.round_p50_ms(), compared.round_p50_ms(), strict=True)]
        throughput = [a / b for a, b in zip(bundle.throughput_per_s, compared.throughput_per_s, strict=True)]
        cold = [b / a for a, b in zip(bundle.cold_start_ms, compared.cold_start_ms, strict=True)]
        return {
            "latency_p50": statistics.median(latency),
            "latency_p50_range": [min(latency), max(latency)],
            "throughput": statistics.median(throughput),
            "throughput_range": [min(throughput), max(throughput)],
            "cold_start": statistics.median(cold),
            "peak_memory": compared.peak_memory_mb / bundle.peak_memory_mb,
            "size": compared.engine.size_mb / bundle.engine.size_mb,
            **scale_ratios(bundle, compared),
        }

    def spread(self) -> float:
        """Return how much longer the slowest round took than the fastest: the largest share of all engines."""
        return max(spread_of(one.round_p50_ms()) for one in self.timings.values())

    def ratios(self) -> dict[str, dict[str, Any]]:
        """Return the result of `ratio` for every engine except the bundle, by engine name."""
        return {name: self.ratio(name) for name in self.timings if name != self.subject}

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object: machine, settings, and the figures and ratios by engine name."""
        return {
            "task": self.task,
            "split": self.split,
            "examples": self.examples,
            "subject": self.subject,
            "machine": dict(self.machine),
            "contention": self.contention.to_json(self.spread()),
            "settings": asdict(self.settings),
            "engines": {name: engine_json(timings) for name, timings in self.timings.items()},
            "ratios": self.ratios(),
            **({} if self.compared is None else {"compared": list(self.compared)}),
        }


def engine_json(timings: Timings) -> dict[str, Any]:
    """Return one engine's figures as JSON; units are milliseconds, texts per second and MB (10^6 bytes)."""
    return {
        **({"title": timings.engine.title} if timings.engine.title else {}),
        "latency_ms": timings.percentiles_ms(),
        "latency_quantiles_ms": timings.quantiles_ms(),
        "latency_interval_ms": timings.percentile_intervals_ms(),
        **({"served_ms": served} if (served := timings.served_percentiles_ms()) else {}),
        **timings.generation(),
        "throughput_per_s": statistics.median(timings.throughput_per_s),
        "cold_start_ms": statistics.median(timings.cold_start_ms),
        "peak_memory_mb": timings.peak_memory_mb,
        "size_mb": timings.engine.size_mb,
        "threads": timings.engine.threads,
        "device": timings.engine.device,
        "profile": timings.engine.profile if timings.engine.kind == "bundle" else None,
        "waiting_cpu": max(timings.waiting_cpu, default=0.0),
        "rounds": {
            "latency_p50_ms": timings.round_p50_ms(),
            "throughput_per_s": timings.throughput_per_s,
            "cold_start_ms": timings.cold_start_ms,
        },
        **scale_json(timings),
        "versions": timings.versions,
    }


def _latency(percentile: str) -> tuple[str, str, "Figure"]:
    return f"one text at a time, {percentile}", "ms", lambda engine: engine["latency_ms"][percentile]


Figure = Callable[[Mapping[str, Any]], float]

ROWS: tuple[tuple[str, str, Figure], ...] = (
    *(_latency(f"p{percentile}") for percentile in PERCENTILES),
    ("all texts in one call", "texts/s", lambda e: e["throughput_per_s"]),
    ("process start to first answer", "ms", lambda e: e["cold_start_ms"]),
    ("peak memory", "MB", lambda e: e["peak_memory_mb"]),
    ("size", "MB", lambda e: e["size_mb"]),
)

GENERATION_ROWS = (
    ("first_token_ms", "one text at a time, first token (ms)"),
    ("per_token_ms", "one text at a time, each further token (ms)"),
    ("tokens_per_s", "one text at a time (tokens/s)"),
)


def table(report: Mapping[str, Any]) -> list[list[str]]:
    """Return a report, given as JSON, as rows of text: a header, then a row per figure; each engine has a column."""
    engines = report["engines"]
    rows = [["", *engines]]
    for title, unit, figure in ROWS:
        rows.append([f"{title} ({unit})", *(number(figure(engine)) for engine in engines.values())])
    rate = report["settings"].get("rate")
    if rate is not None:
        for percentile in PERCENTILES:
            found = (engine["served_ms"][f"p{percentile}"] for engine in engines.values())
            rows.append([f"{rate:g} arriving a second, p{percentile} (ms)", *map(number, found)])
    for key, title in GENERATION_ROWS:
        if all(key in engine for engine in engines.values()):
            rows.append([title, *(number(engine[key]) for engine in engines.values())])
    return rows


def disturbed(report: Mapping[str, Any]) -> bool:
    """Return whether something took processor time from the engines while they were timed, so that ratios are off."""
    return bool(_busy(report) or report["contention"]["disturbed"])


def _busy(report: Mapping[str, Any]) -> list[str]:
    """Return the engines that used the processor while others were timed."""
    return [name for name, engine in report["engines"].items() if engine["waiting_cpu"] > 0.05]


def sentences(report: Mapping[str, Any]) -> list[str]:
    """Return a report's ratios, fits and changes as sentences, and warnings if something disturbed the timing."""
    result = [
        f"{report['subject']} against {name}: latency p50 {ratio['latency_p50']:.2f}x faster "
        f"({ratio['latency_p50_range'][0]:.2f} to {ratio['latency_p50_range'][1]:.2f} over the rounds), "
        f"throughput {ratio['throughput']:.2f}x, cold start {ratio['cold_start']:.1f}x, "
        f"memory {ratio['peak_memory']:.1f}x less, size {ratio['size']:.1f}x smaller"
        for name, ratio in report["ratios"].items()
    ]
    result += [*scale_sentences(report), *(one["sentence"] for one in report.get("compared", ()))]
    if busy := _busy(report):
        result.append(
            f"warning: {', '.join(busy)} used the processor while others were timed; the figures are disturbed"
        )
    if disturbed := report["contention"]["disturbed"]:
        result.append(
            f"warning: while the engines were timed, {' and '.join(disturbed)}; times are too long and "
            "ratios less exact: time again on a quiet machine"
        )
    return result
