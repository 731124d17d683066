"""Climb the ladder: build, prove, score and time every candidate, choose one, and write it as the bundle."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ftool.data.dataset import fingerprint
from ftool.data.load import load_dataset
from ftool.errors import DataError, RecipeError
from ftool.evaluation.baselines import FittedBaseline
from ftool.evaluation.confidence_intervals import estimates, metrics_of
from ftool.export import load_on_split, named_base
from ftool.ladder.candidates import SPLIT, Source, check_judged_alike, further_sources
from ftool.ladder.choice import Costs, rank
from ftool.ladder.frontier import Frontier, ScoredBaseline
from ftool.ladder.frontier_page import write_frontier
from ftool.ladder.memo import remembered
from ftool.ladder.rungs import Reference, Rung, build_rung, interval_settings, stored_estimate, try_4_bits
from ftool.ladder.shrunk import Shape, shrunk_folder
from ftool.ladder.timing import ladder_settings, time_rungs
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import ExportRecipe
from ftool.tasks.base import Task
from ftool.workspace import ModelFolder, write_json
from ftool_export.bundle.writer import check_place, copy_bundle
from ftool_runtime.locks import writing

log = logging.getLogger(__name__)

FRONTIER_FILE: Final = "frontier.json"
PAGE_FILE: Final = "report.html"
_COMMAND: Final = "ftool export --precision auto"  # the writer of the folders, as others are told
_FP32: Final = "fp32"  # the candidate that the others are compared with in speed


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an export writes: the bundle, the work folder beside it, and the model's name in the manifest."""

    bundle: Path
    work: Path
    name: str


def climb_folder(folder: Path, recipe: Recipe) -> Frontier:
    """Choose among the candidates for a model folder's bundle/, and write the chosen one there.

    Candidates are the folder's run/, the checkpoints of `export.candidates` and the smaller models of `export.shrink`,
    each in every precision, and with embeddings in 4 bits too if `try_4_bits` says so. What is finished stays in
    ladder/, and a second call goes on from there.

    Returns:
        The frontier. Its `bundle` is None if no candidate qualifies; an existing bundle is then kept.

    Raises FtoolError if there is no run/, the data or a candidate can't be read, or another process climbs here.
    """
    model = ModelFolder(folder)
    loaded, fitted = load_on_split(model.require_run(), recipe, SPLIT)
    place = Place(bundle=model.bundle, work=model.ladder, name=folder.resolve().name)
    source = Source("", recipe, loaded, fitted, recipe.export.device, recipe.export.layout)
    return _climb(place, source, None, folder)


def climb_checkpoint(
    checkpoint: str,
    bundle: Path,
    row: Task,
    wanted: ExportRecipe,
    data: DataSettings | None,
    *,
    base: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Frontier:
    """Choose among the candidates for the bundle of any Hugging Face checkpoint, as `climb_folder` does for run/.

    The arguments are those of `ftool.export.export_any`. The work folder is `bundle` with ".ladder" behind its name.

    Raises FtoolError as `climb_folder` does, and DataError if `data` is None: nothing could then be scored.
    """
    if data is None:
        raise DataError(
            "--precision auto chooses by the loss of accuracy, and there are no labelled examples to measure it on; "
            "name some with --data, or name one precision"
        )
    if wanted.shrink:
        raise RecipeError(
            "--shrink needs the training data of a model folder; make a smaller checkpoint with `ftool shrink` there, "
            "and name it with --candidate"
        )
    recipe = replace(Recipe(task=row.name, data=data), export=wanted)
    loaded, fitted = load_on_split(checkpoint, recipe, SPLIT, data, facts)
    place = Place(bundle=bundle, work=bundle.with_name(f"{bundle.name}.ladder"), name=bundle.name)
    source = Source("", recipe, named_base(loaded, base), fitted, wanted.device, wanted.layout)
    return _climb(place, source, data, None)


def _climb(place: Place, source: Source, data: DataSettings | None, folder: Path | None) -> Frontier:
    """Climb the ladder of `source`; `folder` is its model folder, with training data, or None."""
    check_place(place.bundle)
    place.work.mkdir(parents=True, exist_ok=True)
    with writing(place.bundle, _COMMAND), writing(place.work, _COMMAND):
        frontier = _measured(place, source, data, folder)
        chosen = frontier.chosen
        if chosen is not None and chosen.rung.bundle is not None:
            copy_bundle(chosen.rung.bundle, place.bundle, evidence={"ladder": frontier.evidence()})
            frontier = replace(frontier, bundle=place.bundle)
        write_json(place.work / FRONTIER_FILE, frontier.to_json())
        write_frontier(frontier)
    return frontier


def _measured(place: Place, source: Source, data: DataSettings | None, folder: Path | None) -> Frontier:
    recipe, wanted = source.recipe, source.recipe.export
    for shape in wanted.shrink:
        Shape.parse(shape)
    for further in further_sources(recipe, wanted.candidates, data):
        check_judged_alike(
            source, further
        )  # before anything is built, so that a wrong one is reported at once
    reference = Reference(source, wanted)
    rungs = _rungs(place, source, reference)
    places: list[str | Path] = [*wanted.candidates]
    if folder is not None:
        places += [shrunk_folder(place.work, folder, source, shape) for shape in wanted.shrink]
    for further in further_sources(recipe, places, data):
        rungs += _rungs(place, further, reference)
    known = {rung.name for rung in rungs if rung.bundle is not None}
    base = _FP32 if _FP32 in known else None
    timings = time_rungs(place.work, rungs, source, base, ladder_settings(recipe.row))
    costs = {
        name: Costs.of(engine, timings["ratios"].get(name)) for name, engine in timings["engines"].items()
    }
    stored = remembered(
        place.work / "reference.json",
        reference.key,
        lambda: {"score": reference.score(reference.statistics).to_json()},
    )
    score = stored_estimate(stored["score"])
    assert score is not None
    examples = len(source.fitted)
    return Frontier(
        subject=place.name,
        metric=reference.metric,
        examples=examples,
        cross_fitted=source.examples.cross_fitted,
        reference=score,
        ranked=rank(rungs, costs, wanted, examples),
        wanted=wanted,
        baselines=_baselines(place, reference) if folder else (),
        timings=timings,
        page=place.work / PAGE_FILE,
        generates=any("tokens_per_s" in engine for engine in timings["engines"].values()),
    )


def _rungs(place: Place, source: Source, reference: Reference) -> list[Rung]:
    """Build the candidates of `source`: every precision, and some of them with embeddings in 4 bits too."""

    def build(precision: str, bits: int) -> Rung:
        folder = place.work / source.candidate(precision, bits)
        rung = build_rung(folder, source, precision, reference, name=place.name, embedding_bits=bits)
        drop = "" if rung.drop is None else f"loses {rung.drop.value:.4f} (at most {rung.drop.high:.4f})"
        log.info("%s: %s", rung.name, rung.refusal or drop)
        return rung

    rungs = [build(precision, 8) for precision in source.precisions]
    smaller = [build(rung.precision, 4) for rung in rungs if try_4_bits(rung, reference.wanted)]
    return [*rungs, *smaller]


def _baselines(place: Place, reference: Reference) -> list[ScoredBaseline]:
    """Train the task's baselines and score them on the validation examples; empty if the task has none."""
    source = reference.source
    fit = source.recipe.row.baselines
    if fit is None:
        return []
    data = load_dataset(source.recipe.row.reader, source.recipe.data, quiet=True)
    key = {**reference.key, "training": data.sha256, "labels": fingerprint([], data.labels)}

    def make() -> Mapping[str, Any]:
        log.info("training the baselines")
        return {"baselines": _scored(fit(data, source.fitted, source.recipe), reference)}

    stored = remembered(place.work / "baselines.json", key, make)["baselines"]
    found = []
    for one in stored:
        score = stored_estimate(one["score"])
        assert score is not None
        found.append(ScoredBaseline(title=one["title"], score=score, trivial=one["trivial"]))
    return found


def _scored(fitted: Sequence[FittedBaseline], reference: Reference) -> list[dict[str, Any]]:
    """Return the baselines with their main metric as plain JSON, without those that don't have it."""
    scored = []
    for one in fitted:
        statistics = one.statistics()
        every = np.arange(len(statistics))
        if reference.metric in metrics_of(statistics, every):
            score = estimates(statistics, every, interval_settings(reference.wanted))[reference.metric]
            scored.append({"title": one.title, "trivial": one.trivial, "score": score.to_json()})
    return scored
