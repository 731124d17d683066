"""Write ONNX models as bytes without the package `onnx`: as protobuf, with the field numbers of onnx.proto3."""

import struct
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from numpy.typing import NDArray


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _all(number: int, values: Iterable[int | str | bytes]) -> bytes:
    return b"".join(_field(number, value) for value in values)


def _attribute(name: str, value: int | float | bytes | Sequence[int]) -> bytes:
    if isinstance(value, bytes):  # a graph
        return _field(1, name) + _field(6, value) + _field(20, 5)
    if isinstance(value, float):
        return _field(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _field(20, 1)
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + _all(8, value) + _field(20, 7)


def node(
    op: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: str = "",
    **attributes: int | float | bytes | Sequence[int],
) -> bytes:
    attribute_fields = [_attribute(name, value) for name, value in attributes.items()]
    where = _field(7, domain) if domain else b""
    return _all(1, inputs) + _all(2, outputs) + _field(4, op) + _all(5, attribute_fields) + where


def tensor(name: str, values: NDArray[Any]) -> bytes:
    kind = {"float32": 1, "int8": 3, "int32": 6, "int64": 7, "bool": 9}[values.dtype.name]
    return _all(1, values.shape) + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def value(name: str, kind: int, dims: Sequence[str | int]) -> bytes:
    shape = _all(1, [_field(2 if isinstance(dim, str) else 1, dim) for dim in dims])
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def graph(nodes: list[bytes], tensors: list[bytes], inputs: list[bytes], outputs: list[bytes]) -> bytes:
    return _all(1, nodes) + _field(2, "tiny") + _all(5, tensors) + _all(11, inputs) + _all(12, outputs)


def model(nodes: list[bytes], tensors: list[bytes], inputs: list[bytes], outputs: list[bytes]) -> bytes:
    opsets = [_field(1, "") + _field(2, 17), _field(1, "com.microsoft") + _field(2, 1)]
    return _field(1, 8) + _field(7, graph(nodes, tensors, inputs, outputs)) + _all(8, opsets)


ONNX_WRITER = SimpleNamespace(node=node, tensor=tensor, value=value, graph=graph, model=model)
