"""`up` with stub programs and no models: `python up_with_stubs.py DATA PORT`."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.cli import up
from services.cli.deployment import Site, programs
from services.cli.profiles import ProfileName
from services.cli.supervisor import Program

STUB = str(Path(__file__).with_name("stub_program.py"))
NOTES = os.environ.get("NOTES", os.devnull)


def tell_models(ids: Sequence[str], folder: Path) -> None:
    sys.stdout.write(f"models {','.join(ids)} in {folder}\n")


def stubs(site: Site, settings: Mapping[str, str]) -> Sequence[Program]:
    return [stub(planned, site, settings) for planned in programs(site, settings)]


def stub(planned: Program, site: Site, settings: Mapping[str, str]) -> Program:
    kind = "front" if planned.front else "serve"
    address = settings[f"SPEECHMESH_{planned.name.upper()}_LISTEN"]
    argv = (sys.executable, STUB, kind, address.rpartition(":")[2], NOTES, planned.name)
    return Program(planned.name, argv, planned.env, planned.health, front=planned.front)


sys.exit(
    up.run(
        host=None,
        port=int(sys.argv[2]),
        data=Path(sys.argv[1]),
        profile=ProfileName.CPU,
        environ=os.environ,
        get_models=tell_models,
        plan=stubs,
    )
)
