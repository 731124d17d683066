"""`ftool report`: everything known of a model on one page, from what its folder holds."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from jinja2 import TemplateError

from ftool.errors import ModelFolderError
from ftool.report.folder_facts import FolderFacts
from ftool.report.html_page import Page, Section, write_page
from ftool.report.sections.about import about, lead, tiles
from ftool.report.sections.circumstances import circumstances
from ftool.report.sections.fidelity import fidelity
from ftool.report.sections.findings import notices, summary
from ftool.report.sections.groups import groups
from ftool.report.sections.ladder_picture import ladder_picture
from ftool.report.sections.not_measured import not_measured
from ftool.report.sections.per_label import per_label
from ftool.report.sections.quality import quality
from ftool.report.sections.reliability import reliability
from ftool.report.sections.speed import speed, titled
from ftool.report.sections.wrong_answers import wrong_answers
from ftool.workspace import METRICS_FILE, ModelFolder, wrong_form
from ftool_runtime.bundle.paths import MANIFEST_FILE

# What is raised where a report's JSON lacks a value, or has one of another type.
_WRONG_FORM: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError)
REPORT_FILE: Final = "report.html"  # in reports/


def write_report(folder: Path, file: Path | None = None, *, texts: bool = True) -> Path:
    """Write the report of a model folder or of a bundle to an HTML file, and return the file's path.

    Nothing is measured and no model is opened. A part that is missing is named, with the command that makes it.

    Args:
        folder: a model folder or a bundle.
        file: the file to write; None for reports/report.html of the model folder.
        texts: whether the report shows texts of the data, such as mistakes to read.

    Raises:
        ModelFolderError: `folder` is neither, one of its files is damaged, or `file` is None for a bundle on its own.
        OSError: the file can't be written.
    """
    facts = FolderFacts.read(folder)
    if file is None:
        if facts.model is None:
            raise ModelFolderError(
                f"{folder} is a bundle on its own; name the file to write with -o FILE.html"
            )
        file = facts.model.reports / REPORT_FILE
    try:
        page = report_page(facts, texts=texts)
    except _WRONG_FORM as error:
        raise wrong_form(_file_of_wrong_form(facts, texts=texts), error) from error
    write_page(page, file)
    return file


def _file_of_wrong_form(facts: FolderFacts, *, texts: bool) -> Path:
    """Return the file without which a page can be made, after none could be made; or the folder if it is none alone."""
    model = ModelFolder(facts.given) if facts.model is None else facts.model
    without: Mapping[Path, Mapping[str, Any]] = {
        model.reports / "bench.json": {"bench": None},
        model.reports / "parity.json": {"parity": None},
        model.ladder / "frontier.json": {"frontier": None},
        model.run / METRICS_FILE: {"training": {}},
        model.evaluations: {"evaluations": ()},
        model.bundle / MANIFEST_FILE: {"manifest": None},
    }
    for file, left_out in without.items():
        try:
            report_page(replace(facts, **left_out), texts=texts)
        except _WRONG_FORM:
            continue
        return file
    return model.path


def report_page(facts: FolderFacts, *, texts: bool = True) -> Page:
    """Return the page on a model; `texts` says whether it shows texts of the data."""
    sections = (
        about(facts, texts=texts),
        quality(facts),
        per_label(facts),
        wrong_answers(facts, texts=texts),
        reliability(facts),
        groups(facts),
        fidelity(facts, texts=texts),
        _speed(facts),
        _ladder(facts),
        not_measured(facts),
        _circumstances(facts),
    )
    return Page(
        kind="Model report",
        title=facts.name,
        lead=lead(facts),
        summary=summary(facts),
        notices=notices(facts),
        tiles=tiles(facts),
        sections=[one for one in sections if one is not None],
    )


def _speed(facts: FolderFacts) -> Section | None:
    if facts.manifest is None or facts.bench is None:
        return None
    command = facts.command("bench")
    notice = (
        f"These times are of an earlier bundle; time it again: {command}"
        if facts.outdated(facts.bench)
        else ""
    )
    return speed(facts.bench, notice=notice)


def _ladder(facts: FolderFacts) -> Section | None:
    if facts.model is None or not facts.training or facts.frontier is None:
        return None
    return ladder_picture(facts.frontier)


def _circumstances(facts: FolderFacts) -> Section:
    timed: Mapping[str, Any] | None = facts.bench
    training = facts.training.get("training", {}).get("versions", {})
    exported = facts.manifest.versions if facts.manifest else {}
    return circumstances(
        timed["machine"] if timed else facts.frontier["timings"]["machine"] if facts.frontier else None,
        {"training": training, "export": exported},
        titled(timed)["engines"] if timed else {},
    )
