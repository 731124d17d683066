"""Run all steps on data that ships with ftool: train, export, parity, bench, report, and three predictions."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ftool_runtime
from ftool.bench.html_report import write_html
from ftool.bench.measure import settings_for
from ftool.bench.report import BenchReport, table
from ftool.bench.run import TORCH, Placement, bench, engines_of, texts_to_time
from ftool.evaluation.evaluate import evaluate
from ftool.evaluation.records import keep_evaluation, model_hash
from ftool.evaluation.results import METRIC_NAMES, Evaluation, TrainReport
from ftool.export import check_parity, export_folder
from ftool.recipe.recipe import Recipe
from ftool.recipe.shipped import copy_shipped
from ftool.report.write import write_report
from ftool.train_model import train
from ftool.workspace import ModelFolder, write_json
from ftool_export.report import ExportReport, ParityReport

logger = logging.getLogger(__name__)

TEXTS = {
    "intents": ("set a timer for ten mins", "dim the scren a bit", "you are funny, you know"),
    "dates": ("the 3rd of March, 2021", "Tues 5 Jan '10", "二〇三六年十月十七日"),
}
_MOST_TIMED = 60  # texts per round
_QUALITY = ("accuracy", "f1_macro", "exact_match")  # a task has some of them


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """The results of all steps.

    If the accuracy gate refused the bundle, `export.bundle` is None and no later step was run.
    """

    trained: TrainReport
    export: ExportReport
    parity: ParityReport | None = None
    bundle: tuple[Evaluation, ...] = ()  # on the test split, and on further ones if the data has them
    bench: BenchReport | None = None
    report: Path | None = None  # the page that `ftool report` writes
    predictions: tuple[tuple[str, dict[str, Any]], ...] = ()  # texts and their JSON from `ftool predict`

    @property
    def passed(self) -> bool:
        """Whether the accuracy gate and parity passed."""
        return self.export.verdict.passed and self.parity is not None and self.parity.passed

    def to_json(self) -> dict[str, Any]:
        """Return the results as plain JSON: for each step, what the step's command prints with --json."""
        return {
            "passed": self.passed,
            "train": self.trained.to_json(),
            "export": self.export.to_json(),
            "parity": self.parity.to_json() if self.parity else None,
            "evaluate": [evaluation.to_json() for evaluation in self.bundle],
            "bench": self.bench.to_json() if self.bench else None,
            "report": str(self.report) if self.report else None,
            "predictions": [answer for _, answer in self.predictions],
        }


def demo(folder: Path, name: str) -> DemoReport:
    """Run all steps in a model folder with the shipped recipe `name`, or with the recipe that the folder already has.

    Raises FtoolError if a step fails.
    """
    model = ModelFolder(folder)
    if not model.recipe.exists():
        logger.info("$ ftool new %s --from %s", folder, name)
        copy_shipped(name, model.recipe)
    recipe = Recipe.read(model.recipe)
    logger.info("$ ftool train %s", folder)
    trained = train(recipe, folder)
    logger.info("$ ftool export %s", folder)
    export = export_folder(folder, recipe)
    if export.bundle is None:
        return DemoReport(trained=trained, export=export)
    logger.info("$ ftool parity %s", folder)
    parity = check_parity(folder, recipe)
    of = {"of": model_hash(model, "bundle")}
    evaluations = tuple(evaluate(folder, on="bundle", split=split) for split in ("test", *trained.further))
    for evaluation in evaluations:
        keep_evaluation(model, evaluation)
    logger.info("$ ftool bench %s", folder)
    timed = _bench(model, recipe)
    write_json(model.reports / "bench.json", timed.to_json() | of)
    write_html(timed, model.reports / "bench.html")
    logger.info("$ ftool report %s", folder)
    page = write_report(folder)
    logger.info('$ ftool predict %s "%s" …', folder, TEXTS[name][0])
    return DemoReport(
        trained=trained,
        export=export,
        parity=parity,
        bundle=evaluations,
        bench=timed,
        report=page,
        predictions=tuple(predict(model.bundle, TEXTS[name])),
    )


def _bench(model: ModelFolder, recipe: Recipe) -> BenchReport:
    texts = texts_to_time(recipe, "test", model.bundle)
    usual = settings_for(recipe.row)
    settings = replace(
        usual,
        rounds=3,
        texts_per_round=min(usual.texts_per_round, _MOST_TIMED),
        throughput_rounds=1,
        cold_starts=2,
    )
    return bench(
        engines_of(model.require_bundle(), model.require_run(), [TORCH], Placement()),
        texts,
        settings,
        task=recipe.task,
        split="test",
    )


def predict(bundle: Path, texts: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return each text with the JSON object that `ftool predict` prints for the text."""
    with ftool_runtime.load(bundle) as model:
        return [(text, answer.to_json(text)) for text, answer in zip(texts, model(list(texts)), strict=True)]


def summary(report: DemoReport) -> list[list[str]]:
    """Return the rows of a table that compares the bundle with PyTorch in quality and speed."""
    assert report.parity is not None
    assert report.bench is not None
    head, *speed = table(report.bench.to_json())
    in_torch = {"test": report.trained.test, **report.trained.further}
    quality = [row for after in report.bundle for row in _quality(after, in_torch[after.split])]
    same = f"same {report.parity.found.comparison.compared} as PyTorch"
    return [head, *quality, [same, percent(report.parity.agreement), ""], *speed]


def _quality(bundle: Evaluation, torch: Evaluation) -> list[list[str]]:
    split = bundle.split.replace("_", " ")
    kind = f"texts in {split}" if split.endswith("forms") else f"{split} texts"
    return [
        [
            f"{METRIC_NAMES[name]} on {bundle.examples} {kind}",
            percent(bundle.metrics[name]),
            percent(torch.metrics[name]),
        ]
        for name in _QUALITY
        if name in bundle.metrics
    ]


def answer_text(answer: dict[str, Any]) -> str:
    """Return an answer, in the JSON form that `ftool predict` prints, as a short text to read."""
    return f"{answer['label']} ({percent(answer['score'])})" if "label" in answer else str(answer["answer"])


def percent(share: float) -> str:
    """Return a share, from 0 to 1, as text with a percent sign."""
    return f"{share:.1%}"
