import os
import sys
from pathlib import Path

import services
from services.cli.checkout import ROOT, require_checkout, tool_environment


def test_the_checkout_is_the_one_that_this_code_lies_in() -> None:
    assert services.__file__ is not None
    assert Path(services.__file__).resolve() == ROOT / "services" / "__init__.py"
    require_checkout()
    assert (ROOT / "speechmesh").is_file()


def test_tools_are_looked_for_beside_this_python_first() -> None:
    environment = tool_environment({"PATH": "/usr/bin", "LANG": "C"})
    assert environment["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(ROOT), str(ROOT / "protos")]
    assert environment["LANG"] == "C"
