"""`ChatTemplate`: render messages with a checkpoint's chat template, in jinja2's sandbox."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from ftool_runtime.errors import BundleError, InputError, RuntimeMissingError


class ChatTemplate:
    """A chat template with transformers' extensions. The template is untrusted code that sees only the messages."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """Compile the template `source`, in which `special_tokens`, such as "bos_token", are variables.

        Raises RuntimeMissingError if jinja2 is not installed, and BundleError if the template has errors.
        """
        jinja2 = _jinja2()
        try:
            self._template = _environment(jinja2).from_string(source)
        except Exception as error:  # besides TemplateError what Python's compiler raises for deep nesting
            raise BundleError(f"the bundle's chat template can't be read: {_first_line(error)}") from error
        self._special_tokens = dict(special_tokens)
        self._errors = jinja2.exceptions

    def render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> str:
        """Return `messages` as text; with `add_generation_prompt`, the text ends where the answer begins.

        Raises InputError, with the template's own message, if the template refuses the messages, and BundleError if the
        template fails or uses a feature that the sandbox forbids.
        """
        try:
            text: str = self._template.render(
                messages=[dict(message) for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special_tokens,
            )
        except self._errors.SecurityError as error:
            raise BundleError(
                f"the bundle's chat template uses a feature that the sandbox forbids: {_first_line(error)}; "
                "do not use this bundle for chats"
            ) from error
        except _RefusedError as error:
            raise InputError(f"the model's chat template refuses these messages: {error}") from error
        except Exception as error:  # a template may raise anything
            raise BundleError(f"the bundle's chat template fails: {_first_line(error)}") from error
        return text


class _RefusedError(Exception):
    """Raised if a template calls `raise_exception`, to refuse the messages."""


def _jinja2() -> Any:
    try:
        import jinja2
        import jinja2.ext
        import jinja2.sandbox
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("jinja2", "markupsafe"):
            raise
        raise RuntimeMissingError(
            'chats need jinja2, which is not installed: `pip install "ftool-runtime[chat]"`'
        ) from error
    return jinja2


def _environment(jinja2: Any) -> Any:
    class Generation(jinja2.ext.Extension):  # type: ignore[misc]
        """The tag `generation` around the assistant's messages, whose content is rendered without the tag."""

        tags = frozenset({"generation"})

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body).set_lineno(line)

    class Namespace(jinja2.utils.Namespace):  # type: ignore[misc]
        """A namespace that refuses names with a leading underscore, which could give access to Python's internals."""

        def __init__(self, /, *args: Any, **kwargs: Any) -> None:
            for name in dict(*args, **kwargs):
                _check_name(name)
            super().__init__(*args, **kwargs)

        def __setitem__(self, name: str, value: Any) -> None:
            _check_name(name)
            super().__setitem__(name, value)

    def _check_name(name: object) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace can't hold {name!r}")

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _strftime_now
    environment.globals["dict"] = _PlainDict()
    environment.globals["namespace"] = Namespace
    return environment


class _PlainDict:
    """The object called `dict` in templates: it makes dicts and gives access to nothing else."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """Return the result of `dict.fromkeys`."""
        return dict.fromkeys(*args)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _refuse(message: object) -> NoReturn:
    raise _RefusedError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n", 1)[0]
