"""The runtime's text generation flags as click options."""

from argparse import Namespace
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from ftool_runtime.tools.options import FLAGS, Flag


def generation_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command, which gets them as `writing`, the namespace that the runtime's commands take."""

    @wraps(command)
    def with_flags(**given: Any) -> Any:
        # click passes False for a switch and () for a repeated flag if they are not given
        values = {flag.name: given.pop(flag.name) for flag in FLAGS}
        writing = {name: None if value is False or value == () else value for name, value in values.items()}
        return command(writing=Namespace(**writing), **given)

    decorated: Callable[..., Any] = with_flags
    for flag in reversed(FLAGS):
        decorated = _option(flag)(decorated)
    return decorated


def _option(flag: Flag) -> Callable[..., Any]:
    return click.option(
        flag.option,
        flag.name,
        type=click.Choice(flag.choices) if flag.choices else flag.kind,
        is_flag=flag.kind is bool,
        multiple=flag.many,
        metavar=flag.metavar,
        help=f"{flag.use.capitalize()}: {flag.help}.",
    )
