"""A graph that may become the bundle's."""

from dataclasses import dataclass

import onnx_ir as ir

from ftool_export.gate import Verdict


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graph in the precision asked for, the layers that it leaves out, and the gate's verdict on it."""

    graph: ir.Model
    left_out: tuple[str, ...]
    verdict: Verdict
