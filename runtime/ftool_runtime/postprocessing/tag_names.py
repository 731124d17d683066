"""Parse tags such as "B-person" into prefix and kind, and find where entities begin."""

import re
from functools import lru_cache

_PREFIXED = re.compile(r"^([BILUSEMW])[-_](.+)$", re.DOTALL)
_BEGINNING = frozenset("BUSW")
_ENDING = frozenset("ELUSW")


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """Return a tag's prefix and kind, such as ("B", "person"); ("O", "") for the tag "O".

    A tag without a prefix gives ("I", tag), as in transformers: neighbouring tokens with that tag form one entity.
    """
    if outside(tag):
        return "O", ""
    match = _PREFIXED.match(tag)
    return (match[1], match[2]) if match else ("I", tag)


def outside(tag: str) -> bool:
    """Return whether a tag is "O", which marks words and tokens outside entities."""
    return tag == "O"


def type_of(tag: str) -> str:
    """Return the kind of entity that a tag names; "" for the tag "O"."""
    return split_tag(tag)[1]


def begins(before: str, tag: str) -> bool:
    """Return whether an entity begins at `tag`, which follows the tag `before`, by the rules of conlleval.

    An I after a tag of another kind also begins an entity, because models predict such tags.
    """
    if outside(tag):
        return False
    (before_prefix, before_type), (prefix, kind) = split_tag(before), split_tag(tag)
    return before_type != kind or prefix in _BEGINNING or before_prefix in _ENDING
