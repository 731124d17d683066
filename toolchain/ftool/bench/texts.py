"""What a model is timed on: the texts or conversations of a split of its own data."""

from pathlib import Path

from ftool.bench.worker import Text
from ftool.data.load import load_dataset
from ftool.recipe.recipe import Recipe
from ftool.tasks.work import get_encoder_task
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE
from ftool_runtime.text.generation_tokens import TextTokens

_BEGINNING = 24  # tokens of plain text, which has no question, for the model to go on from
_LONGEST = 1000  # characters that are looked at for them


def texts_to_time(recipe: Recipe, split: str, bundle: Path) -> list[Text]:
    """The split as the model is asked it: texts, or conversations up to the answer.

    Of plain text it is asked the beginning: as much as leaves at least half of `bundle`'s context for the answer.
    Raises DataError, and BundleError for a bundle that can't be read.
    """
    if not recipe.row.writes:
        return [*get_encoder_task(recipe.task).inputs(recipe, split)]
    examples = load_dataset(recipe.row.reader, recipe.data).split(split).examples
    beginnings = _Beginnings(bundle)
    return [example.input or beginnings.cut(example.targets[0].strip()) for example in examples]


class _Beginnings:
    """Cuts texts by a bundle's tokens, since not every script has spaces between words."""

    def __init__(self, bundle: Path) -> None:
        contract = Manifest.read(bundle).generation
        holds = contract.max_length if contract else None
        self._most = _BEGINNING if holds is None else min(_BEGINNING, holds // 2)
        self._tokens = TextTokens(bundle / TOKENIZER_FILE)

    def cut(self, text: str) -> str:
        return self._tokens.beginning(text[:_LONGEST], self._most)
