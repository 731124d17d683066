"""Recipe files: TOML in, and TOML out with every setting explained."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftool.recipe.errors import RecipeError
from ftool.recipe.schema import applies_to, explanation
from ftool_runtime.atomic import replacing

if TYPE_CHECKING:
    from tomlkit.items import Table
    from tomlkit.toml_document import TOMLDocument


def read(path: Path) -> dict[str, Any]:
    """The tables of a TOML file as plain values. Raises RecipeError for a file that is missing or no TOML."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise RecipeError("there is no such file; `ftool new` writes one") from error
    except OSError as error:
        raise RecipeError(f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"is no TOML: {error}") from error


def write(settings: Any, path: Path, task: str) -> None:
    """Write the settings that `task` uses to `path`, which is replaced whole or not at all.

    Raises RecipeError where that fails.
    """
    text = render(settings, task)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise RecipeError(f"{path} can't be written: {error.strerror}") from error


def render(settings: Any, task: str) -> str:
    """A settings dataclass as TOML: each setting with the line that explains it, unset ones commented out.

    Settings that are for other tasks than `task` are left out, and so is a table of them alone.
    """
    import tomlkit  # writing alone needs it

    document = tomlkit.document()
    document.add(tomlkit.comment("The whole of what makes this model. Paths are relative to this file."))
    _fill(document, settings, task)
    return tomlkit.dumps(document)


def _fill(container: "TOMLDocument | Table", settings: Any, task: str) -> None:
    import tomlkit

    for field in dataclasses.fields(settings):
        tasks = applies_to(type(settings), field.name)
        if tasks and task not in tasks:
            continue
        value, doc = getattr(settings, field.name), explanation(type(settings), field.name)
        if dataclasses.is_dataclass(value):
            table = tomlkit.table()
            _fill(table, value, task)
            if table:
                container.add(tomlkit.nl())
                container.add(field.name, table)
        elif value is None:
            container.add(tomlkit.comment(f"{field.name} = (unset)  # {doc}"))
        else:
            item = tomlkit.item(_plain(value))
            item.comment(doc)
            container.add(field.name, item)


def _plain(value: object) -> Any:
    import tomlkit

    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline
    return list(value) if isinstance(value, tuple) else value
