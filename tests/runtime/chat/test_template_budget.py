"""What a chat template may build, and how long it may take."""
# ruff: noqa: E501 (templates)

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftool_runtime as ft

jinja2 = pytest.importorskip("jinja2", reason="chats need jinja2")
resource = pytest.importorskip("resource", reason="the memory is measured by Unix")

from markupsafe import Markup  # noqa: E402

from ftool_runtime.chat.budget import (  # noqa: E402
    REMOVED_FILTERS,
    Budget,
    bounded_call,
    bounded_filter,
    joined,
    spend_operator,
    spending,
)
from ftool_runtime.chat.template import ChatTemplate  # noqa: E402

MESSAGES = [
    {"role": "user", "content": "Grüße, <b>{}</b> 100% & more\n\n  lines"},
    {
        "role": "assistant",
        "content": "ab" * 40,
        "calls": [{"name": "f", "arguments": {"x": [1, 2.5, None, True]}}],
    },
    {"role": "user", "content": "last"},
]
LIMIT = 25_000
NESTED = "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
TWICE_TWICE = NESTED + NESTED.replace("n.x", "m.x").replace("set n", "set m")
GREEDY = {
    "repeated": "{{ 'x' * 10**9 }}",
    "repeated list": "{{ [0] * 10**9 }}",
    "left of the text": "{{ 10**9 * 'x' }}",
    "power": "{{ 10 ** (10 ** 8) }}",
    "squares": "{% set n = namespace(x=10) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "doubled by +": "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubled by ~": "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubled list": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "nested list as text": NESTED + "{{ n.x }}",
    "nested list as json": NESTED + "{{ n.x | tojson }}",
    "nested list joined": NESTED + "{{ n.x | join }}",
    "replace": "{{ ('x' * 9999).replace('x', 'x' * 999999) }}",
    "replace nothing": "{{ ('x' * 9999).replace('', 'x' * 999999) }}",
    "replace filter": "{{ ('x' * 9999) | replace('x', 'x' * 999999) }}",
    "join method": "{{ ('x' * 999999).join('y' * 9999) }}",
    "join of an iterator": "{{ ('x' * 999999).join(range(9999) | map('string')) }}",
    "join filter": "{{ range(9999) | join('x' * 999999) }}",
    "center": "{{ 'x'.center(10**9) }}",
    "center filter": "{{ 'x' | center(10**9) }}",
    "constant center": "{{ 'x' | center(1000000000) }}",
    "mapped center": "{{ ['x'] | map('center', 10**9) | list }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "expandtabs": "{{ ('\t' * 999).expandtabs(10**7) }}",
    "translate": "{{ ('x' * 9999).translate({120: 'y' * 999999}) }}",
    "bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "format": "{{ '{:>1000000000}'.format(1) }}",
    "format with a width": "{{ '{:>{w}}'.format(1, w=10**9) }}",
    "format of much": "{{ ('{0}' * 9999).format('x' * 999999) }}",
    "percent": "{{ '%1000000000d' % 1 }}",
    "percent with a width": "{{ '%*d' % (10**9, 1) }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "indent": "{{ ('\n' * 9999) | indent(10**6) }}",
    "json indent": "{{ range(999) | list | tojson(indent=10**7) }}",
    "batch": "{{ [1] | batch(10**9, 'x') | list }}",
    "slices": "{{ [1] | slice(10**9, 'x') | list }}",
    "sum": "{{ ([[1] * 99999] * 9999) | sum(start=[]) }}",
    "round": "{{ 1.5 | round(10**9, 'floor') }}",
    "output": "{% for i in range(100000) %}{% for j in range(100000) %}many words in the template{% endfor %}{% endfor %}",
    "set block": "{% set x %}{% for i in range(100000) %}{% for j in range(100000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}{% endset %}",
    "slices of a text": "{% set x = 'x' * 99999 %}{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = n.l + [x[1:]] %}{% endfor %}",
    "lists": "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l, range(99999) | list] %}{% endfor %}",
    "list of letters": "{{ ('中' * 999999) | list | length }}{{ ('中' * 999999) | list | length }}",
    "split": "{% for i in range(99) %}{% set x = ('中,' * 99999).split(',') %}{% endfor %}",
    "escaped": "{{ ('<' * 999999) | safe | forceescape }}",
    "added to markup": "{{ ('' | safe) + '<' * 999999 }}",
    "searched from the end": "{{ ('a' * 999999).rfind('b' + 'a' * 499999) }}",
    "compared": TWICE_TWICE + "{{ n.x == m.x }}",
    "found": TWICE_TWICE + "{{ n.x in [m.x] }}",
    "as a key": NESTED.replace("[n.x, n.x]", "(n.x, n.x)") + "{{ {n.x: 1} }}",
    "as a named key": NESTED.replace("[n.x, n.x]", "dict(a=n.x, b=n.x)") + "{{ n.x }}",
    "macro's values": "{% macro f() %}{% set n.x = varargs %}{% endmacro %}"
    + NESTED.replace("[n.x, n.x]", "0")
    .replace("{% set n.x = 0 %}", "{{ f(n.x, n.x) }}")
    .replace("{% set n = namespace(x=[1]) %}", "")
    .join(["{% set n = namespace(x=[1]) %}", "{{ n.x }}"]),
    "cycler's values": NESTED.replace("[n.x, n.x]", "cycler(n.x, n.x).items") + "{{ n.x }}",
    "split in two": NESTED.replace("[n.x, n.x]", "n.x | batch(1, n.x) | list + [n.x]") + "{{ n.x }}",
    "date": "{{ strftime_now('%Y' * 9999999) }}",
    "number of bytes": "{% set x = (1).from_bytes(('x' * 99999).encode()) %}{{ x % 7 }}",
    "numbers as text": "{{ [10 ** 4000] * 9999 }}",
}
SLOW = {
    "loops": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "filtered loops": "{% for i in range(100000) %}{% for j in range(100000) if false %}{% endfor %}{% endfor %}",
    "macros": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(99) }}",
    "recursion": "{% for i in [1] recursive %}{% if loop.depth < 99 %}{{ loop([1, 1]) }}{% endif %}{% endfor %}",
}
SAME = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' ~ m['content'] | trim ~ loop.index }}{{ '\n' }}{% endfor %}",
    "{{ messages[1:] | length }}{{ messages[0].content[:5] }}{{ messages[::-1][0].role }}{{ messages | map(attribute='role') | join(', ') }}",
    "{{ messages | tojson }}{{ messages[1] | tojson(indent=2) }}{{ messages[1].calls }}{{ messages[1] }}",
    "{{ '%s and %05.1f' % ('a', 2.5) }}{{ '{:>8}|{}'.format(1, [1]) }}{{ '%s' | format('a') }}{{ 7 // 2 * 3 ** 2 % 4 + 1 }}",
    "{{ 'a-b'.split('-') | list }}{{ 'x'.join(['a', 'b']) }}{{ 'abc'.replace('b', '') | upper | center(9) | indent }}",
    "{% set n = namespace(seen=[], text='') %}{% for m in messages if m.role != 'assistant' %}{% set n.seen = n.seen + [loop.index0] %}"
    "{% set n.text = n.text ~ m.content %}{% else %}none{% endfor %}{{ n.seen }}{{ n.text }}{{ n.seen | sum }}{{ [1.25] | sum(start=1) }}",
    "{% macro turn(m, end='') %}[{{ m.role }}: {{ m.content }}{{ end }}]{% endmacro %}{% for m in messages %}{{ turn(m, end='.') }}{% endfor %}",
    "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% set x %}{% for m in messages %}{{ m.content | e }}{% endfor %}{% endset %}{{ x | length }}{{ none }}{{ missing }}{{ true ~ 1 ~ none }}",
    "{% filter upper %}{% for a, b in {'k': 1, 'l': [2]}.items() %}{{ a }}{{ b }}{% endfor %}{% endfilter %}{{ [3, 1] | sort }}{{ [1, 2, 3] | batch(2) | list }}",
    "{% autoescape true %}{{ '<' ~ messages[0].content }}{{ '<b>' | safe ~ '&' }}{% endautoescape %}{{ 1.005 | round(2) }}{{ dict(a=1) }}",
    "{% for g in messages | groupby('role') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}{{ 'x' | default('y') }}",
)


def rendered(source: str, messages: Any = MESSAGES, **limits: Any) -> str:
    return ChatTemplate(source, {"eos_token": "</s>"}, ft.Limits(**limits)).render(messages)


def memory() -> float:
    """The largest memory that this process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


@pytest.mark.parametrize("source", GREEDY.values(), ids=GREEDY.keys())
def test_a_template_that_would_fill_the_memory_is_stopped(source: str) -> None:
    before, started = memory(), time.perf_counter()
    with pytest.raises(ft.FtoolError) as caught:
        rendered(source, text_characters=LIMIT)
    assert isinstance(caught.value, ft.InputError), caught.value
    assert "200 times text_characters (25000)" in str(caught.value)
    assert time.perf_counter() - started < 5
    assert memory() - before < 100


@pytest.mark.parametrize("source", SLOW.values(), ids=SLOW.keys())
def test_a_template_that_goes_on_and_on_is_stopped(source: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ft.TimeLimitError, match=r"longer than 0\.1 s, the limit template_seconds"):
        rendered(source, template_seconds=0.1, text_characters=None)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("source", SAME)
def test_a_template_renders_what_jinja2s_own_sandbox_does(source: str) -> None:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    own = ChatTemplate("", {})._template.environment
    environment.filters["tojson"] = own.filters["tojson"].__wrapped__
    environment.globals |= {name: own.globals[name] for name in ("dict", "namespace")}
    expected = environment.from_string(source).render(messages=MESSAGES, eos_token="</s>", tools=None)
    assert rendered(source) == expected
    assert rendered(source, text_characters=None, template_seconds=None) == expected


def test_units_are_spent_before_anything_is_made() -> None:
    budget = Budget(ft.Limits())
    start, text = budget.left, "<" * 1000
    seen: list[float] = []

    def make(*_: Any) -> str:
        seen.append(start - budget.left)
        return ""

    operations: dict[str, tuple[Callable[[], Any], float]] = {
        "marked-up text escapes what is added": (lambda: spend_operator("+", Markup(""), text), 5000),
        "and what is joined": (lambda: joined(make, (Markup(""), text)), 5000),
        "a macro keeps what it is given": (lambda: bounded_call(make, make, [text]), 1000),
        "an iterator is read": (lambda: bounded_filter("join", make)(iter([text] * 10), text), 10 * 10_000),
    }
    for name, (operation, least) in operations.items():
        with spending(budget):
            operation()
        spent = seen[-1] if seen else start - budget.left
        assert spent >= least, name
        seen.clear()
        budget.left = start


@pytest.mark.parametrize("name", REMOVED_FILTERS)
def test_filters_that_could_take_hours_are_absent(name: str) -> None:
    with pytest.raises(ft.BundleError, match=f"can't be read: No filter named '{name}'"):
        rendered("{{ 'x' | " + name + " }}")


def test_namespaces_in_namespaces_are_not_written_out() -> None:
    deeper = "{% set m = namespace() %}{% set m.a = n.x %}{% set m.b = n.x %}{% set n.x = m %}"
    source = "{% set n = namespace(x=1) %}{% for i in range(60) %}" + deeper + "{% endfor %}{{ n }}"
    assert rendered(source) == "<Namespace>"


def test_a_message_of_the_template_is_cut() -> None:
    with pytest.raises(ft.InputError, match=r"refuses these messages: x{2000}$"):
        rendered("{{ raise_exception('x' * 9999) }}")


def test_a_conversation_and_what_is_made_of_it_are_texts_with_a_limit() -> None:
    with pytest.raises(
        ft.InputError, match="renders it, has 1,000 characters, and the limit text_characters is 999"
    ):
        rendered("{{ messages[0].content }}", [{"role": "user", "content": "x" * 1000}], text_characters=999)


def test_a_long_usual_conversation_is_rendered() -> None:
    source = "{% set n = namespace(x='') %}{% for m in messages %}{% set n.x = n.x ~ m.content | trim %}{% endfor %}{{ n.x }}"
    messages = [{"role": "user", "content": "many words " * 60}] * 500
    assert len(rendered(source, messages)) == 500 * (60 * 11 - 1)


def test_a_chat_has_the_limits_that_the_model_was_loaded_with(make_generator: Callable[..., Path]) -> None:
    folder = make_generator(
        files={"chat_template.jinja": "{{ messages[-1].content * (99 if messages[-1].much else 1) }}"}
    )
    limits = ft.Limits(text_characters=30)
    with ft.TextGenerator.load(folder, threads=1, limits=limits) as model:
        message = {"role": "user", "content": "play music"}
        assert model.chat([message], max_new_tokens=2).prompt_tokens == 2
        with pytest.raises(
            ft.InputError, match="the conversation has 50 characters, and the limit"
        ) as caught:
            model.chat([message, message])
        with pytest.raises(
            ft.InputError, match="as the bundle's chat template renders it, has 495 characters"
        ):
            model.chat([{"role": "user", "content": "a off", "much": True}])
    assert caught.value.row == 1
