"""`ftool chat`: talk with a bundle."""

from argparse import Namespace
from pathlib import Path

import click

from ftool.cli.options import generation_flags, json_option, threads_option
from ftool.cli.predict import bundle_in


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path), metavar="[FOLDER|BUNDLE]")
@click.option("--system", metavar="TEXT", help="System message before the conversation.")
@click.option(
    "--prefix-cache",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep what is computed for the system message in FILE, for the next start.",
)
@threads_option
@generation_flags
@json_option
def chat(
    folder: Path,
    system: str | None,
    prefix_cache: Path | None,
    threads: int | None,
    writing: Namespace,
    *,
    as_json: bool,
) -> None:
    """Chat with a text-generation model: each line of standard input is answered, token by token.

    With --json, each answer is a JSON object on a line of its own, as from `ftool predict`.
    """
    import ftool_runtime as ft
    from ftool_runtime.tools.options import generation_options
    from ftool_runtime.tools.output import asked_lines, output_to, talk

    with ft.load(bundle_in(folder), threads=threads) as model, output_to(None) as out:
        options = generation_options(writing)
        talk(model, system, asked_lines(), out, options, prefix_cache=prefix_cache, as_json=as_json)
