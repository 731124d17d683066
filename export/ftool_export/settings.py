"""Settings of one export."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ftool_export.errors import ExportError
from ftool_export.passes import PassSettings
from ftool_export.precision_plans import precision_plan
from ftool_export.tolerances import MAX_DROP
from ftool_runtime.bundle.precisions import LayoutName


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Settings for the export of a model to a bundle. Raises ExportError for an invalid value.

    Attributes:
        bundle: the folder to write; an existing bundle is replaced.
        name: the model's name; None uses the name of the bundle's folder, or of its parent folder if that name is
            "bundle".
        precision: the name of a precision that the model's family has: see `quantization.PLANS`.
        max_drop: the largest absolute drop of the main metric that the gate allows.
        allow_drift: whether to write a bundle that `ftool parity` would fail.
        device: the device that the bundle must run on, "cpu" or "cuda".
        layout: "standard" to name files, inputs and outputs as other libraries read them too, "ftool" for graphs that
            only ftool-runtime needs to read.
        teachable: whether a classifier can be taught on the device; its graph then also gives features.
        golden: the inputs of golden answers: "probes" are ftool's own texts, "data" are inputs from the user's data.
        passes: settings of the graph passes; `passes.device`, `passes.layout` and `passes.teachable` are replaced by
            `device`, `layout` and `teachable`.
    """

    bundle: Path
    name: str | None = None
    precision: str = "int8"
    max_drop: float = MAX_DROP
    allow_drift: bool = False
    device: str = "cpu"
    layout: LayoutName = "ftool"
    teachable: bool = False
    golden: Literal["probes", "data"] = "probes"
    passes: PassSettings = field(default_factory=PassSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise ExportError(f"max_drop must be from 0 to 1, got {self.max_drop}")
        if self.teachable and (self.layout, self.device) != ("ftool", "cpu"):
            raise ExportError("only bundles for the CPU, in ftool's own layout, can be taught on the device")
        passes = replace(self.passes, device=self.device, layout=self.layout, teachable=self.teachable)
        object.__setattr__(self, "passes", passes)
        precision_plan(self.precision, self.device)

    @property
    def model_name(self) -> str:
        """The model's name: `name`, or else the name of the bundle's folder, or of its parent if that is "bundle"."""
        if self.name:
            return self.name
        folder = self.bundle.absolute()
        return folder.parent.name if folder.name == "bundle" else folder.name
