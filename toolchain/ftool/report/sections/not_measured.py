"""What a report lacks, with the commands that would measure it."""

from collections.abc import Iterator

from ftool.evaluation.bias.fitting import fitting_suites
from ftool.report.folder_facts import FolderFacts
from ftool.report.html_page import Section, fill


def not_measured(facts: FolderFacts) -> Section | None:
    """Return the section; None if nothing is missing, or if the model has not been measured at all."""
    missing = list(_missing(facts))
    if not missing:
        return None
    return Section(anchor="missing", title="Not measured", body=fill("not_measured", missing=missing))


def _missing(facts: FolderFacts) -> Iterator[tuple[str, str]]:
    if facts.manifest is not None and facts.parity is None:
        yield (
            "whether the bundle gives the trained model's answers on the test split",
            facts.command("parity"),
        )
    if facts.manifest is not None and facts.bench is None:
        yield "how fast the bundle is, and how much memory it takes", facts.command("bench")
    if facts.model is None or facts.best_told is None:
        return
    if facts.frontier is None and facts.training:
        yield (
            "which precision is fastest without losing quality",
            facts.command("export", "--precision", "auto"),
        )
    if not any(one.get("slices") for one in facts.evaluations if one not in facts.suites):
        yield (
            "for whom the model works less well: by a column of the data, such as a dialect or a product",
            facts.command("evaluate", "--by", "COLUMN"),
        )
    run = {one["split"] for one in facts.suites}
    labels = facts.manifest.labels if facts.manifest else ()
    for suite in fitting_suites(facts.task, labels):
        if suite not in run:
            yield f"the bias benchmark {suite}", facts.command("evaluate", "--suite", suite)
