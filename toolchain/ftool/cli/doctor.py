"""`ftool doctor`: check the installation."""

from typing import TYPE_CHECKING

import click

from ftool.cli.options import echo_report, json_option

if TYPE_CHECKING:
    from ftool.doctor import Diagnosis


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Show what is installed, what is missing, and how to fix it.

    Shows versions, the processor's features, the threads that the runtime uses, onnxruntime's providers, the GPU, and
    extras, and caches with their sizes. Exit status 1 means that ftool lacks something that it needs.
    """
    from ftool.doctor import diagnose

    diagnosis = diagnose()
    echo_report(diagnosis.to_json, lambda: _report_text(diagnosis), as_json=as_json)
    ctx.exit(0 if diagnosis.healthy else 1)


def _report_text(diagnosis: "Diagnosis") -> str:
    from ftool.extras import EXTRAS, install

    machine = diagnosis.machine
    rows = [
        ["processor", f"{machine['cpu']}, {machine['logical_cpus']} logical CPUs"],
        ["features", " ".join(machine["cpu_features"]) or "unknown"],
        ["threads a model uses", str(machine["usable_threads"])],
        ["memory", f"{machine['memory_gb'] or '?'} GB"],
        ["system", machine["system"]],
        ["Python", machine["python"]],
        ["GPU", diagnosis.gpu or "none that torch can use"],
        ["onnxruntime providers", ", ".join(diagnosis.providers) or "none"],
        *([name, version or "-"] for name, version in diagnosis.versions.items()),
        *(
            [
                f"extra: {name}",
                "installed" if there else f"for {EXTRAS[name].use.rstrip(',')}: {install(name)}",
            ]
            for name, there in diagnosis.extras.items()
        ),
        *([f"cache: {cache.what}", f"{cache.megabytes} MB in {cache.path}"] for cache in diagnosis.caches),
    ]
    width = max(len(label) for label, _ in rows)
    lines = [*(f"{label:<{width}}  {value}" for label, value in rows), ""]
    lines += [
        f"{'Missing' if finding.blocking else 'Note'}: {finding.problem}. {finding.remedy}"
        for finding in diagnosis.findings
    ]
    if diagnosis.healthy:
        lines.append("Everything that ftool needs is installed.")
    return "\n".join(lines)
