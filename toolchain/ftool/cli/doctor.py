"""`ftool doctor`: check the installation."""

from typing import TYPE_CHECKING

import click

from ftool.cli.options import echo_json, json_option

if TYPE_CHECKING:
    from ftool.doctor import Diagnosis


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Show what is installed, what is missing, and how to fix it.

    Shows versions, the processor's features, the threads that the runtime uses, onnxruntime's providers, the GPU, and
    caches with their sizes. Exit status 1 means that something that ftool needs is missing.
    """
    from ftool.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        echo_json(diagnosis.to_json())
    else:
        _print(diagnosis)
    ctx.exit(0 if diagnosis.healthy else 1)


def _print(diagnosis: "Diagnosis") -> None:
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
        *([f"cache: {cache.what}", f"{cache.megabytes} MB in {cache.path}"] for cache in diagnosis.caches),
    ]
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        click.echo(f"{label:<{width}}  {value}")
    click.echo()
    for finding in diagnosis.findings:
        click.echo(f"{'Missing' if finding.blocking else 'Note'}: {finding.problem}. {finding.remedy}")
    if diagnosis.healthy:
        click.echo("Everything that ftool needs is installed.")
