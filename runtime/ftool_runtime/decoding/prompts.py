"""Cut the token ids of sources and prompts to the length that the model reads."""

from collections.abc import Sequence

from ftool_runtime.errors import InputError
from ftool_runtime.text.encode import Tokens


def fit(
    ids: list[int],
    added: Sequence[bool],
    limit: int | None,
    *,
    side: str,
    refuse: bool,
    row: int,
    what: str,
) -> Tokens:
    """Return `ids` cut to `limit` tokens. Raises InputError if `ids` is too long and `refuse` is set.

    Also raises InputError if `limit` leaves no room besides the added special tokens.

    Args:
        ids: the token ids.
        added: for each id, whether it is a special token that the tokenizer added; these are kept at both ends.
        limit: the largest number of tokens; None for no limit.
        side: the side to cut, "left" or "right".
        refuse: whether to raise InputError instead of cutting.
        row: the text's position in the call, for errors.
        what: a noun for the text in errors, such as "source".
    """
    if limit is None or len(ids) <= limit:
        return Tokens(ids)
    if refuse:
        raise InputError(
            f"text {row} is a {what} of {len(ids)} tokens, but the model takes at most {limit}; shorten it, "
            f'or cut its {"beginning" if side == "left" else "end"} with overflow="cut" (--overflow cut)',
            row=row,
        )
    head = next((place for place, flag in enumerate(added) if not flag), len(ids))
    tail = next((place for place, flag in enumerate(reversed(added)) if not flag), 0)
    begin, body, end = ids[:head], ids[head : len(ids) - tail], ids[len(ids) - tail :]
    room = limit - len(begin) - len(end)
    if room < 1:
        raise InputError(
            f"text {row}: {limit} tokens leave no room for a {what} besides the special tokens", row=row
        )
    return Tokens([*begin, *(body[-room:] if side == "left" else body[:room]), *end], truncated=True)
