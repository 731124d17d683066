"""The flags of commands that let a bundle write text; names and meanings are those of the runtime's own commands."""

from argparse import Namespace
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

_FLAGS = (
    click.option("--max-new-tokens", type=int, metavar="N", help="Writes text: tokens of an answer at most."),
    click.option(
        "--min-new-tokens", type=int, metavar="N", help="Writes text: tokens of an answer at least."
    ),
    click.option("--num-beams", type=int, metavar="N", help="Writes text: answers followed at once."),
    click.option(
        "--length-penalty", type=float, metavar="P", help="Beams: above 0 longer answers, below 0 shorter."
    ),
    click.option(
        "--repetition-penalty", type=float, metavar="P", help="Writes text: above 1 fewer tokens again."
    ),
    click.option(
        "--no-repeat-ngram-size", type=int, metavar="N", help="Writes text: no N tokens come twice."
    ),
    click.option("--do-sample", is_flag=True, help="Writes text: draw tokens by their probability."),
    click.option(
        "--temperature", type=float, metavar="T", help="Sampling: below 1 sharper, above 1 flatter."
    ),
    click.option(
        "--top-p", type=float, metavar="P", help="Sampling: from the best tokens of this probability."
    ),
    click.option(
        "--min-p", type=float, metavar="P", help="Sampling: from tokens of this share of the best one's."
    ),
    click.option("--seed", type=int, metavar="N", help="Sampling: where the draws start."),
    click.option(
        "--stop", "stop_strings", multiple=True, metavar="TEXT", help="Writes text: end before this."
    ),
    click.option("--source-language", metavar="CODE", help="What a translator reads."),
    click.option("--target-language", metavar="CODE", help="What a translator writes."),
    click.option(
        "--overflow", type=click.Choice(["refuse", "cut"]), help="Writes text: what becomes of a long one."
    ),
)
_NAMES = (
    "max_new_tokens", "min_new_tokens", "num_beams", "length_penalty", "repetition_penalty", "no_repeat_ngram_size",
    "do_sample", "temperature", "top_p", "min_p", "seed", "stop_strings", "source_language", "target_language",
    "overflow",
)  # fmt: skip


def generation_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags, which it gets together as `writing`, as the runtime's own commands take them."""

    @wraps(command)
    def with_flags(**given: Any) -> Any:
        values = {name: given.pop(name) for name in _NAMES}
        values["do_sample"] = values["do_sample"] or None
        values["stop_strings"] = list(values["stop_strings"]) or None
        return command(writing=Namespace(**values), **given)

    decorated: Callable[..., Any] = with_flags
    for flag in reversed(_FLAGS):
        decorated = flag(decorated)
    return decorated
