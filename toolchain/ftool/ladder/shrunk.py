"""Smaller models of the trained one, made while the ladder is climbed: fewer layers, a smaller vocabulary, or both."""

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from ftool.errors import RecipeError
from ftool.ladder.candidates import Source
from ftool.ladder.memo import remembered
from ftool.recipe.paths import relative_to
from ftool.shrink import shrink
from ftool_export.bundle.writer import package_versions
from ftool_runtime import __version__

log = logging.getLogger(__name__)

_FORM = re.compile(
    r"(?P<layers>0|[1-9][0-9]*)?(?P<plus>\+)?(?P<vocabulary>vocabulary(=(?P<tokens>[1-9][0-9]*))?)?"
)


@dataclass(frozen=True)
class Shape:
    """What a smaller model keeps.

    Attributes:
        layers: the number of layers; 0 for sums of vectors of tokens; None for all.
        vocabulary: the number of tokens, or "data" for those of the training texts and 2,000 frequent ones; None for
            all.
    """

    layers: int | None
    vocabulary: int | Literal["data"] | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shape that "3", "vocabulary", "vocabulary=20000" or "3+vocabulary" describes.

        Raises RecipeError for another text.
        """
        found = _FORM.fullmatch(text)
        if not text or found is None or bool(found["plus"]) != bool(found["layers"] and found["vocabulary"]):
            raise RecipeError(
                'export.shrink takes "vocabulary" or "vocabulary=20000", a number of layers such as "3", or both, such '
                f'as "3+vocabulary", got {text!r}'
            )
        layers, tokens = found["layers"], found["tokens"]
        kept: int | Literal["data"] = int(tokens) if tokens else "data"
        return cls(int(layers) if layers else None, kept if found["vocabulary"] else None)

    @property
    def name(self) -> str:
        """The name of the model folder, and what the names of its candidates begin with."""
        layers = [] if self.layers is None else [f"{self.layers}-layer{'s' * (self.layers != 1)}"]
        size = [str(self.vocabulary)] if isinstance(self.vocabulary, int) else []
        tokens = [] if self.vocabulary is None else ["vocabulary", *size]
        return "-".join([*layers, *tokens])


def shrunk_folder(work: Path, folder: Path, source: Source, text: str) -> Path:
    """Make a smaller model of the one in the model folder `folder`, or return what an earlier call has finished.

    Args:
        work: the work folder, which gets the smaller model's folder in models/.
        folder: the trained model's folder.
        source: the trained model, whose recipe says how the smaller one is trained.
        text: the shape of the smaller model: see `Shape.parse`.

    The vocabulary keeps the tokens of the training texts and the most frequent others, so that the validation texts,
    which judge the model, have as many unknown words as texts that it has never seen.

    Raises FtoolError if the shape is not one, or the model can't be shrunk or trained.
    """
    shape = Shape.parse(text)
    place = work / "models" / shape.name
    recipe = relative_to(source.recipe, folder)  # the same paths from any working directory
    key = {
        "checkpoint": source.sha256,
        "layers": shape.layers,
        "vocabulary": shape.vocabulary,
        "data": asdict(recipe.data),
        "train": asdict(recipe.train),
        "ftool": __version__,
        "versions": package_versions(),
    }

    def make() -> Mapping[str, Any]:
        log.info("%s: making a smaller model", shape.name)
        shutil.rmtree(place, ignore_errors=True)
        report = shrink(
            folder,
            place,
            layers=shape.layers,
            vocabulary=shape.vocabulary,
            splits=("train",),
            recipe=source.recipe,
        )
        return {"lines": report.lines()}

    remembered(work / "models" / f"{shape.name}.json", key, make, lambda _: (place / "run").is_dir())
    return place
