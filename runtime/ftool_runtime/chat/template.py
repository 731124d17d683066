"""`ChatTemplate`: render messages with a checkpoint's chat template, in jinja2's sandbox and within a budget."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

from ftool_runtime.chat.budget import (
    REMOVED_FILTERS,
    Budget,
    bounded_call,
    bounded_filter,
    joined,
    kept,
    spend,
    spend_operator,
    spending,
)
from ftool_runtime.errors import BundleError, InputError, RuntimeMissingError, TimeLimitError
from ftool_runtime.limits import DEFAULT_LIMITS, Limits

_MESSAGE: Final = 2000  # characters of a template's own message that are shown


class ChatTemplate:
    """A chat template with transformers' extensions. The template is untrusted code that sees only the messages."""

    def __init__(
        self, source: str, special_tokens: Mapping[str, str], limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """Compile the template `source`, in which `special_tokens`, such as "bos_token", are variables.

        Raises RuntimeMissingError if jinja2 is not installed, and BundleError if the template has errors.
        """
        jinja2 = _jinja2()
        self._limits = limits
        try:
            with spending(Budget(limits)):  # jinja2 computes what it can when it compiles
                self._template = _environment(jinja2).from_string(source)
        except Exception as error:  # besides TemplateError what Python's compiler raises for deep nesting
            raise BundleError(f"the bundle's chat template can't be read: {_first_line(error)}") from error
        self._special_tokens = dict(special_tokens)
        self._errors = jinja2.exceptions

    def render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> str:
        """Return `messages` as text; with `add_generation_prompt`, the text ends where the answer begins.

        Raises InputError, with the template's own message, if the template refuses the messages, or if it builds too
        much; TimeLimitError if it takes too long; and BundleError if the template fails or uses a feature that the
        sandbox forbids.
        """
        try:
            with spending(Budget(self._limits)):
                text: str = self._template.render(
                    messages=[dict(message) for message in messages],
                    tools=None,
                    documents=None,
                    add_generation_prompt=add_generation_prompt,
                    **self._special_tokens,
                )
        except (InputError, TimeLimitError):  # of the budget
            raise
        except self._errors.SecurityError as error:
            raise BundleError(
                f"the bundle's chat template uses a feature that the sandbox forbids: {_first_line(error)}; "
                "do not use this bundle for chats"
            ) from error
        except _RefusedError as error:
            raise InputError(f"the model's chat template refuses these messages: {error}") from error
        except Exception as error:  # a template may raise anything
            raise BundleError(f"the bundle's chat template fails: {_first_line(error)}") from error
        self._limits.check_characters(
            len(text), "the conversation, as the bundle's chat template renders it,"
        )
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

        def __repr__(self) -> str:
            return "<Namespace>"  # its values may be namespaces, which hold each other many times

    def _check_name(name: object) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace can't hold {name!r}")

    environment = _bounded_sandbox(jinja2)(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.filters = {
        name: bounded_filter(name, one)
        for name, one in environment.filters.items()
        if name not in REMOVED_FILTERS
    }
    del environment.globals["lipsum"]  # random words without a bound
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _strftime_now
    environment.globals["dict"] = _PlainDict()
    environment.globals["namespace"] = Namespace
    return environment


def _bounded_sandbox(jinja2: Any) -> Any:
    """Return jinja2's sandbox with a budget, from which operations spend what they build, and blocks one unit each."""
    nodes = jinja2.nodes

    class Code(jinja2.compiler.CodeGenerator):  # type: ignore[misc]
        """Compiles what the sandbox doesn't see, such as loops and slices, with calls of its methods."""

        def blockvisit(self, statements: Any, frame: Any) -> None:
            """Compile a block, such as a loop's body, with the fixed texts that it puts out."""
            outputs = [one for one in statements if isinstance(one, nodes.Output)]
            fixed = [
                part.data for one in outputs for part in one.nodes if isinstance(part, nodes.TemplateData)
            ]
            self.writeline(f"environment.spend({1 + sum(map(len, fixed))})")
            super().blockvisit(statements, frame)

        def visit_Concat(self, node: Any, frame: Any) -> None:  # noqa: N802
            """Compile `a ~ b`."""
            markup = (
                "context.eval_ctx.volatile" if frame.eval_ctx.volatile else str(frame.eval_ctx.autoescape)
            )
            self.write(f"environment.joined(markup_join if {markup} else str_join, (")
            for part in node.nodes:
                self.visit(part, frame)
                self.write(", ")
            self.write("))")

        def visit_Getitem(self, node: Any, frame: Any) -> None:  # noqa: N802
            self._kept(super().visit_Getitem, node, frame, isinstance(node.arg, nodes.Slice))

        def visit_Tuple(self, node: Any, frame: Any) -> None:  # noqa: N802
            self._kept(super().visit_Tuple, node, frame, node.ctx == "load")

        def visit_List(self, node: Any, frame: Any) -> None:  # noqa: N802
            self._kept(super().visit_List, node, frame)

        def visit_Dict(self, node: Any, frame: Any) -> None:  # noqa: N802
            self._kept(super().visit_Dict, node, frame)

        def visit_Compare(self, node: Any, frame: Any) -> None:  # noqa: N802
            self._kept(super().visit_Compare, node, frame)

        def _kept(self, visit: Any, node: Any, frame: Any, new: bool = True) -> None:
            self.write("environment.kept(" if new else "(")
            visit(node, frame)
            self.write(")")

    class Bounded(jinja2.sandbox.ImmutableSandboxedEnvironment):  # type: ignore[misc]
        code_generator_class = Code
        intercepted_binops = frozenset(["+", "*", "**", "%"])
        spend, kept, joined = staticmethod(spend), staticmethod(kept), staticmethod(joined)

        def __init__(self, **options: Any) -> None:
            super().__init__(finalize=kept, **options)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            spend_operator(operator, left, right)
            return super().call_binop(context, operator, left, right)

        def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            def call(function: Any, /, *args: Any, **kwargs: Any) -> Any:
                return super(Bounded, self).call(context, function, *args, **kwargs)

            return bounded_call(function, call, *args, **kwargs)

    return Bounded


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
    raise _RefusedError(str(message)[:_MESSAGE])


def _strftime_now(form: str) -> str:
    spend(256 * len(form))  # the most that Python gives
    return datetime.now().strftime(form)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n", 1)[0]
