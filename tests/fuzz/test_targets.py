"""Every reader refuses spoiled files with errors of its own, and reads those in which fuzzing found a bug."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftool_runtime.errors import BundleError
from tests.fuzz.found import FOUND, Found
from tests.fuzz.target import MOST_SECONDS, Prepared, Target
from tests.fuzz.targets import TARGETS

EXAMPLES = 100  # of each target; `make fuzz` tries a million of all
MOST_CHANGES = 3

Prepare = Callable[[Target], Prepared]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    """Prepares a target, once."""
    kept: dict[str, Prepared] = {}

    def prepared(target: Target) -> Prepared:
        if target.name not in kept:
            kept[target.name] = target.prepare(tmp_path_factory.mktemp("fuzz"))
        return kept[target.name]

    return prepared


def check(target: Target, prepared: Prepared, content: bytes) -> None:
    """Read a content; only the target's own errors may come, in one line that names the file."""
    try:
        prepared.read(content)
    except BaseException as error:
        problem = target.problem(error)
        if problem is not None:
            raise AssertionError(f"{target.name}: {problem} for {content[:300]!r}") from error


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_spoiled_files(target: Target, prepare: Prepare) -> None:
    prepared = prepare(target)

    @settings(max_examples=EXAMPLES, deadline=MOST_SECONDS * 1_000)
    @given(st.integers(min_value=0, max_value=2**63), st.integers(min_value=1, max_value=MOST_CHANGES))
    def spoiled(seed: int, changes: int) -> None:
        random = Random(seed)
        content = random.choice(prepared.seeds)
        for _ in range(changes):
            content = target.spoil(content, random)
        check(target, prepared, content)

    spoiled()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_any_bytes(target: Target, prepare: Prepare) -> None:
    prepared = prepare(target)

    @settings(max_examples=EXAMPLES // 3, deadline=MOST_SECONDS * 1_000)
    @given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
    def read(content: bytes) -> None:
        check(target, prepared, content)

    read()


@pytest.mark.parametrize("found", FOUND, ids=lambda found: f"{found.target}-{found.what}")
def test_what_fuzzing_found(found: Found, prepare: Prepare) -> None:
    target = next(one for one in TARGETS if one.name == found.target)
    check(target, prepare(target), found.content)


def test_an_error_of_another_kind_in_several_lines_or_without_a_name_is_a_problem() -> None:
    target = next(one for one in TARGETS if one.name == "ftool.sig")
    assert target.problem(BundleError("ftool.sig is damaged")) is None
    assert target.problem(BundleError("damaged")) == "an error that names neither the file nor its bundle"
    assert target.problem(KeyError("ftool.sig")) == "builtins.KeyError instead of BundleError"


def test_targets_have_different_names() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)
