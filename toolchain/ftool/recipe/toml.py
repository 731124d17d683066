"""Read recipe files, and write them with an explanation of every setting."""

import dataclasses
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftool.errors import RecipeError
from ftool.recipe.schema import DERIVED, explanation, marked
from ftool.recipe.sections import is_default
from ftool_runtime.atomic import replacing
from ftool_runtime.regular_files import open_regular
from ftool_runtime.schema import join

if TYPE_CHECKING:
    from tomlkit.items import Table
    from tomlkit.toml_document import TOMLDocument

_LARGEST = 2**20  # bytes of a recipe; real ones have some kilobytes
_PARTS = 64  # of a name; tomllib takes 10 GB for one of 50,000
_LONG_NAME = re.compile(rf"""(?:\.\s*(?:"[^"\n]*"|'[^'\n]*'|[^\s.="'\[\]{{}},]+)\s*){{{_PARTS},}}""")


def read(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file as nested dicts.

    Raises RecipeError if the file is missing, can't be read, or is not TOML in UTF-8.
    """
    try:
        with open_regular(path) as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise RecipeError(f"is larger than {_LARGEST:,} bytes, which no recipe is")
        text = content.decode("utf-8-sig")
        if _LONG_NAME.search(text):
            raise RecipeError(f"has a name of more than {_PARTS} parts, such as a.b.c, which no setting has")
        return tomllib.loads(text)
    except FileNotFoundError as error:
        raise RecipeError("file not found; `ftool new` writes one") from error
    except OSError as error:
        raise RecipeError(f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"is not TOML: {error}") from error
    except RecursionError as error:
        raise RecipeError("is TOML that can't be read: its values are nested too deeply") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise RecipeError(f"is TOML that can't be read: {error}") from error


def write(settings: Any, path: Path, shown: Callable[[str], bool]) -> None:
    """Write a settings dataclass to the TOML file `path`, with an explanation of each setting.

    If the file can't be written in full, an existing file is left unchanged. `shown` takes the path of a setting or
    table, such as "train.pooling", and returns whether to write this setting or table. Raises RecipeError if the file
    can't be written.
    """
    text = render(settings, shown)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise RecipeError(f"{path} can't be written: {error.strerror}") from error


def render(settings: Any, shown: Callable[[str], bool]) -> str:
    """Return a settings dataclass as the text of a TOML file, with an explanation of each setting.

    Settings without a value, and defaults that depend on other settings, are commented out. `shown` takes the path of a
    setting or table, such as "train.pooling", and returns whether to include this setting or table.
    """
    import tomlkit  # only writing needs it

    document = tomlkit.document()
    document.add(tomlkit.comment("All settings of this model. Paths are relative to this file."))
    document.add(
        tomlkit.comment("Settings after a # are unset, or have defaults that follow from other settings.")
    )
    _fill(document, settings, shown, "")
    return tomlkit.dumps(document)


def _fill(container: "TOMLDocument | Table", settings: Any, shown: Callable[[str], bool], at: str) -> None:
    import tomlkit

    for field in dataclasses.fields(settings):
        value, path = getattr(settings, field.name), join(at, field.name)
        if dataclasses.is_dataclass(value):
            table = tomlkit.table()
            _fill(table, value, shown, path)
            if table:
                container.add(tomlkit.nl())
                container.add(field.name, table)
        elif not at or shown(path):
            doc = explanation(type(settings), field.name)
            item = tomlkit.item(_plain(value)) if value is not None else None
            if item is None or (marked(type(settings), field.name, DERIVED) and is_default(value)):
                text = "(unset)" if item is None else item.as_string()
                container.add(tomlkit.comment(f"{field.name} = {text}  # {doc}"))
            else:
                item.comment(doc)
                container.add(field.name, item)


def _plain(value: object) -> Any:
    import tomlkit

    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline
    return list(value) if isinstance(value, tuple) else value
