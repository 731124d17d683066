"""The findings at the head of a report, in sentences for readers who know nothing of the field."""

from collections.abc import Iterator

from ftool.bench.report import disturbed
from ftool.bench.scale import number
from ftool.report.figures import count, metric_name, percent, score
from ftool.report.folder_facts import FolderFacts

_ROUNDING = 1e-9  # 0.93 - 0.92 is slightly more than 0.01 in binary


def summary(facts: FolderFacts) -> list[str]:
    """Return what was found, a sentence each; empty if nothing was measured."""
    return [*_right(facts), *_baseline(facts), *_fidelity(facts)]


def notices(facts: FolderFacts) -> list[str]:
    """Return what to know before anybody trusts the figures."""
    return [*_lost(facts), *_busy(facts)]


def _right(facts: FolderFacts) -> Iterator[str]:
    found = facts.best_told
    wrong = found.get("wrong", {}) if found else {}
    if found is None or not wrong.get("right") or not found["examples"]:
        return
    total = found["examples"]
    yield (
        f"{count(total - wrong['total'])} of {count(total)} {found['split']} examples, which the model did not learn "
        f"from, {wrong['right']}."
    )


def _baseline(facts: FolderFacts) -> Iterator[str]:
    """Compare the model with the best of the simple models that were trained on the same data."""
    known = [facts.evaluation("bundle"), facts.evaluation("run")]
    found = next((one for one in known if one and "baselines" in one), None)
    if found is None or (metric := facts.main_metric) is None:
        return
    scored = [one for one in found["baselines"]["models"].values() if one["value"] is not None]
    best = max(scored, key=lambda one: float(one["value"]), default=None)
    if best is not None:
        yield (
            f"For comparison: the best of the simple models, {best['title']}, reaches {metric_name(metric)} "
            f"{score(best['value'])}."
        )


def _fidelity(facts: FolderFacts) -> Iterator[str]:
    found = facts.parity
    if found is None or facts.outdated(found):
        return
    told = found.get("compared", "answers")
    same = (
        f"the same {told} as"
        if found["agreement"] == 1
        else f"{percent(found['agreement'])} of the {told} of"
    )
    yield f"The bundle, which is what ships, gives {same} the trained model."


def _lost(facts: FolderFacts) -> Iterator[str]:
    """Warn of a bundle that lost more than was asked for, which the export allows if it may be chance."""
    gate = facts.manifest.evidence.get("gate", {}) if facts.manifest else {}
    if not gate.get("judged") or gate.get("max_drop") is None:
        return
    drop = gate["reference"] - gate["bundle"]
    if drop > gate["max_drop"] + _ROUNDING:
        yield (
            f"On {count(gate['examples'])} validation examples, the bundle's {metric_name(gate['metric'])} is "
            f"{score(gate['bundle'])} and the trained model's {score(gate['reference'])}: a loss of {drop:.4f}, more "
            f"than the {gate['max_drop']:g} that was asked for. On so few examples this may be chance; more validation "
            "examples would tell, and a precision closer to fp32 loses less."
        )


def _busy(facts: FolderFacts) -> Iterator[str]:
    if facts.bench is not None and disturbed(facts.bench):
        milliseconds = number(facts.bench["engines"][facts.bench["subject"]]["latency_ms"]["p50"])
        yield (
            f"Other programs were running while the bundle was timed, so {milliseconds} ms is likely too long, and how "
            "many times faster it is than PyTorch is not known. Time it again on a quiet machine."
        )
