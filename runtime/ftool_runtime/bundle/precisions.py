"""The names of precisions, in a module that imports no library, so that command lines can name them early."""

from typing import Final, Literal, get_args

PrecisionName = Literal["fp32", "fp16", "int8", "int8-rows", "int8-static", "w8", "w4"]
PRECISIONS: Final[tuple[PrecisionName, ...]] = get_args(PrecisionName)
EMBEDDING_BITS: Final = (8, 4)  # bits of a number in an embedding table that is quantised
