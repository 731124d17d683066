"""The flags of commands that let a bundle write text, for argparse here and click in the toolchain: imports little."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A field of a generation config, or an option of a call, that is worth a flag.

    Attributes:
        name: the option's.
        kind: what its value is; `bool` for a switch.
        metavar: what the value is called in help.
        use: where it says something.
        help: what it says.
        choices: the only values, where there are such.
        many: whether it may be repeated, each time with one more value.
    """

    name: str
    kind: type[int] | type[float] | type[str] | type[bool]
    metavar: str | None = None
    use: str = "writes text"
    help: str
    choices: tuple[str, ...] = ()
    many: bool = False

    @property
    def option(self) -> str:
        """How it is written."""
        return "--stop" if self.name == "stop_strings" else f"--{self.name.replace('_', '-')}"


FLAGS: Final = (
    Flag(name="max_new_tokens", kind=int, metavar="N", help="tokens of an answer at most"),
    Flag(name="min_new_tokens", kind=int, metavar="N", help="tokens of an answer at least"),
    Flag(name="num_beams", kind=int, metavar="N", help="answers followed at once, for the best one"),
    Flag(
        name="length_penalty",
        kind=float,
        metavar="P",
        use="beams",
        help="above 0 longer answers, below 0 shorter",
    ),
    Flag(
        name="repetition_penalty", kind=float, metavar="P", help="above 1 fewer tokens that were there before"
    ),
    Flag(name="no_repeat_ngram_size", kind=int, metavar="N", help="no N tokens come twice"),
    Flag(name="do_sample", kind=bool, help="draw tokens by their probability; flags of sampling imply it"),
    Flag(
        name="temperature",
        kind=float,
        metavar="T",
        use="sampling",
        help="below 1 likelier tokens, above 1 others",
    ),
    Flag(
        name="top_p", kind=float, metavar="P", use="sampling", help="from the best tokens of this probability"
    ),
    Flag(
        name="min_p",
        kind=float,
        metavar="P",
        use="sampling",
        help="from tokens of this share of the best one's probability",
    ),
    Flag(name="seed", kind=int, metavar="N", use="sampling", help="where the draws start"),
    Flag(name="stop_strings", kind=str, metavar="TEXT", help="end before this; may be repeated", many=True),
    Flag(name="source_language", kind=str, metavar="CODE", use="translates", help="what is read"),
    Flag(name="target_language", kind=str, metavar="CODE", use="translates", help="what is written"),
    Flag(
        name="overflow", kind=str, choices=("refuse", "cut"), help="what becomes of a text that is too long"
    ),
)
