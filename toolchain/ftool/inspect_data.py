"""Look at the data of a recipe before training."""

from collections.abc import Sequence

from ftool.bases import check_base, resolve_base
from ftool.data.inspection.report import Inspection, TokenLimit, inspect_dataset
from ftool.data.load import load_dataset
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import SCRATCH


def inspect_data(recipe: Recipe, *, tokens: bool) -> Inspection:
    """Return the report on the recipe's data; `tokens` says whether lengths are also counted in the base's tokens.

    Notes and warnings about the data are in the report, and not logged. Raises FtoolError if the data or the base's
    tokenizer can't be read.
    """
    data = load_dataset(recipe.row.reader, recipe.data, quiet=True)
    several = any(len(example.named_texts) > 1 for example in data.train.examples[:1])
    return inspect_dataset(data, recipe.task, _limit(recipe, pairs=several) if tokens else None)


def _limit(recipe: Recipe, *, pairs: bool) -> TokenLimit | None:
    """Return the longest input of the recipe's base; None for a base whose tokenizer is learnt in training."""
    check_base(recipe.base, recipe.row)
    if recipe.base.startswith(SCRATCH):
        return None
    from ftool_export.tokenizers.source import load_tokenizer

    tokenizer = load_tokenizer(resolve_base(recipe.base))
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        return [len(one.ids) for one in backend.encode_batch(list(texts), add_special_tokens=False)]

    return TokenLimit(
        base=recipe.base,
        count=count,
        special=tokenizer.num_special_tokens_to_add(pair=pairs),
        longest=min(recipe.train.max_length, tokenizer.model_max_length),
        windows=recipe.row.uses("train.stride"),
    )
