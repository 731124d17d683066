"""Cut sources and prompts, as token ids, to the length that the model reads."""

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
    """Cut `ids` to `limit` tokens, or refuse them if they are longer.

    Args:
        ids: the token ids.
        added: for each token, whether the tokenizer added it; added tokens at the ends are kept.
        limit: the most tokens; None: no limit.
        side: where to cut, "left" or "right".
        refuse: whether to raise InputError instead.
        row: the text's position, for the error.
        what: what the error calls the text, such as "source".
    """
    if limit is None or len(ids) <= limit:
        return Tokens(ids)
    if refuse:
        raise InputError(
            f"text {row} is a {what} of {len(ids)} tokens, and the model takes {limit} here; shorten it, "
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
