"""Logs of `python -m ftool_runtime`: warnings as lines on standard error, with control characters escaped."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ftool_runtime.text.printable import printable


class _PrintableFormatter(logging.Formatter):
    """Formats records, which may quote names of files and texts of others, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Within the block, write the warnings and errors that the runtime logs to standard error."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_PrintableFormatter("%(message)s"))
    logger = logging.getLogger("ftool_runtime")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
