"""Whether the bundle gives PyTorch's answers: agreement, largest differences, and the effect of batches."""

from collections.abc import Mapping
from typing import Any

from ftool.report.figures import capital, metric_name, percent, plural, score
from ftool.report.folder_facts import FolderFacts
from ftool.report.html_page import Section, fill, html_table
from ftool.report.sections.quality import gate_sentence


def fidelity(facts: FolderFacts, *, texts: bool = True) -> Section | None:
    """Return the section; None if the bundle was not compared. `texts` says whether texts of the data are shown."""
    found, gate = facts.parity, gate_sentence(facts)
    if facts.manifest is None or (found is None and not gate):
        return None
    body = fill(
        "fidelity",
        found=found,
        checks=html_table(_checks(found)) if found and "checks" in found else "",
        summary=_summary(found) if found else "",
        worst=_worst(found) if found and texts else "",
        metric=_metric(found) if found else "",
        grid=html_table(_grid(found)) if found and found.get("grid") else "",
        gate=gate,
        outdated=found is not None and facts.outdated(found),
        command=facts.command("parity"),
    )
    return Section(anchor="parity", title="Same answers as PyTorch", body=body)


def _summary(found: Mapping[str, Any]) -> str:
    effect = found["batch_effect"]
    batches = (
        "a batch changes no answer at all"
        if effect == 0
        else f"a batch moves a probability by at most {effect:.2g}"
    )
    same = f"{percent(found['agreement'])} of the {found.get('compared', 'answers')}"
    return (
        f"{same} on {plural(found['examples'], 'test example')} are PyTorch's; a probability differs by at most "
        f"{found['probability_difference']:.3g}; {batches}."
    )


def _checks(found: Mapping[str, Any]) -> list[list[str]]:
    rows = [["", "found", "allowed", ""]]
    for one in found["checks"]:
        verdict = "ok" if one["passed"] else "FAILED"
        allowed = f"at {'least' if one['minimum'] else 'most'} {one['limit']:.4g}"
        rows.append([one["title"], f"{one['value']:.4g}", allowed, verdict])
    return rows


def _worst(found: Mapping[str, Any]) -> str:
    worst = found.get("worst")
    if worst is None:
        return ""
    distance = worst["probability_difference"]
    return f"Furthest apart, by {distance:.3f}: {worst['input']} (example {worst['row'] + 1})."


def _metric(found: Mapping[str, Any]) -> str:
    pair = found.get("metric")
    if pair is None:
        return ""
    how = ", cross-fitted" if pair.get("cross_fitted") else ""
    torch, bundle = score(pair["reference"]), score(pair["bundle"])
    return f"{capital(metric_name(pair['name']))} on test{how}: {torch} in PyTorch, {bundle} in the bundle."


def _grid(found: Mapping[str, Any]) -> list[list[str]]:
    return [
        ["inputs", "largest difference"],
        *([one["shape"], f"{one['logit_difference']:.3g}"] for one in found["grid"]),
    ]
