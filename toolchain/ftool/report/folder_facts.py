"""Everything that a model folder, or a bundle on its own, holds for a report; no model is opened."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, Self

from ftool.errors import ModelFolderError
from ftool.evaluation.records import model_hash, read_evaluations
from ftool.evaluation.results import METRIC_NAMES
from ftool.recipe.recipe import Recipe
from ftool.tasks.base import Task
from ftool.tasks.registry import find_task
from ftool.workspace import ModelFolder, read_json, read_metrics
from ftool_runtime.bundle.manifest import Manifest

Found = Mapping[str, Any]  # JSON
On = Literal["run", "bundle"]
TEST: Final = "test"


@dataclass(frozen=True, kw_only=True)
class FolderFacts:
    """What was found. Of everything that a command writes, None or an empty value says that it has not been run.

    Attributes:
        given: the folder that the report is about: a model folder or a bundle.
        model: the model folder; None for a bundle on its own.
        task: the row of the model's task.
        recipe: the model folder's recipe.
        manifest: the bundle's manifest.
        training: metrics.json of run/.
        evaluations: what `ftool evaluate` and `ftool train` measured, as in `ftool.evaluation.records`.
        parity: the last report of `ftool parity`.
        bench: the last report of `ftool bench`.
        frontier: the last report of `ftool export --precision auto`.
    """

    given: Path
    model: ModelFolder | None
    task: Task
    recipe: Recipe | None
    manifest: Manifest | None
    training: Found = field(default_factory=dict)
    evaluations: Sequence[Found] = ()
    parity: Found | None = None
    bench: Found | None = None
    frontier: Found | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what the model folder or bundle `folder` holds.

        Raises ModelFolderError if it is neither, or if one of its reports is not JSON; RecipeError and BundleError if
        its recipe or its bundle's manifest can't be read.
        """
        model = ModelFolder.around(folder)
        bundle = folder if model is None else model.bundle
        manifest = Manifest.read(bundle) if bundle.is_dir() else None
        recipe = Recipe.read(model.recipe) if model is not None and model.recipe.is_file() else None
        described = manifest or recipe
        if described is None:
            raise ModelFolderError(
                f"{folder} is neither a model folder nor a bundle: it has neither recipe.toml nor ftool.json; "
                "`ftool new` starts a model folder"
            )
        known: dict[str, Any] = {}
        if model is not None:
            known = {
                "training": read_metrics(model.run),
                "evaluations": read_evaluations(model),
                "parity": read_json(model.reports / "parity.json"),
                "bench": read_json(model.reports / "bench.json"),
                "frontier": read_json(model.ladder / "frontier.json"),
            }
        return cls(
            given=folder,
            model=model,
            task=find_task(described.task),
            recipe=recipe,
            manifest=manifest,
            **known,
        )

    @property
    def name(self) -> str:
        """The name of the model folder; of a bundle on its own, the name in its manifest."""
        if self.model is None and self.manifest is not None:
            return self.manifest.name
        return (self.given if self.model is None else self.model.path).resolve().name

    def command(self, name: str, *further: str) -> str:
        """Return a command on this folder for the user to copy."""
        return shlex.join(("ftool", name, str(self.given), *further))

    def evaluation(self, on: On, split: str = TEST) -> Found | None:
        """Return the evaluation of run/ or bundle/ on a split of the recipe's own data; None if there is none.

        What training measured stands in for the evaluation of run/ on the test split.
        """
        found = [one for one in self._own if (one["on"], one["split"]) == (on, split)]
        if not found and on == "run" and split == TEST and "metrics" in self.training:
            return self.training
        return found[0] if found else None

    @property
    def best_told(self) -> Found | None:
        """The test evaluation to show in detail: the bundle's, as it is what ships; else run/'s."""
        return self.evaluation("bundle") or self.evaluation("run")

    def shown_on(self, found: Found) -> str:
        """Return what an evaluation measured, for people: "bundle, int8" or "PyTorch"."""
        if found["on"] == "run":
            return "PyTorch"
        return f"bundle, {self.manifest.precision.name}" if self.manifest else "bundle"

    @property
    def main_metric(self) -> str | None:
        """The name of the main metric; None if nothing was measured."""
        known = self.best_told
        if known is None:
            return None
        if "baselines" in known:
            return str(known["baselines"]["metric"])
        chosen = self.training.get("recipe", {}).get("train", {}).get("metric")
        if chosen in known["metrics"]:
            return str(chosen)
        return next((name for name in METRIC_NAMES if name in known["metrics"]), None)

    def outdated(self, found: Found) -> bool:
        """Return whether an evaluation, parity or bench report is about an earlier run/ or bundle/."""
        if self.model is None or found.get("of") is None:
            return False
        return bool(found["of"] != self._hashes[found.get("on", "bundle")])

    @property
    def suites(self) -> Sequence[Found]:
        """The evaluations on bias benchmarks."""
        return [one for one in self.evaluations if one["split"] in self.task.suites]

    @property
    def further(self) -> Sequence[Found]:
        """The evaluations on other splits than test, and on other data than the recipe's."""
        others = [one for one in self.evaluations if one not in self.suites]
        return [one for one in others if one.get("data") or one["split"] != TEST]

    @property
    def _own(self) -> list[Found]:
        return [one for one in self.evaluations if not one.get("data")]

    @cached_property
    def _hashes(self) -> dict[str, str | None]:
        assert self.model is not None
        return {on: model_hash(self.model, on) for on in ("run", "bundle")}
