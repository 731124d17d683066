"""Compare ways to judge a bundle on the validation texts on which its thresholds were tuned: which one predicts test?

    python -m benchmarks.cross_fitting FOLDER [--work FOLDER] [--draws 40]

FOLDER is a trained model folder for several labels with tuned thresholds, such as one that `python -m
benchmarks.goemotions --methods head` made. Each of its precisions is exported without a gate. The validation and test
texts are pooled and drawn apart again, many times: thresholds are tuned and bundles judged on one half, and what is
estimated there is compared with the fall of macro-F1 on the other half. Logits are kept in --work for further calls.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ftool_runtime as ft
from benchmarks.commands import write_result
from ftool.evaluation.cross_fitting import cross_fitted
from ftool.evaluation.metrics.calibration import tune_thresholds
from ftool.evaluation.metrics.classification import main_score
from ftool.export import export_settings, load_on_split
from ftool.recipe.recipe import Recipe
from ftool.terminal import format_table
from ftool.training.losses import encode_targets
from ftool.workspace import ModelFolder
from ftool_export.passes import PassSettings
from ftool_export.pipeline import capture_source, export
from ftool_runtime.numerics import sigmoid

TORCH = "torch"
PRECISIONS = ("w8", "int8", "int8-rows", "int8-static", "w4")
# the estimate on the tuning texts, and the fall on the others that it should predict
POLICIES = {
    "thresholds as shipped": ("shipped", "shipped"),
    "cross-fitted": ("crossed", "shipped"),
    "tuned again for the bundle": ("retuned", "retuned"),
    "tuned on one half, judged on the other": ("halved", "halved"),
}
Arrays = dict[str, NDArray[Any]]


def outputs(folder: Path, work: Path) -> Arrays:
    """Return the logits of torch and of each precision for validation and test together, and the targets."""
    file = work / "logits.npz"
    if file.exists():
        return dict(np.load(file))
    recipe = Recipe.read(folder / "recipe.toml")
    run = ModelFolder(folder).require_run()
    loaded, validation = load_on_split(run, recipe, "validation")
    _, test = load_on_split(run, recipe, "test")
    both = [recipe.row.examples(loaded, split, recipe) for split in (validation, test)]
    truth = [
        encode_targets(split.examples, loaded.labels, multi_label=True).numpy()
        for split in (validation, test)
    ]
    found: Arrays = {
        "targets": np.concatenate(truth) > 0,
        "first": np.array(len(validation)),
        TORCH: np.concatenate([examples.reference(loaded) for examples in both]),
    }
    graphs = capture_source(loaded, both[0].inputs, PassSettings())
    for precision in PRECISIONS:
        settings = replace(recipe.export, precision=precision, max_drop=1.0, allow_drift=True)
        report = export(export_settings(settings, work / precision, None), loaded, both[0], captured=graphs)
        print(precision, report.verdict, flush=True)
        with ft.load(work / precision) as model:
            found[precision] = np.concatenate([model.outputs(examples.inputs) for examples in both])
    np.savez(file, **found)  # type: ignore[arg-type]
    return found


def draw(
    known: Arrays, precision: str, tuning: NDArray[np.int64], others: NDArray[np.int64]
) -> dict[str, float]:
    """Return each policy's estimate on the texts `tuning`, what it should predict on `others`, and torch's scores."""
    targets = known["targets"]
    torch, bundle = known[TORCH], known[precision]

    def tuned(logits: NDArray[Any], texts: NDArray[np.int64]) -> Any:
        return tune_thresholds(sigmoid(logits[texts]), targets[texts])

    def score(logits: NDArray[Any], texts: NDArray[np.int64], limits: Any) -> float:
        return main_score(logits[texts], targets[texts], multi_label=True, thresholds=limits)

    own, again = tuned(torch, tuning), tuned(bundle, tuning)
    crossed = cross_fitted(lambda rows: tuned(torch, tuning[rows]), len(tuning))
    first, second = tuning[::2], tuning[1::2]
    half = tuned(torch, first)
    found = {
        "torch, as tuned": score(torch, tuning, own),
        "torch, cross-fitted": score(torch, tuning, crossed),
        "torch, on others": score(torch, others, own),
        "torch, on others, tuned on half": score(torch, others, half),
    }
    for name, texts, ours, theirs in (
        ("estimate shipped", tuning, own, own),
        ("estimate crossed", tuning, crossed, crossed),
        ("estimate retuned", tuning, own, again),
        ("estimate halved", second, half, half),
        ("fall shipped", others, own, own),
        ("fall retuned", others, own, again),
        ("fall halved", others, half, half),
    ):
        found[name] = score(torch, texts, ours) - score(bundle, texts, theirs)
    answers = sigmoid(torch) >= own
    for name, limits in (("changed shipped", own), ("changed retuned", again)):
        found[name] = float((answers != (sigmoid(bundle) >= limits)).any(axis=1).mean())
    return found


def summary(draws: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Return the mean of each figure, and each policy's bias and root mean square error."""
    policies = {}
    for policy, (estimate, fall) in POLICIES.items():
        error = draws[f"estimate {estimate}"] - draws[f"fall {fall}"]
        policies[policy] = {"bias": float(error.mean()), "rmse": float(np.sqrt((error**2).mean()))}
    return {"means": {name: float(values.mean()) for name, values in draws.items()}, "policies": policies}


def main() -> None:
    """Draw the texts apart many times, print each policy's errors, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("models/cross_fitting"))
    parser.add_argument("--draws", type=int, default=40)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    known = outputs(options.folder, options.work)
    first, texts = int(known["first"]), len(known["targets"])
    result: dict[str, Any] = {"draws": options.draws, "texts": texts, "precisions": {}}
    for precision in PRECISIONS:
        rows = []
        for seed in range(options.draws):
            order = np.random.default_rng(seed).permutation(texts)
            rows.append(draw(known, precision, order[:first], order[first:]))
        found = summary({name: np.array([row[name] for row in rows]) for name in rows[0]})
        every = np.arange(texts)
        found["validation and test"] = draw(known, precision, every[:first], every[first:])
        result["precisions"][precision] = found
        print(precision, {name: round(value, 4) for name, value in found["means"].items()}, flush=True)
        head = [["", "bias", "root mean square error"]]
        print(
            format_table(
                head
                + [
                    [name, f"{one['bias']:+.4f}", f"{one['rmse']:.4f}"]
                    for name, one in found["policies"].items()
                ]
            ),
            flush=True,
        )
    write_result("cross_fitting", result)


if __name__ == "__main__":
    main()
