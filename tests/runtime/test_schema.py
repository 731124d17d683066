"""JSON values become dataclasses by their annotations; errors name the path, the expected type and the actual value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

import ftool_runtime as ft
from ftool_runtime.schema import JSON, Builder, written

STRICT = Builder(error=ft.InputError, table="a table, [{at}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A part."""

    size: float
    spokes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cart:
    """A whole."""

    name: str
    color: Literal["red", "green"] = "red"
    wheels: tuple[Wheel, ...] = ()
    spare: Wheel | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[tuple[int, ...], ...] = ()
    weight: Literal["auto"] | float = "auto"
    notes: Mapping[str, Any] = field(default_factory=dict)
    brakes: int = written(2)


def test_values_become_frozen_dataclasses_tuples_and_floats() -> None:
    values = {
        "name": "c",
        "wheels": [{"size": 20}, {"size": 1.5, "spokes": 8}],
        "spare": {"size": 3},
        "prices": {"now": 1},
        "rows": [[1, 2], []],
        "weight": 7,
        "notes": {"any": [1, "two"]},
        "brakes": 1,
    }
    assert JSON.build(Cart, values) == Cart(
        name="c",
        wheels=(Wheel(size=20.0), Wheel(size=1.5, spokes=8)),
        spare=Wheel(size=3.0),
        prices={"now": 1.0},
        rows=((1, 2), ()),
        weight=7.0,
        notes={"any": [1, "two"]},
        brakes=1,
    )


def test_a_null_means_the_default_unless_none_is_a_value() -> None:
    cart = JSON.build(Cart, {"name": "c", "color": None, "prices": None, "brakes": None, "spare": None})
    assert cart == Cart(name="c")
    with pytest.raises(ft.BundleError, match=r"^name is missing$"):
        JSON.build(Cart, {"name": None, "brakes": 1})


def test_unknown_keys_are_ignored_or_refused_with_the_nearest() -> None:
    values = {"name": "c", "brakes": 2, "colour": "red"}
    assert JSON.build(Cart, values) == Cart(name="c")
    with pytest.raises(ft.InputError, match=r"^colour is not a setting; did you mean color\?$"):
        STRICT.build(Cart, values)
    with pytest.raises(ft.InputError, match=r"spare\.spoke is not a setting; did you mean spare\.spokes\?"):
        STRICT.build(Cart, {"name": "c", "brakes": 2, "spare": {"size": 1, "spoke": 1}})
    with pytest.raises(ft.InputError, match=r'"a b" is not a setting; known are name, color'):
        STRICT.build(Cart, {"a b": 1})


def test_a_field_that_every_file_states_may_not_be_absent() -> None:
    with pytest.raises(ft.BundleError, match=r"^brakes is missing$"):
        JSON.build(Cart, {"name": "c"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 1}, "^name must be a string, got 1$"),
        ({"brakes": True}, "^brakes must be a whole number, got true$"),
        ({"brakes": 1.0}, "^brakes must be a whole number, got 1.0$"),
        ({"color": "gren"}, '^color must be one of "red", "green", got "gren"; did you mean "green"[?]$'),
        ({"wheels": {}}, "^wheels must be a list of lists or objects, got {}$"),
        ({"wheels": [{"size": 1}, {"size": "1"}]}, r'^wheels\[1\].size must be a number, got "1"$'),
        ({"wheels": [{"size": 1}, 2]}, r"^wheels\[1\] must be an object, got 2$"),
        ({"wheels": [{}]}, r"^wheels\[0\].size is missing$"),
        ({"prices": {"a/b": "x"}}, '^prices."a/b" must be a number, got "x"$'),
        ({"prices": {"a": float("nan")}}, "^prices.a must be a number, got nan$"),
        ({"rows": [[1], ["x"]]}, r'^rows\[1\]\[0\] must be a whole number, got "x"$'),
        ({"spare": []}, r"^spare must be an object, got \[\]$"),
        ({"weight": "much"}, '^weight must be "auto" or a number, got "much"'),
        ({"name": ["x" * 100]}, r"^name must be a string, got \['x+\.\.\.$"),
    ],
)
def test_a_wrong_value_is_named_with_its_whole_path(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ft.BundleError, match=message):
        JSON.build(Cart, {"name": "c", "brakes": 2} | changes)


def test_anything_but_a_mapping_is_named_as_in_its_format() -> None:
    with pytest.raises(ft.BundleError, match=r"^the content must be an object, got \[\]$"):
        JSON.build(Cart, [])
    with pytest.raises(ft.InputError, match=r"^spare must be a table, \[spare\], got 3$"):
        STRICT.build(Cart, {"name": "c", "brakes": 2, "spare": 3})
