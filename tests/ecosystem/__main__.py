"""Run bundles in other libraries, compare their answers with ftool_runtime's, and write docs/ecosystem.md's table.

    python -m tests.ecosystem [--work FOLDER] [--environments FOLDER] [--consumers NAME ...] [--bundles NAME ...]

Every library runs in an environment of its own, of the packages in benchmarks/environments; the first run sets the
environments up and makes the bundles, which takes about half an hour on two cores. The table is written only if all
rows were run. Exit status 1 means that a library answered otherwise than ftool_runtime.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.commands import REPOSITORY
from benchmarks.environments import PLACE, environment, node_environment

import ftool_runtime as ft
from tests.ecosystem.bundles import bundle
from tests.ecosystem.cases import CONSUMERS, Case, cases, difference

HERE: Final = Path(__file__).resolve().parent
PAGE: Final = REPOSITORY / "docs" / "ecosystem.md"
BEGIN, END = "<!-- table: written by `make test-ecosystem` -->", "<!-- end of table -->"
TASKS: Final = {
    "text-classification": "{count} texts, {together}",
    "token-classification": "{count} texts, {together}",
    "question-answering": "{count} questions, {together}",
    "feature-extraction": "{count} texts, {together}",
    "text-generation": "greedy tokens of {count} prompts, {together}",
    "translation": "greedy tokens of {count} texts, {together}",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The result of a case: the versions of the library and of what it runs on, and the largest difference."""

    case: Case
    versions: dict[str, str]
    precision: str
    difference: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.case.precise


def main() -> None:
    """Run the chosen cases, print each, and write the table if all were chosen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("models/ecosystem"))
    parser.add_argument("--environments", type=Path, default=PLACE)
    parser.add_argument("--consumers", nargs="+", choices=CONSUMERS, default=list(CONSUMERS))
    parser.add_argument("--bundles", nargs="+", metavar="NAME")
    options = parser.parse_args()
    every = cases()
    chosen = [
        case
        for case in every
        if case.consumer in options.consumers and (options.bundles is None or case.bundle in options.bundles)
    ]
    found = []
    for case in chosen:
        result = run(case, bundle(case.bundle, options.work), options.environments)
        found.append(result)
        print(f"{case.consumer}, {case.bundle}: {shown(result)} {result.versions}", flush=True)
    if len(chosen) == len(every):
        write_table(found)
    failed = [result for result in found if not result.passed]
    sys.exit(f"{len(failed)} of {len(found)} differ from ftool_runtime" if failed else 0)


def run(case: Case, folder: Path, environments: Path) -> Found:
    """Let the case's library and ftool_runtime answer, and compare their answers."""
    with tempfile.TemporaryDirectory() as place:
        spec, answers = Path(place) / "spec.json", Path(place) / "answers.json"
        given = {"bundle": str(folder), "task": case.task, "inputs": list(case.inputs), "batch": case.batch}
        spec.write_text(json.dumps(given), encoding="utf-8")
        command = [*command_of(case, environments), str(spec), str(answers)]
        if code := subprocess.run(command, check=False).returncode:
            sys.exit(f"{case.consumer} failed on {case.bundle} with exit status {code}: {' '.join(command)}")
        result = json.loads(answers.read_text(encoding="utf-8"))
    with ft.load(folder) as model:
        expected = case.expected(model)
    return Found(
        case=case,
        versions=result["versions"],
        precision=ft.Manifest.read(folder).precision.name,
        difference=difference(case.task, result["answers"], expected),
    )


def command_of(case: Case, environments: Path) -> Sequence[str]:
    """Return the command that runs a case's library, without the files of inputs and answers."""
    consumer = CONSUMERS[case.consumer]
    if consumer.module is not None:
        python = environment(consumer.environment, environments)
        return [str(python), str(HERE / "consumer.py"), consumer.module]
    script = "in_chromium.mjs" if consumer.browser else "in_node.mjs"
    return ["node", str(HERE / "consumers" / script), str(node_environment(environments))]


def shown(result: Found) -> str:
    """Return a difference for a reader."""
    if result.difference == 0:
        return "the same"
    return f"{result.difference:.0e}" if result.difference < float("inf") else "**other answers**"


def write_table(found: Sequence[Found]) -> None:
    """Write the table between its two marks in docs/ecosystem.md."""
    lines = [
        "| library | versions | bundle | what ran | largest difference |",
        "|---|---|---|---|---|",
        *(row(result) for result in found),
    ]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(lines)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
    print(f"wrote {PAGE.relative_to(REPOSITORY)}")


def row(result: Found) -> str:
    """Return a line of the table."""
    case = result.case
    together = "one at a time" if case.batch == 1 else f"up to {case.batch} at once"
    what = TASKS[case.task].format(count=len(case.inputs), together=together)
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    title = CONSUMERS[case.consumer].title
    return f"| {title} | {versions} | {case.bundle}, {result.precision} | {case.task}: {what} | {shown(result)} |"


if __name__ == "__main__":
    main()
