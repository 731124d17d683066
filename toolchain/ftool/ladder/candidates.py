"""The candidates: each checkpoint of the same task in each of its precisions."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ftool.errors import ModelFolderError
from ftool.export import load_on_split
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.graph.graphs import Graphs
from ftool_export.passes import PassSettings
from ftool_export.pipeline import capture_source
from ftool_export.precision_plans import PLANS, precision_plan
from ftool_export.quantization import saved_by_nibbles
from ftool_export.tokenizers.source import tokenizer_text
from ftool_runtime.bundle.precisions import LayoutName

SPLIT = "validation"  # the split on which candidates are judged and timed


@dataclass(frozen=True)
class Source:
    """A checkpoint that candidates are exported from, and the validation examples in the form that it reads.

    Attributes:
        name: what the names of its candidates begin with; empty for the trained model itself.
        recipe: the task, and how the data is read.
        loaded: the checkpoint in torch, a `LoadedModel` of `ftool_export`.
        fitted: the validation split, as `Task.fit` returned it.
        device: the device that bundles must run on, "cpu" or "cuda".
        layout: the layout of bundles.
    """

    name: str
    recipe: Recipe
    loaded: Any
    fitted: Any
    device: Literal["cpu", "cuda"] = "cpu"
    layout: LayoutName = "ftool"

    @cached_property
    def examples(self) -> Any:
        """The examples on which the gate compares bundles with the checkpoint, in the form of `ftool_export`."""
        return self.recipe.row.examples(self.loaded, self.fitted, self.recipe)

    @cached_property
    def numbers(self) -> Any:
        """The numbers to judge each example with in place of those tuned on these examples; None if none were."""
        fit = self.recipe.row.cross_fit
        if fit is None or not self.examples.cross_fitted:
            return None
        return fit(self.loaded, self.fitted, self.examples.reference(self.loaded), self.recipe)

    @cached_property
    def graphs(self) -> Graphs:
        """The fp32 graphs from which every precision starts, captured on the first use. Raises ExportError."""
        settings = PassSettings(device=self.device, layout=self.layout)
        return capture_source(self.loaded, self.examples.inputs, settings)

    @cached_property
    def sha256(self) -> str:
        """A hash, in hex, of everything in the checkpoint that its bundles depend on."""
        loaded = self.loaded
        config = {name: value for name, value in loaded.config.to_dict().items() if name != "_name_or_path"}
        parts = (
            weights_sha256(loaded.model),
            tokenizer_text(loaded.tokenizer),
            json.dumps(config, sort_keys=True, default=str),
            json.dumps(loaded.facts(), sort_keys=True, default=str),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def precisions(self) -> list[str]:
        """The precisions of the checkpoint's family that run on the device and can have the layout.

        Raises ExportError if none does.
        """
        family, alone = self.loaded.family, self.layout == "ftool"
        plans = PLANS[family].items()
        found = [
            name
            for name, plan in plans
            if self.device in plan.devices and (alone or not plan.rows_share_scale)
        ]
        if not found:
            precision_plan(next(iter(PLANS[family])), self.device, family)  # raises, and says why
        return found

    def candidate(self, precision: str, embedding_bits: int = 8) -> str:
        """Return a candidate's name, such as "int8", "bank-small-int8", or "int8-4bit-embeddings"."""
        parts = [self.name, precision, "" if embedding_bits == 8 else f"{embedding_bits}bit-embeddings"]
        return "-".join(filter(None, parts))

    def saved_by_4_bits(self, precision: str) -> int:
        """Return how many bytes 4-bit embeddings save in a precision; 0 if they can't have 4 bits.

        Raises ExportError if the checkpoint can't be captured.
        """
        plan = precision_plan(precision, self.device, self.loaded.family)
        return saved_by_nibbles(self.graphs, plan, plan.settings(PassSettings(device=self.device)))


def check_judged_alike(first: Source, second: Source) -> None:
    """Raise ModelFolderError if only one of two models with tuned numbers can be judged with ones tuned on others.

    The other one would be judged with numbers that fit the very examples, and so look better than it is.
    """
    both = [source for source in (first, second) if source.loaded.has_tuned_numbers]
    if len({source.examples.cross_fitted for source in both}) > 1:
        worse = next(source for source in both if not source.examples.cross_fitted)
        raise ModelFolderError(
            f"{worse.name or 'the model'} has thresholds, and it is not known that they were tuned on these validation "
            "examples, so its score can't be compared with the other models'; train it again, on the same data"
        )


def further_sources(
    recipe: Recipe, places: Sequence[str | Path], data: DataSettings | None
) -> Iterator[Source]:
    """Load further checkpoints, one after another.

    Args:
        recipe: the trained model's, whose task and data the checkpoints share.
        places: model folders, or folders or hub ids of checkpoints.
        data: where the examples are; None for the recipe's.

    Raises FtoolError if one can't be read, or if two have the same name.
    """
    taken = {""}
    for place in places:
        folder = ModelFolder(Path(place))
        checkpoint = str(folder.run) if folder.run.is_dir() else str(place)
        name = Path(place).resolve().name
        if name in taken:
            raise ModelFolderError(f"two candidates are called {name}; rename the folder of one: {place}")
        taken.add(name)
        loaded, fitted = load_on_split(checkpoint, recipe, SPLIT, data)
        yield Source(name, recipe, loaded, fitted, recipe.export.device, recipe.export.layout)
