"""The whole way on data that ships with ftool: train, export, parity, bench, and three answers."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftool_runtime
from ftool import training
from ftool.bench.html import write_html
from ftool.bench.measure import BenchSettings
from ftool.bench.report import BenchReport, table
from ftool.bench.run import TORCH, Placement, bench, engines_of, write_json
from ftool.data import load_dataset
from ftool.evaluation import evaluate
from ftool.exporting import check_parity, export_folder
from ftool.model_folder import ModelFolder
from ftool.recipe import Recipe
from ftool.recipe.shipped import copy_shipped
from ftool.results import Evaluation
from ftool_export.parity_report import ParityReport
from ftool_export.report import ExportReport
from ftool_runtime import Classification

logger = logging.getLogger(__name__)

RECIPE = "intents"
SETTINGS = BenchSettings(rounds=3, texts_per_round=60, throughput_rounds=1, cold_starts=2)
TEXTS = (
    "set a timer for ten mins",
    "dim the scren a bit",
    "you are funny, you know",
)


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """What the demo found; `export.bundle` is None where the gate said no, and what follows is then missing."""

    trained: training.TrainReport
    export: ExportReport
    parity: ParityReport | None = None
    bundle: Evaluation | None = None
    bench: BenchReport | None = None
    predictions: tuple[tuple[str, Classification], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate said yes."""
        return self.export.verdict.passed and self.parity is not None and self.parity.passed

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: what each step's own command prints with --json."""
        return {
            "passed": self.passed,
            "train": self.trained.to_json(),
            "export": self.export.to_json(),
            "parity": self.parity.to_json() if self.parity else None,
            "evaluate": self.bundle.to_json() if self.bundle else None,
            "bench": self.bench.to_json() if self.bench else None,
            "predictions": [answer.to_json(text) for text, answer in self.predictions],
        }


def demo(folder: Path) -> DemoReport:
    """Go the whole way in a model folder; a recipe that is there is kept.

    Raises FtoolError where a step fails.
    """
    model = ModelFolder(folder)
    if not model.recipe.exists():
        logger.info("$ ftool new %s --from %s", folder, RECIPE)
        copy_shipped(RECIPE, model.recipe)
    recipe = Recipe.read(model.recipe)
    logger.info("$ ftool train %s", folder)
    trained = training.train(recipe, folder)
    logger.info("$ ftool export %s", folder)
    export = export_folder(folder, recipe)
    if export.bundle is None:
        return DemoReport(trained=trained, export=export)
    logger.info("$ ftool parity %s", folder)
    parity = check_parity(folder, recipe)
    write_json(parity.to_json(), model.reports / "parity.json")
    evaluation = evaluate(folder, on="bundle")
    logger.info("$ ftool bench %s", folder)
    timed = _bench(model, recipe)
    logger.info('$ ftool predict %s "%s" …', folder, TEXTS[0])
    return DemoReport(
        trained=trained,
        export=export,
        parity=parity,
        bundle=evaluation,
        bench=timed,
        predictions=tuple(predict(model.bundle, TEXTS)),
    )


def _bench(model: ModelFolder, recipe: Recipe) -> BenchReport:
    texts = load_dataset(recipe.data, recipe.task).test.texts
    report = bench(engines_of(model, [TORCH], Placement()), texts, SETTINGS, task=recipe.task, split="test")
    write_json(report.to_json(), model.reports / "bench.json")
    write_html(report, model.reports / "report.html")
    return report


def predict(bundle: Path, texts: Sequence[str]) -> list[tuple[str, Classification]]:
    """Texts and what the bundle says of them."""
    with ftool_runtime.load(bundle) as model:
        return list(zip(texts, model(list(texts)), strict=True))


def summary(report: DemoReport) -> list[list[str]]:
    """The demo's table: how good and how fast the bundle is, and PyTorch beside it."""
    assert report.parity is not None
    assert report.bundle is not None
    assert report.bench is not None
    head, *speed = table(report.bench.to_json())
    before, after = report.trained.test.metrics, report.bundle.metrics
    quality = [
        [
            f"accuracy on {report.bundle.examples} test texts",
            percent(after["accuracy"]),
            percent(before["accuracy"]),
        ],
        ["F1, macro", percent(after["f1_macro"]), percent(before["f1_macro"])],
        ["same answers as PyTorch", percent(report.parity.agreement), ""],
    ]
    return [head, *quality, *speed]


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{share:.1%}"
