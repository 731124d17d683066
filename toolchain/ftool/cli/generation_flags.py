"""The runtime's own flags of commands that let a bundle write text, as click has them."""

from argparse import Namespace
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from ftool_runtime.tools.options import FLAGS, Flag


def generation_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags, which it gets together as `writing`, as the runtime's own commands take them."""

    @wraps(command)
    def with_flags(**given: Any) -> Any:
        # click gives a switch False and a repeated flag () where they are not given
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
