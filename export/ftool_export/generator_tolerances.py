"""How far a bundle that generates text may be from its torch reference, by precision, and why."""

from types import MappingProxyType
from typing import Final

from ftool_export.tolerances import Tolerance

TOLERANCES: Final = MappingProxyType(
    {
        # The same arithmetic in another order; a token may differ only where torch itself has no preference.
        "fp32": Tolerance(agreement=1.0, max_difference=1e-3, batch_effect=1e-4, drop=None),
        # One activation scale a row and 7 bits a weight; attention's sums come in another order in a batch.
        "int8": Tolerance(agreement=0.90, max_difference=0.9, batch_effect=1e-2, drop=0.01),
        # A scale for every 128 activations of a row; sums come in another order in a batch.
        "w8": Tolerance(agreement=0.97, max_difference=0.5, batch_effect=1e-2, drop=0.01),
    }
)
