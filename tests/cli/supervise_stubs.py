"""The real supervisor over stub programs: `python supervise_stubs.py '[[name, [arguments], port], ...]'`."""

import asyncio
import json
import os
import sys
from pathlib import Path

from services.cli.probes import GrpcHealth, HttpHealth
from services.cli.restarts import RestartLimits
from services.cli.supervisor import Program, Supervisor, Timing

STUB = str(Path(__file__).with_name("stub_program.py"))


def program(name: str, arguments: list[str], port: int) -> Program:
    front = arguments[0] == "front"
    health = HttpHealth(f"http://127.0.0.1:{port}/health") if front else GrpcHealth(f"127.0.0.1:{port}")
    command = () if arguments[0].startswith("/") else (sys.executable, STUB)
    return Program(name, (*command, *arguments), dict(os.environ), health, front=front)


def say(name: str, line: str) -> None:
    sys.stdout.write(f"{name}|{line}\n")
    sys.stdout.flush()


timing = Timing(
    grace=float(os.environ.get("GRACE", "5")), poll=0.05, restarts=RestartLimits(first_delay=0.05, attempts=3)
)
supervisor = Supervisor(
    [program(*entry) for entry in json.loads(sys.argv[1])],
    say=say,
    ready=lambda: say("speechmesh", "READY"),
    timing=timing,
)
sys.exit(asyncio.run(supervisor.run()))
