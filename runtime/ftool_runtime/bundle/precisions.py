"""Names of precisions and layouts, in a module that imports no library, so that command lines can name them early."""

from typing import Final, Literal, get_args

PrecisionName = Literal["fp32", "fp16", "int8", "int8-rows", "int8-static", "w8", "w4"]
PRECISIONS: Final[tuple[PrecisionName, ...]] = get_args(PrecisionName)
EMBEDDING_BITS: Final = (8, 4)  # bits of a number in an embedding table that is quantised
# ftool: graphs for ftool-runtime. standard: graphs also have the names that other libraries read (docs/ecosystem.md).
LayoutName = Literal["ftool", "standard"]
LAYOUTS: Final[tuple[LayoutName, ...]] = get_args(LayoutName)
