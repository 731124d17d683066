"""Send logs to standard error: progress by default; details too with --verbose."""

import logging
import os
from typing import Any

import click

from ftool.terminal import print_line

OUR_LOGGERS = ("ftool", "ftool_export", "ftool_runtime")


class _StandardError(logging.Handler):
    """A log handler that prints each record as a line on standard error, above the live progress display."""

    def emit(self, record: logging.LogRecord) -> None:
        print_line(self.format(record))


class _LevelFormatter(logging.Formatter):
    """Formats log records: information without a prefix; warnings and errors with their level as prefix."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if record.levelno < logging.WARNING else f"{record.levelname.capitalize()}: {line}"


def configure_logging(*, verbose: bool) -> None:
    """Send ftool's logs to standard error; `verbose` adds details and the warnings of other libraries."""
    handler = _StandardError()
    handler.setFormatter(_LevelFormatter("%(message)s"))
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG if verbose else logging.INFO)
        for earlier in [handler for handler in logger.handlers if isinstance(handler, _StandardError)]:
            logger.removeHandler(earlier)
        logger.addHandler(handler)
    logging.captureWarnings(not verbose)
    if not verbose:
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def logging_options() -> list[click.Parameter]:
    """Return the options `--verbose` and `--debug`, which can be given before and after the command's name."""
    return [
        click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, is_eager=True, callback=_verbose,
            help="Print more on standard error.",
        ),
        click.Option(
            ["--debug"], is_flag=True, expose_value=False, is_eager=True, callback=_debug,
            help="Show the traceback of an error.",
        ),
    ]  # fmt: skip


def debugging(ctx: click.Context) -> bool:
    """Return whether `--debug` was given."""
    return bool(ctx.meta.get("ftool.debug"))


def _verbose(ctx: click.Context, _: click.Parameter, value: Any) -> None:
    verbose = ctx.meta["ftool.verbose"] = bool(value) or bool(ctx.meta.get("ftool.verbose"))
    configure_logging(verbose=verbose)


def _debug(ctx: click.Context, _: click.Parameter, value: Any) -> None:
    ctx.meta["ftool.debug"] = bool(value) or debugging(ctx)
