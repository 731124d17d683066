"""Make a smaller model of a trained one: fewer layers, learnt again from its answers, and a smaller vocabulary."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from ftool.data.dataset import Dataset
from ftool.data.load import load_dataset
from ftool.errors import RecipeError
from ftool.evaluation.open_model import open_run
from ftool.evaluation.results import TrainReport
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import is_default
from ftool.train_model import keep_untrained, train
from ftool.training.runs import locked
from ftool.workspace import ModelFolder
from ftool_export.errors import CheckpointError
from ftool_export.shrinking.checkpoint import (
    always_kept,
    check_saved,
    check_saved_tokenizer,
    cut_vocabulary,
    read_vocabulary,
)
from ftool_export.shrinking.layers import keep_layers
from ftool_export.shrinking.static_vectors import ngram_encoder
from ftool_runtime.errors import InputError
from ftool_runtime.folder_swap import replacing_folder

BASE: Final = "base"  # the folder of the shrunk checkpoint in the new model folder
_COMMAND: Final = "ftool shrink"  # the writer of the new folder, as others are told
_MARGIN: Final = 2000  # frequent pieces that the data does not have
_AT_ONCE: Final = 1000  # texts tokenised in one call

# The training of a model without layers: few numbers of its tables change in a step, so they change much.
_WITHOUT_LAYERS: Final[Mapping[str, Any]] = {
    "pooling": "mean",
    "learning_rate": 3e-3,
    "epochs": 8.0,
    "batch_size": 64,
    "gradient_accumulation": 1,
    "weight_decay": 0.0,
    "evaluations_per_epoch": 1,
    "early_stopping_patience": 0,
    "distill_weight": 0.7,
    "distill_temperature": 1.0,
    "distill_hidden": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class ShrinkReport:
    """What was dropped, and the training of the smaller model.

    Attributes:
        layers: the places of the layers that were kept, from 0, by the name of their stack; empty if all were.
        tokens: the size of the vocabulary before and after.
        used: the number of tokens that the data has; None if the vocabulary was not cut.
        parameters: the number of the network's parameters before and after.
        trained: the report of the training; None if the model was not trained.
    """

    layers: Mapping[str, Sequence[int]] = field(default_factory=dict)
    tokens: tuple[int, int]
    used: int | None
    parameters: tuple[int, int]
    trained: TrainReport | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "layers": {name: list(places) for name, places in self.layers.items()},
            "tokens": {"before": self.tokens[0], "after": self.tokens[1], "in_data": self.used},
            "parameters": {"before": self.parameters[0], "after": self.parameters[1]},
            "trained": None if self.trained is None else self.trained.to_json(),
        }

    def lines(self) -> list[str]:
        """Return one line each on layers, vocabulary and parameters."""
        kept = [
            f"layers kept of {name}: {', '.join(map(str, places))}" for name, places in self.layers.items()
        ]
        words = f"vocabulary: {self.tokens[1]:,} of {self.tokens[0]:,} tokens"
        if self.used is not None:
            words += f", of which the data has {self.used:,}"
        before, after = (f"{number / 1e6:.1f}" for number in self.parameters)
        return [*kept, words, f"parameters: {after} of {before} million"]


def shrink(
    folder: Path,
    smaller: Path,
    *,
    layers: Sequence[int] | int | None = None,
    vocabulary: int | Literal["data"] | None = None,
    assignments: Sequence[str] = (),
    untrained: bool = False,
    splits: Sequence[str] = ("train", "validation"),
    recipe: Recipe | None = None,
) -> ShrinkReport:
    """Write a smaller version of the model in `folder` to the new model folder `smaller`, and train it.

    Its base is the shrunk checkpoint, in `smaller`/base. Its recipe is that of `folder`, with this base, and with
    `folder` as the teacher if the task's models can learn from one. Without dropped layers there is nothing to learn:
    run/ then gets the weights as they are.

    Args:
        folder: a trained model's folder.
        smaller: the folder to write, which must have no recipe yet.
        layers: how many layers to keep, evenly spaced, or their places from 0; None keeps all. Without layers, 0, the
            model is sums of vectors of tokens and of token pairs: see `ftool_export.networks.ngrams`.
        vocabulary: the number of tokens to keep, or "data" for those of the training and validation texts and 2,000
            frequent ones; None keeps all.
        assignments: changes to the new recipe, such as "train.epochs=10".
        untrained: whether to stop before the training.
        splits: the splits whose tokens stay in the vocabulary. Validation can't judge the smaller vocabulary if its
            own texts have decided which tokens stay.
        recipe: the recipe to start from; None for that of `folder`.

    Raises:
        FtoolError: the folder has no run/, neither layers nor tokens are to be dropped, the model can't be shrunk in
            this way, the training is impossible, or another command writes to `smaller`.
    """
    new = _new_folder(smaller, drops=layers is not None or vocabulary is not None)
    recipe = recipe or Recipe.read(ModelFolder(folder).recipe)
    ModelFolder(folder).require_run()
    made = _smaller_recipe(recipe, folder, new, layers).with_overrides(tuple(assignments))
    with locked(smaller, _COMMAND):
        return _shrink(folder, recipe, made, new, layers, vocabulary, untrained, splits)


def _shrink(
    folder: Path,
    recipe: Recipe,
    made: Recipe,
    new: ModelFolder,
    layers: Sequence[int] | int | None,
    vocabulary: int | Literal["data"] | None,
    untrained: bool,
    splits: Sequence[str],
) -> ShrinkReport:
    loaded = recipe.row.load(ModelFolder(folder).require_run())
    before, tokens, used = _parameters(loaded.model), loaded.known_ids, None
    kept = keep_layers(loaded.pretrained, layers) if layers else {}
    if vocabulary is not None:
        loaded, used = _with_fewer_tokens(recipe, loaded, vocabulary, splits)
    with replacing_folder(new.path / BASE, _COMMAND) as base:
        network = _save_without_layers(loaded, base) if layers == 0 else _save(loaded, base)
    if layers != 0:
        saved = recipe.row.load(new.path / BASE)
        check_saved(loaded, saved)
        if vocabulary is not None:
            check_saved_tokenizer(loaded, saved)
    made.write(new.recipe)
    report = ShrinkReport(
        layers=kept, tokens=(tokens, loaded.known_ids), used=used, parameters=(before, _parameters(network))
    )
    if untrained:
        return report
    if layers is None:
        return replace(report, trained=keep_untrained(made, new.path, saved, origin=folder.resolve().name))
    return replace(report, trained=train(made, new.path, brief=True))


def _save(loaded: Any, base: Path) -> Any:
    """Write the checkpoint to the folder `base`; return its network."""
    loaded.save(base)
    return loaded.model


def _save_without_layers(loaded: Any, base: Path) -> Any:
    """Write an encoder without layers that begins with the model's token vectors to `base`; return its network."""
    network = ngram_encoder(loaded)
    network.config.ftool = {"base": loaded.base, "licence": loaded.licence}
    network.save_pretrained(base)
    loaded.save_tokenizer(base)
    return network


def _new_folder(smaller: Path, *, drops: bool) -> ModelFolder:
    """Return the new model folder. Raises InputError if nothing is to be dropped, RecipeError if it has a recipe."""
    if not drops:
        raise InputError(
            "nothing to drop: say how many layers to keep (--layers), or cut the vocabulary (--vocabulary)"
        )
    new = ModelFolder(smaller)
    if new.recipe.exists():
        raise RecipeError(f"{new.recipe}: a recipe already exists; choose another folder")
    return new


def _smaller_recipe(
    recipe: Recipe, folder: Path, new: ModelFolder, layers: Sequence[int] | int | None
) -> Recipe:
    """Return the recipe of the smaller model: that of `folder` with the shrunk base.

    If layers are dropped, `folder` is the teacher, and all weights are trained unless adapters are. What an export of
    `folder` chooses from is left out. Raises InputError if no model of the task can do without layers.
    """
    distilled = layers is not None
    settings: dict[str, Any] = {"distill_from": None}
    if distilled and recipe.row.uses("train.distill_from"):
        settings = {"distill_from": str(folder)}
    if distilled and recipe.train.method not in ("full", "lora"):
        settings["method"] = "full"  # the remaining layers must learn to do without the others
    if layers == 0:
        if not all(recipe.row.uses(path) for path in ("train.pooling", "train.distill_from")):
            raise InputError(
                f"--layers 0: a model without layers can only classify texts, not do {recipe.row.name}; keep 1 or more"
            )
        settings |= {**_WITHOUT_LAYERS, "method": "full"}
    base = os.path.relpath(new.path / BASE)  # a relative path, so that the folder can be moved
    export = replace(recipe.export, candidates=(), shrink=())
    if layers == 0 and is_default(export.precision):
        export = replace(export, precision="w8")  # texts run together, and int8 has nothing more to quantise
    return replace(recipe, base=base, train=replace(recipe.train, **settings), export=export)


def _parameters(network: Any) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _with_fewer_tokens(
    recipe: Recipe, loaded: Any, size: int | Literal["data"], splits: Sequence[str]
) -> tuple[Any, int]:
    """Return the model with a smaller vocabulary, and the number of tokens that the data has.

    Raises InputError if `size` is too small for the data, and CheckpointError if the vocabulary can't be cut, or a text
    of the data would be tokenised otherwise.
    """
    vocabulary = read_vocabulary(loaded)
    data = load_dataset(recipe.row.reader, recipe.data, quiet=True)
    names = {number: token for token, number in vocabulary.tokens.items()}
    used = {names[number] for row in _token_rows(recipe, loaded, data, splits) for number in row}
    needed = always_kept(loaded, vocabulary) | vocabulary.with_parts(used)
    if isinstance(size, int) and not len(needed) <= size < loaded.known_ids:
        raise InputError(
            f"--vocabulary {size}: the data and single characters need {len(needed)} of the {loaded.known_ids} tokens; "
            f"give a number from {len(needed)} to {loaded.known_ids - 1}"
        )
    target = len(needed) + _MARGIN if size == "data" else size
    cut, old = cut_vocabulary(loaded, vocabulary, vocabulary.filled(needed, target))
    for before, after in zip(
        _token_rows(recipe, loaded, data, splits), _token_rows(recipe, cut, data, splits), strict=True
    ):
        if list(before) != [old[number] for number in after]:
            pieces = " ".join(names[number] for number in before)
            raise CheckpointError(
                f"with the smaller vocabulary, a text of the data would no longer become the tokens {pieces[:200]!r}; "
                "leave --vocabulary out"
            )
    return cut, len(used)


def _token_rows(
    recipe: Recipe, loaded: Any, data: Dataset[Any], splits: Sequence[str]
) -> Iterator[Sequence[int]]:
    """Yield the token ids of the splits' texts: with the model's prefixes, or as a generator's rows."""
    model = open_run(loaded, recipe.row.answering(loaded))
    for name in splits:
        split, _ = recipe.row.fit(model, data.split(name), name, recipe, training=name == "train")
        if hasattr(split, "rows"):
            yield from ([*row.given, *row.answer] for row in split.rows)
            continue
        texts = [text for one in split.examples for text in one.named_texts.values()]
        prompts = {"", loaded.prefix, *getattr(loaded, "prompts", {}).values()}
        for prompt in sorted(prompts):
            for first in range(0, len(texts), _AT_ONCE):
                some = [prompt + text for text in texts[first : first + _AT_ONCE]]
                yield from loaded.tokenizer(some, verbose=False)["input_ids"]
