"""Texts that stand where they should not: in two splits, or twice with different labels."""

from collections.abc import Mapping

from ftool.data.examples import Examples
from ftool.data.splitting import rows_by_text, same_text


def shared_texts(splits: Mapping[str, Examples]) -> list[str]:
    """A warning for each of validation and test that holds texts of the training split."""
    trained = {same_text(key) for key in splits["train"].keys}
    warnings = []
    for name, examples in splits.items():
        shared = [row for row, text in enumerate(examples.keys) if same_text(text) in trained]
        if name != "train" and shared:
            first = f"row {examples.rows[shared[0]]}: {examples.texts[shared[0]][:60]!r}"
            warnings.append(
                f"{examples.source}: {len(shared)} of {len(examples)} texts stand in the training data too "
                f"(first: {first}), so the {name} figures flatter the model"
            )
    return warnings


def contradictions(examples: Examples) -> list[str]:
    """A warning where the same text has different labels in different rows."""
    differing = [
        rows
        for rows in rows_by_text(examples.keys).values()
        if len({frozenset(examples.labels[row]) for row in rows}) > 1
    ]
    if not differing:
        return []
    first = " and ".join(
        f"{examples.rows[row]} ({', '.join(examples.labels[row])})" for row in differing[0][:2]
    )
    count = f"{len(differing)} text{'s' if len(differing) > 1 else ''}"
    return [f"{examples.source}: {count} with different labels in different rows (first: rows {first})"]
