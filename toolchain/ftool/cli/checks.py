"""The table of a comparison's checks, as `ftool parity` and `ftool check` print it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ftool.terminal import format_table

if TYPE_CHECKING:
    from ftool_export.gate import Check, MetricPair


def checks_table(title: str, compared: str, checks: "Iterable[Check]") -> str:
    """Return a table of checks, one a line. `compared` says what the check of agreement counts, such as "answers"."""
    from ftool_export.gate import title_of

    rows = [[title, "found", "allowed", ""]]
    rows += [
        [title_of(check, compared), f"{check.value:.4g}", _allowed(check), "ok" if check.passed else "FAILED"]
        for check in checks
    ]
    return format_table(rows)


def _allowed(check: "Check") -> str:
    return f"at {'least' if check.minimum else 'most'} {check.limit:.4g}"


def metric_lines(pair: "MetricPair", model: str, examples: int, *, exact: bool) -> list[str]:
    """Return lines with the main metric of torch and of `model`, and the loss that is allowed unless it is `exact`."""
    how = " (cross-fitted)" if pair.cross_fitted else ""
    lines = [f"{pair.metric}{how}: {pair.reference:.4f} in torch, {pair.bundle:.4f} in the {model}"]
    if not exact:
        lines.append(
            f"allowed loss: {pair.max_drop:g}, plus {pair.allowance:.2g}, one standard error of a difference over "
            f"{examples} examples"
        )
    return lines
