"""The command line as a whole: the time it takes to start, and how errors are reported."""

import errno
import logging
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.helpers.cli import ftool

from ftool.cli import group, main
from ftool.cli.group import COMMANDS, CommandEntry, load_command
from ftool_runtime.errors import FtoolError

HEAVY = ("torch", "transformers", "numpy", "onnxruntime", "datasets", "pyarrow", "sklearn", "tomlkit")


def test_help_names_every_command_in_the_order_of_use() -> None:
    result = ftool("--help")
    assert result.exit_code == 0
    shown = result.stdout.partition("Commands:")[2]
    places = [shown.index(f"  {name} ") for name in COMMANDS]
    assert places == sorted(places)


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys\nfrom ftool.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules],"
        " sorted(name for name in sys.modules if name.startswith('ftool.cli.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] ['ftool.cli.group', 'ftool.cli.logs']"


@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_help_takes_less_than_three_tenths_of_a_second() -> None:
    import resource

    def child_seconds() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    seconds = []
    for _ in range(3):  # processor time, and the best of three: other tests run beside this one
        before = child_seconds()
        subprocess.run([sys.executable, "-m", "ftool", "--help"], capture_output=True, check=True)
        seconds.append(child_seconds() - before)
    assert min(seconds) < 0.3


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_prints_json(name: str) -> None:
    command = load_command(name)
    assert command.help
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--verbose", "--debug"} <= options
    assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option)), name


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["trian"], "no command 'trian'; did you mean train? (see ftool --help)"),
        (["xyz"], "no command 'xyz'; commands are new, data, train"),
        (["--nope"], "No such option"),
        (["doctor", "--nope"], "(see ftool doctor --help)"),
        (["new"], "Missing argument 'FOLDER'"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(arguments: list[str], error: str) -> None:
    result = CliRunner().invoke(main, arguments, prog_name="ftool")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert error in result.stderr


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Puts a command `fail` into the table that raises what it is given."""

    def install(error: BaseException) -> None:
        @click.command()
        def fail() -> None:
            """Fail."""
            raise error

        module = types.ModuleType("ftool_test_failing")
        module.fail = fail  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "ftool_test_failing", module)
        monkeypatch.setitem(COMMANDS, "fail", CommandEntry("ftool_test_failing:fail", "Fail."))

    return install


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (FtoolError("data.csv: row 3 is bad;\nmend it"), 2, "Error: data.csv: row 3 is bad; mend it\n"),
        (KeyboardInterrupt(), 130, "Error: interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "run/x"),
            2,
            "Error: run/x: No space left on device\n",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "Error: No space left on device\n"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    failing: Callable[[BaseException], None], error: BaseException, status: int, line: str
) -> None:
    failing(error)
    result = ftool("fail")
    assert (result.exit_code, result.stdout, result.stderr) == (status, "", line)


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback_before_the_line(
    failing: Callable[[BaseException], None], arguments: list[str]
) -> None:
    failing(FtoolError("bad"))
    result = ftool(*arguments)
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("Error: bad\n")


def test_a_bug_of_ours_is_not_dressed_up_as_bad_input(failing: Callable[[BaseException], None]) -> None:
    failing(ZeroDivisionError())
    assert isinstance(ftool("fail").exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["log"], ["step", "Warning: careful"]),
        (["log", "-v"], ["detail", "step", "Warning: careful"]),
        (["-v", "log"], ["detail", "step", "Warning: careful"]),
    ],
)
def test_logs_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], lines: list[str]
) -> None:
    @click.command()
    def log() -> None:
        """Log."""
        logger = logging.getLogger("ftool.something")
        logger.debug("detail")
        logger.info("step")
        logger.warning("careful")
        click.echo("result")

    module = types.ModuleType("ftool_test_logging")
    module.log = log  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ftool_test_logging", module)
    monkeypatch.setitem(group.COMMANDS, "log", CommandEntry("ftool_test_logging:log", "Log."))
    for _ in range(2):  # a second call in one process says nothing twice
        result = ftool(*arguments)
        assert (result.stdout, result.stderr.splitlines()) == ("result\n", lines)


def test_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert ftool("--version").stdout == f"ftool, version {version('ftool')}\n"


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    script = f"{{ {sys.executable} -m ftool --help; echo $? >status; }} | true"
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stderr == ""
    assert (tmp_path / "status").read_text() == "141\n"  # as for any tool: 1 would say that a gate said no
