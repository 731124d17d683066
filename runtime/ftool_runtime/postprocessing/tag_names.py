"""Parse tags such as "B-person": where an entity begins, and its kind."""

import re
from functools import lru_cache

_PREFIXED = re.compile(r"^([BILUSEMW])[-_](.+)$", re.DOTALL)
_BEGINNING = frozenset("BUSW")
_ENDING = frozenset("ELUSW")


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """A tag's prefix and kind, such as ("B", "person"); ("O", "") outside entities.

    A tag without a prefix is a kind whose neighbouring tokens form one entity, as in transformers: ("I", tag).
    """
    if outside(tag):
        return "O", ""
    match = _PREFIXED.match(tag)
    return (match[1], match[2]) if match else ("I", tag)


def outside(tag: str) -> bool:
    """Whether a tag means that there is no entity."""
    return tag == "O"


def type_of(tag: str) -> str:
    """The kind of entity that a tag names; "" outside entities."""
    return split_tag(tag)[1]


def begins(before: str, tag: str) -> bool:
    """Whether an entity begins at `tag`, which follows the tag `before`, as in conlleval.

    An I after a tag of another kind begins an entity too, because models predict such tags.
    """
    if outside(tag):
        return False
    (before_prefix, before_type), (prefix, kind) = split_tag(before), split_tag(tag)
    return before_type != kind or prefix in _BEGINNING or before_prefix in _ENDING
