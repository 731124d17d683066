"""Compare a benchmark with an earlier one, to stop a change that makes a bundle slower."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftool.errors import BenchError
from ftool.workspace import json_in

FIGURES: Final = {"latency_p50": "one text at a time", "throughput": "all texts in one call"}


@dataclass(frozen=True, kw_only=True)
class Slowdown:
    """How a figure has changed since the earlier benchmark.

    Attributes:
        figure: a key of `FIGURES`.
        share: how much slower the bundle is, 0.05 for 5%; negative if it is faster.
        through: the engine in both benchmarks, whose speed the bundle's is compared with; None if times themselves are
            compared.
    """

    figure: str
    share: float
    through: str | None

    def sentence(self, limit: float) -> str:
        """Return the change as a sentence, which says whether it is within `limit`."""
        size = f"{abs(self.share):.1%} {'slower' if self.share > 0 else 'faster'}"
        how = f", each compared with {self.through} in its own run" if self.through else ""
        verdict = "" if self.share <= limit else f": more than the allowed {limit:.1%}"
        return f"{FIGURES[self.figure]}: {size} than before{how}{verdict}"

    def to_json(self, limit: float) -> dict[str, Any]:
        """Return the change as JSON values, and whether it is within `limit`."""
        return {
            "figure": self.figure,
            "slowdown": self.share,
            "sentence": self.sentence(limit),
            "passed": self.share <= limit,
        }


def read_report(path: Path) -> dict[str, Any]:
    """Read an earlier report that `ftool bench` wrote. Raises BenchError if the file can't be read or is not one."""
    try:
        report: dict[str, Any] = json_in(path)
        if report["subject"] in report["engines"]:
            if any(one.share != 0 for one in slowdowns(report, report)):  # it has all that is compared
                raise ValueError("figures that are no numbers")
            return report
    except OSError as error:
        raise BenchError(
            f"{path} can't be read ({error.strerror}); give a report of ftool bench, such as reports/bench.json"
        ) from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BenchError(
            f"{path}: not a report of ftool bench; give its reports/bench.json or --json output"
        ) from error
    raise BenchError(
        f"{path}: its engines have no {report['subject']}; give reports/bench.json of ftool bench"
    )


def slowdowns(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Slowdown]:
    """Return the change of each figure between two reports of `ftool bench`, both as plain JSON.

    If an engine was timed in both, such as torch, the bundle's speed is taken relative to this engine's in the same
    run, so that another speed of the machine changes nothing. Otherwise times are compared.

    Raises BenchError if no engine is in both and the runs are of different processors or threads.
    """
    common = sorted(set(old["ratios"]) & set(new["ratios"]))
    if common:
        before, after = old["ratios"][common[0]], new["ratios"][common[0]]
        return [
            Slowdown(figure=figure, share=before[figure] / after[figure] - 1, through=common[0])
            for figure in FIGURES
        ]
    mine, others = (report["engines"][report["subject"]] for report in (new, old))
    for what, one, other in (
        ("processor", new["machine"]["cpu"], old["machine"]["cpu"]),
        ("number of threads", mine["threads"], others["threads"]),
    ):
        if one != other:
            raise BenchError(
                f"the earlier benchmark is of another {what} ({other}, now {one}) and shares no engine with this one, "
                "so that nothing can be compared; time both with --against torch"
            )
    return [
        Slowdown(
            figure="latency_p50",
            share=mine["latency_ms"]["p50"] / others["latency_ms"]["p50"] - 1,
            through=None,
        ),
        Slowdown(
            figure="throughput", share=others["throughput_per_s"] / mine["throughput_per_s"] - 1, through=None
        ),
    ]
