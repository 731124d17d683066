"""Reports of an export and of a parity run, as Python objects and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ftool_export.examples.comparison import Examination
from ftool_export.gate import Check, MetricPair, Verdict, at_least, at_most, examination_checks, title_of
from ftool_export.tolerances import Tolerance
from ftool_runtime.bundle.manifest import FileRecord

_HALF_A_STEP: Final = 0.5 + 1e-3  # half a step, plus rounding in the division by the scale
_SAME_CONSTANT: Final = 1e-6  # relative; constants that tidying computes may be rounded differently


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """The result of an export.

    Attributes:
        bundle: the bundle's folder; None if the bundle failed the gate, so that nothing was written or replaced.
        precision: the precision's name.
        attention: "fused" (one operator per layer) or "plain" (separate operators).
        left_out: layers left out of quantisation so that the bundle passes the gate. In int8 and w4 bundles they are in
            8-bit blocks, in w8 bundles in fp32.
        in_fp32: those of `left_out` that are in fp32 although the bundle could have them in 8-bit blocks.
        files: every file of the bundle except its manifest.
        verdict: the gate's verdict.
        largest_logit_difference: the largest difference between outputs of fp32 graphs and of torch on probe inputs.
        device: the device that the bundle is for.
        proof: where and in which arithmetic the gate has run the bundle, as in `pipeline.proof_of`.
        disclosed: what the bundle holds of the user's data and names, as `bundle.disclosure.disclosed` lists it.
        disclosure: the same as a line for people; empty if nothing was written.
        advice: remedies for failed checks, and a note if quality was not measured; None if there is nothing to report.
    """

    bundle: Path | None
    precision: str
    attention: str
    left_out: tuple[str, ...]
    in_fp32: tuple[str, ...]
    files: Mapping[str, FileRecord]
    verdict: Verdict
    largest_logit_difference: float
    device: str
    proof: Mapping[str, str]
    advice: str | None
    disclosed: tuple[str, ...] = ()
    disclosure: str = ""

    @property
    def bytes(self) -> int:
        """The bundle's size in bytes, without its manifest."""
        return sum(record.bytes for record in self.files.values())

    @property
    def refusal(self) -> str | None:
        """Why nothing was written, with remedies; None if the bundle was written."""
        return None if self.bundle else f"the bundle failed the accuracy gate; {self.advice}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "bundle": str(self.bundle) if self.bundle else None,
            "precision": self.precision,
            "attention": self.attention,
            "left_out": list(self.left_out),
            "in_fp32": list(self.in_fp32),
            "bytes": self.bytes,
            "files": [{"path": path, "bytes": record.bytes} for path, record in self.files.items()],
            "gate": self.verdict.to_json(),
            "largest_logit_difference": self.largest_logit_difference,
            "device": self.device,
            "proof": dict(self.proof),
            "disclosed": list(self.disclosed),
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """Differences between a bundle and graphs obtained by exporting its checkpoint again.

    All attributes except `constant_error` are None for fp32, and `weight_error` for fp16.

    Attributes:
        constant_error: the largest difference between float constants of bundle and new graphs, relative to the largest
            value of the array.
        weight_error: the largest difference between a quantised weight of the bundle and the checkpoint's weight, in
            quantisation steps.
        rounding: the root mean square difference between outputs (such as logits) of bundle and new graphs, on a
            sample of inputs.
        rounding_limit: the largest value of `rounding` that can be due to rounding on another processor.
    """

    constant_error: float
    weight_error: float | None = None
    rounding: float | None = None
    rounding_limit: float | None = None

    def checks(self) -> list[Check]:
        """Return the checks of these differences. Weights are rounded, so `weight_error` may be half a step."""
        limits = (
            ("weight_error", self.weight_error, _HALF_A_STEP),
            ("constant_error", self.constant_error, _SAME_CONSTANT),
            ("rounding", self.rounding, self.rounding_limit),
        )
        return [
            at_most(name, value, limit)
            for name, value, limit in limits
            if value is not None and limit is not None
        ]


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """All differences that a parity run measured, with their limits.

    Attributes:
        precision: the bundle's precision.
        same_weights: whether the bundle was made from the checkpoint's present weights; None if the bundle's manifest
            records no hash of the weights.
        found: the differences between answers. For generators, each token of torch's answers is predicted after
            torch's preceding tokens, and logits are also compared while the bundle generates step by step with caches.
        metric: the main metric of torch and bundle; None for inputs without labels.
        tolerance: the limits on differences from torch.
        stored: the comparison with graphs obtained by exporting the checkpoint again.
    """

    precision: str
    same_weights: bool | None
    found: Examination
    metric: MetricPair | None
    tolerance: Tolerance
    stored: StoredWeights

    @property
    def examples(self) -> int:
        """The number of inputs that bundle and checkpoint answered."""
        return self.found.comparison.examples

    @property
    def agreement(self) -> float:
        """The share of answers, or of next tokens, that are the same for bundle and checkpoint."""
        return self.found.comparison.agreement

    @property
    def batch_effect(self) -> float:
        """The largest change of a probability between running an input singly and in a batch."""
        return self.found.batch.probability

    @property
    def logit_difference(self) -> float:
        """The largest difference between the bundle's and torch's network outputs, such as logits."""
        return self.found.comparison.output_difference

    @property
    def max_difference(self) -> float:
        """The largest difference from torch: of a logit for fp32, else of a probability."""
        if self.tolerance.exact:
            return self.found.output_difference
        return self.found.comparison.probability_difference

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of all differences that have a limit."""
        checks = examination_checks(self.found, self.tolerance)
        if self.same_weights is not None:
            checks.append(at_least("same_weights", float(self.same_weights), 1.0))
        if self.metric is not None and not self.tolerance.exact:  # exact answers have the same metric
            checks.append(self.metric.check)
        return (*checks, *self.stored.checks())

    @property
    def passed(self) -> bool:
        """Whether every difference that parity measured is within its limit."""
        return all(check.passed for check in self.checks)

    def notes(self) -> list[str]:
        """Return remarks that supplement the checks: the worst input, equal answers, and the effect of batching."""
        lines = []
        if (worst := self.found.worst) is not None:
            distance, given, row = worst.probability_difference, worst.given, worst.row
            lines.append(f"furthest apart, by {distance:.3f}: {given} (example {row + 1})")
        for name, same in self.found.whole_answers.items():
            lines.append(
                f"{name}: {same.same} of {same.answers} answers have the same tokens; {same.ties} differ at a tie"
            )
        if self.found.batch.changed is not None:
            lines.append(
                f"{self.found.comparison.count} tokens compared; {self.found.batch.changed} answers differ between "
                "single and batched"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON. Some keys are only for encoders, others only for generators."""
        found = self.found
        return {
            "passed": self.passed,
            "precision": self.precision,
            "examples": self.examples,
            "agreement": self.agreement,
            "compared": self.found.comparison.compared,
            "max_difference": self.max_difference,
            "batch_effect": self.batch_effect,
            "tolerance": {check.name: check.limit for check in self.checks},
            "checks": [
                {
                    "title": title_of(check, self.found.comparison.compared),
                    "value": float(check.value),
                    "limit": float(check.limit),
                    "minimum": check.minimum,
                    "passed": bool(check.passed),
                }
                for check in self.checks
            ],
            "failed": [check.name for check in self.checks if not check.passed],
            "logit_difference": self.logit_difference,
            "probability_difference": found.comparison.probability_difference,
            "stored": asdict(self.stored),
            "metric": None if self.metric is None else self.metric.to_json(),
            **self._of_encoders(),
            **self._of_generators(),
        }

    def _of_encoders(self) -> dict[str, Any]:
        if self.found.worst is None:
            return {}
        return {"grid": [asdict(one) for one in self.found.grid], "worst": self.found.worst.to_json()}

    def _of_generators(self) -> dict[str, Any]:
        if not self.found.whole_answers:
            return {}
        return {
            "tokens": self.found.comparison.count,
            "ties": self.found.comparison.ties,
            **{name: same.to_json() for name, same in self.found.whole_answers.items()},
            "changed_by_company": self.found.batch.changed,
        }
