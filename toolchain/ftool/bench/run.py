"""Benchmark a bundle: compare its speed with PyTorch or with other bundles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftool.bench.engines import Engine
from ftool.bench.lengths import check_lengths, exact_texts
from ftool.bench.measure import BenchSettings, measure
from ftool.bench.report import BenchReport
from ftool.bench.worker import Text
from ftool.data.load import load_dataset
from ftool.errors import BenchError
from ftool.machine import describe_machine
from ftool.recipe.recipe import Recipe
from ftool_runtime.bundle.golden import Golden
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.session.threads import resolve_threads

BUNDLE, TORCH = "bundle", "torch"  # kinds of engines
RUN_FILES = ("*.safetensors", "*.json", "*/*.safetensors", "*/config.json", "vocab.txt")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The number of threads, the device and the runtime's profile with which engines run."""

    threads: int | None = None  # None: the number of physical cores that the process may use
    device: str = "cpu"
    profile: str = "desktop"


def bundle_engine(folder: Path, placement: Placement, taken: Sequence[str] = ()) -> Engine:
    """Return a bundle as an engine, which is named after the bundle's precision, such as ftool-int8.

    If this name is in `taken`, the engine is named after the bundle's parent folder, folder and precision instead, such
    as intents/bundle-int8.
    """
    manifest = Manifest.read(folder)
    name, title = f"ftool-{manifest.precision.name}", f"{manifest.name}, {manifest.precision.name}"
    if name in taken:
        name = title = f"{folder.resolve().parent.name}/{folder.name}-{manifest.precision.name}"
    return Engine(
        name=name,
        kind=BUNDLE,
        folder=folder,
        files=tuple(folder / path for path in manifest.files),
        threads=resolve_threads(placement.threads),
        device=placement.device,
        profile=placement.profile,
        title=title,
        task=manifest.task,
    )


def torch_engine(run: Path, placement: Placement, task: str) -> Engine:
    """Return the checkpoint in the folder `run` as an engine that runs in PyTorch, always in fp32 and on the CPU.

    `placement` sets only the number of threads.
    """
    files = tuple(file for pattern in RUN_FILES for file in sorted(run.glob(pattern)))
    return Engine(
        name="torch-fp32",
        kind=TORCH,
        folder=run,
        files=files,
        threads=resolve_threads(placement.threads),
        title="PyTorch, fp32",
        task=task,
    )


def engines_of(
    bundle: Path, checkpoint: Path | None, against: Sequence[str], placement: Placement
) -> list[Engine]:
    """Return the engines to time: the bundle in the folder `bundle`, then those that `against` names.

    An item of `against` is "torch", for the bundle's `checkpoint` in PyTorch, or the path of another bundle.

    Raises BenchError if "torch" is named without a checkpoint, and if the same engine is given twice.
    """
    engines = [bundle_engine(bundle, placement)]
    for other in against:
        if other == TORCH:
            if checkpoint is None:
                raise BenchError(
                    f"{bundle} is a bundle without a run/ beside it, so there is no model for torch to run; name its "
                    "checkpoint with --checkpoint, or give --against none"
                )
            engines.append(torch_engine(checkpoint, placement, engines[0].task))
        else:
            engines.append(bundle_engine(Path(other), placement, [engine.name for engine in engines]))
    names = [engine.name for engine in engines]
    if len(set(names)) < len(names):
        raise BenchError(f"the same engine is given twice: {', '.join(names)}; give it once")
    return engines


def texts_to_time(recipe: Recipe, split: str, bundle: Path) -> list[Text]:
    """Return the texts on which engines are timed: the inputs of a split of the recipe's data.

    Raises DataError or BundleError if the data or the bundle can't be read.
    """
    return [*recipe.row.timed(load_dataset(recipe.row.reader, recipe.data, quiet=True).split(split), bundle)]


def golden_texts(bundle: Path) -> list[Text]:
    """Return the inputs of a bundle's golden answers, to time a bundle without data.

    Raises BundleError if the bundle can't be read, and BenchError if its golden inputs are token ids.
    """
    texts: list[Text] = list(Golden.read(bundle).inputs)
    if not all(isinstance(text, str | dict) for text in texts):
        raise BenchError(f"{bundle}: its golden inputs are token ids, not texts; name texts with --data")
    return texts


def bench(
    engines: Sequence[Engine],
    texts: Sequence[Text],
    settings: BenchSettings,
    *,
    task: str,
    split: str,
) -> BenchReport:
    """Time the engines on the texts, and return a report that compares the first engine with each of the others.

    Raises BenchError if an engine can't be started, if there are no texts, or if no text can have one of
    `settings.lengths` for every bundle.
    """
    if not texts:
        raise BenchError("there are no texts to time the bundle on; choose a split that has some")
    timings, contention = measure(engines, texts, settings, _exact(engines, texts, settings))
    return BenchReport(
        subject=engines[0].name,
        timings=timings,
        contention=contention,
        machine=describe_machine(),
        settings=settings,
        task=task,
        split=split,
        examples=len(texts),
    )


def _exact(
    engines: Sequence[Engine], texts: Sequence[Text], settings: BenchSettings
) -> dict[int, list[Text]]:
    """Return texts of each of `settings.lengths`, counted by the first engine, which is a bundle."""
    if not settings.lengths:
        return {}
    for engine in engines:
        if engine.kind == BUNDLE:
            check_lengths(engine.folder, settings.lengths)
    return exact_texts(engines[0].folder, texts, settings.lengths, settings.texts_per_length)
