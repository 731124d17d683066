"""`ftool parity`: compare the bundle with its torch reference."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftool.cli.flags import RecipeFlags, recipe_for
from ftool.cli.options import echo_report, folder_argument, json_option, recipe_options, split_option

if TYPE_CHECKING:
    from ftool_export.report import ParityReport


@click.command()
@folder_argument
@split_option
@recipe_options
@json_option
def parity(folder: Path, split: str, flags: RecipeFlags, as_json: bool) -> None:
    """Compare FOLDER's bundle/ with the model in run/, run by torch: answers and logits of single and batched texts.

    Exit status 1 means that a difference exceeds its tolerance. The report is written to reports/parity.json.
    """
    from ftool.bench.run import write_json
    from ftool.export import check_parity
    from ftool.workspace import ModelFolder

    recipe = recipe_for(folder, flags)
    report = check_parity(folder, recipe, split=split, data=recipe.data if flags.data.path else None)
    write_json(report.to_json(), ModelFolder(folder).reports / "parity.json")
    echo_report(report.to_json, lambda: _report_text(report), as_json=as_json)
    if not report.passed:
        raise SystemExit(1)


def _report_text(report: "ParityReport") -> str:
    from ftool.terminal import format_table

    names = {"agreement": f"same {report.found.comparison.compared}", **_NAMES}
    rows = [[f"{report.precision}, {report.examples} examples", "found", "allowed", ""]]
    rows += [
        [names[check.name], f"{check.value:.4g}", f"{check.limit:.4g}", "ok" if check.passed else "FAILED"]
        for check in report.checks
    ]
    lines = [format_table(rows)]
    if report.metric is not None:
        pair = report.metric
        lines.append(f"{pair.metric}: {pair.reference:.4f} in torch, {pair.bundle:.4f} in the bundle")
        if not report.tolerance.exact:
            lines.append(
                f"allowed loss: {pair.max_drop:g}, plus {pair.allowance:.2g}, one standard error of "
                f"a difference over {report.examples} examples"
            )
    if report.same_weights is False:
        lines.append("run/ was trained after bundle/ was exported: run ftool export to update the bundle")
    return "\n".join([*lines, *report.notes()])


_NAMES = {
    "same_weights": "made from the weights in run/",
    "max_difference": "largest difference",
    "batch_effect": "single vs batched",
    "metric_drop": "loss of the metric",
    "weight_error": "weights against run/, in steps",
    "constant_error": "other constants against run/",
    "rounding": "outputs against run/ quantised again",
    "greedy": "whole answers, greedy",
    "beams": "whole answers, four beams",
}
