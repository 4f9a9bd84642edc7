import sys

import pytest

from services.cli.check import CHECKS, Check, run


def python(name: str, code: str) -> Check:
    return Check(name, (sys.executable, "-c", code))


def test_all_checks_are_run_and_each_is_reported_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    failing = python("second", "import sys; sys.exit('what is wrong')")
    assert run([python("first", "pass"), failing, python("third", "print('quiet')")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in (lines[0], lines[1], lines[3])] == [
        ["first", "ok"],
        ["second", "FAILED"],
        ["third", "ok"],
    ]
    assert lines[0].endswith(" s")
    assert lines[2] == "    what is wrong"
    assert lines[4] == "Failed: second."


def test_success_is_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([python("only", "pass")]) == 0
    assert capsys.readouterr().out.endswith("All checks passed.\n")


def test_a_tool_that_is_not_there_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([Check("absent", ("/nonexistent/tool",))]) == 1
    assert "cannot run /nonexistent/tool" in capsys.readouterr().out


def test_the_tools_are_the_ones_installed_beside_this_python() -> None:
    assert [check.name for check in CHECKS] == [
        "format",
        "lint",
        "types",
        "layers",
        "protos",
        "generated code",
    ]
    assert all(check.argv[0].startswith(sys.prefix) for check in CHECKS)
