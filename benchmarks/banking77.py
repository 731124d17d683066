"""Run the whole pipeline on banking77: train, export, parity and bench, with the commands that a user would type.

    python -m benchmarks.banking77 [--work FOLDER] [--data FOLDER] [--methods head full] [--reuse]

Each method's checkpoint is exported as w4, w8 and int8; each bundle is compared with torch on the whole test split.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.commands import DATA, ftool, write_result

PRECISIONS = ("w4", "w8", "int8")


def train(method: str, folder: Path, data: Path) -> dict[str, Any]:
    """Create a model folder, train its model by `method`, and return the output of `ftool train`."""
    shutil.rmtree(folder, ignore_errors=True)
    ftool(
        "new", folder, "--task", "text-classification", "--base", "minilm", "--data", data,
        "--set", f"train.method={method}",
    )  # fmt: skip
    return ftool("train", folder)


def run(method: str, work: Path, data: Path, reuse: bool) -> dict[str, Any]:
    """Train a model by `method`, or reuse an earlier training; then export, evaluate and time the model's bundles."""
    folder = work / method
    metrics = folder / "run" / "metrics.json"
    trained = json.loads(metrics.read_text()) if reuse and metrics.exists() else train(method, folder, data)
    result: dict[str, Any] = {"train": trained, "test": ftool("evaluate", folder)}
    for precision in PRECISIONS:
        result[precision] = {
            "export": ftool("export", folder, "--precision", precision),
            "test": ftool("evaluate", folder, "--on", "bundle"),
            "parity": ftool("parity", folder, expect=(0, 1)),
            "bench": ftool("bench", folder),
        }
    return result


def show(method: str, result: dict[str, Any]) -> None:
    """Print the figures that the project's README quotes."""
    torch = result["test"]["metrics"]["accuracy"]
    print(
        f"{method}: torch fp32 accuracy {torch:.4f}, trained in {result['train']['training']['seconds']:.0f} s"
    )
    for precision in PRECISIONS:
        one = result[precision]
        accuracy = one["test"]["metrics"]["accuracy"]
        ratio = one["bench"]["ratios"]["torch-fp32"]
        print(
            f"  {precision}: accuracy {accuracy:.4f} ({accuracy - torch:+.4f}), "
            f"agreement {one['parity']['agreement']:.4f}, "
            f"batch effect {one['parity']['batch_effect']}, parity exit {one['parity']['exit_status']}, "
            f"{one['export']['bytes'] / 1e6:.1f} MB, p50 {ratio['latency_p50']:.2f}x and throughput "
            f"{ratio['throughput']:.2f}x torch"
        )


def main() -> None:
    """Train, export and measure by every training method, and write benchmarks/results/banking77.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/banking77"))
    parser.add_argument("--data", type=Path, default=DATA / "banking77")
    parser.add_argument("--methods", nargs="+", default=["head", "full"])
    parser.add_argument("--reuse", action="store_true", help="use existing trained models")
    options = parser.parse_args()
    results = {}
    for method in options.methods:
        results[method] = run(method, options.work, options.data, options.reuse)
        show(method, results[method])
    write_result("banking77", results)


if __name__ == "__main__":
    main()
