"""The group of ftool's commands. A command's module is imported only when the command is called."""

import difflib
import importlib
import io
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from ftool.cli.logs import debugging, logging_options


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """An entry of COMMANDS: the command's function as `module:name`, and the command's line in `ftool --help`."""

    target: str
    summary: str


COMMANDS = {
    "new": CommandEntry("ftool.cli.new:new", "Start a model folder: write its recipe."),
    "data": CommandEntry("ftool.cli.data:data", "Look at the data before training."),
    "train": CommandEntry("ftool.cli.train:train", "Fine-tune the base model on the data."),
    "evaluate": CommandEntry("ftool.cli.evaluate:evaluate", "Measure a trained model or its bundle."),
    "export": CommandEntry(
        "ftool.cli.export:export", "Turn a checkpoint into a bundle that runs without torch."
    ),
    "parity": CommandEntry("ftool.cli.parity:parity", "Compare the bundle with its torch reference."),
    "check": CommandEntry("ftool.cli.check:check", "Judge an ONNX file that another tool exported."),
    "bench": CommandEntry("ftool.cli.bench:bench", "Time the bundle against torch."),
    "report": CommandEntry(
        "ftool.cli.report:report", "Write one page on a model: quality, mistakes, parity, speed."
    ),
    "shrink": CommandEntry(
        "ftool.cli.shrink:shrink", "Make a smaller model: fewer layers, a smaller vocabulary."
    ),
    "adapt": CommandEntry("ftool.cli.adapt:adapt", "Teach a trained model one example."),
    "merge": CommandEntry("ftool.cli.merge:merge", "Average heads that several devices have taught."),
    "predict": CommandEntry("ftool.cli.predict:predict", "Answer texts with a bundle."),
    "sign": CommandEntry("ftool.cli.sign:sign", "Sign a bundle, so that apps accept only yours."),
    "push": CommandEntry("ftool.cli.push:push", "Publish a bundle on the Hugging Face hub."),
    "index": CommandEntry("ftool.cli.index:index", "Add documents to a knowledge base."),
    "ask": CommandEntry("ftool.cli.ask:ask", "Answer a question from a knowledge base."),
    "chat": CommandEntry("ftool.cli.chat:chat", "Chat with a bundle."),
    "demo": CommandEntry("ftool.cli.demo:demo", "Run every step on data that ships with ftool."),
    "doctor": CommandEntry("ftool.cli.doctor:doctor", "Check the installation."),
}


class Failure(click.ClickException):
    """The error for a wrong call or bad input: one line on standard error, `Error: …`, and exit status 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        from ftool_runtime.errors import in_one_line

        super().__init__(in_one_line(message))


class Interrupted(Failure):
    """The error for Ctrl-C, with the exit status 130, as in shells."""

    exit_code = 130


class BrokenOutput(click.exceptions.Exit):
    """The exit after the program that reads standard output has closed it: no message, exit status 141 (SIGPIPE)."""

    def __init__(self) -> None:
        super().__init__(141)


class CommandGroup(click.Group):
    """The group of the commands in `COMMANDS`. It reports an error as one line and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands' names, in the order in which they are usually run."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the command `cmd_name`; None if there is no such command."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begins with.

        If there is no such command, raises UsageError, which suggests the nearest name.
        """
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {remedy}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the commands and options that begin with `incomplete`, without importing any command."""
        found = [
            CompletionItem(name, help=entry.summary)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; an error is reported in one line."""
        ctx.meta["ftool.arguments"] = list(args)
        with _errors_in_one_line(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error is reported in one line."""
        with _errors_in_one_line(ctx):
            return super().invoke(ctx)


def load_command(name: str) -> click.Command:
    """Import the command called `name`, and add the options `--verbose` and `--debug` to the command."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    command.short_help = COMMANDS[name].summary
    taken = {parameter.name for parameter in command.params}
    command.params += [option for option in logging_options() if option.name not in taken]
    return command


@contextmanager
def _errors_in_one_line(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
        raise
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else ctx.command_path
        raise Failure(f"{_told(error, ctx).rstrip('.')} (see {path} --help)") from error
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted") from error
    except _ftool_error() as error:
        _fail(ctx, str(error), error)
    except BrokenPipeError as error:
        from ftool_runtime.tools.output import drop_output

        drop_output()
        raise BrokenOutput from error
    except MemoryError as error:
        _fail(ctx, "not enough memory; close other programs, or give less data", error)
    except OSError as error:
        if error.errno is None:
            raise
        _fail(ctx, f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror), error)


def _told(error: click.UsageError, ctx: click.Context) -> str:
    """Return the message for a wrong call, with a hint if an option does not exist but something else is meant."""
    if isinstance(error, click.NoSuchOption):
        from ftool.cli.hints import hint

        if (told := hint(error, ctx.meta.get("ftool.arguments", ()))) is not None:
            return told
    return error.format_message()


def _ftool_error() -> type[Exception]:
    """Import and return FtoolError. Called only after an error, because importing its module slows down --help."""
    from ftool_runtime.errors import FtoolError

    return FtoolError


def _fail(ctx: click.Context, message: str, error: Exception) -> NoReturn:
    if debugging(ctx):
        from ftool_runtime.text.printable import printable

        click.echo(printable("".join(traceback.format_exception(error))), err=True, nl=False)
    raise Failure(message) from error


@click.command(
    cls=CommandGroup, params=logging_options(), context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="ftool", prog_name="ftool")
def main() -> None:
    """Fine-tune, export, verify and time text models.

    A model is a folder with a recipe, run/, bundle/ and reports/. Commands use the current folder by default, and
    print JSON with --json.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # on Windows, redirected streams would use the code page
