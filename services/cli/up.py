"""`up`: everything on this machine, from missing models to the line that says it serves."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from services.cli.console import Console
from services.cli.data_folder import ensure_key, locked
from services.cli.deployment import (
    PORTS_NEEDED,
    SERVICES,
    Site,
    address,
    models_needed,
    programs,
    settings_for,
)
from services.cli.model_files import ensure_models
from services.cli.ports import can_listen, free_ports
from services.cli.profiles import PROFILES, ProfileName
from services.cli.supervisor import SUPERVISOR, Program, Supervisor
from services.models.folders import default_data_dir, default_models_dir
from services.runtime.errors import Fault, MeshError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080

GetModels = Callable[[Sequence[str], Path], None]
Plan = Callable[[Site, Mapping[str, str]], Sequence[Program]]


def run(
    *,
    host: str | None,
    port: int | None,
    data: Path | None,
    profile: ProfileName,
    environ: Mapping[str, str],
    get_models: GetModels = ensure_models,
    plan: Plan = programs,
) -> int:
    """Set up what is missing, then run all services until told to stop.

    Args:
        host: address on which the edge listens; None: as SPEECHMESH_EDGE_LISTEN says, else this machine only.
        port: its port, 0 for any free one; None: as SPEECHMESH_EDGE_LISTEN says, else 8080.
        data: data folder; None: the usual one.
        profile: which models run where.
        environ: the environment, which also says everything that no option says.
        get_models: sees to it that models are there, given their ids and the models folder.
        plan: returns what to run, given the settings.

    Returns:
        the exit code: 0 after a clean stop.

    Raises:
        MeshError: the port or the data folder is in use, or a model cannot be had.
    """
    site = _site(host, port, data, environ)
    with locked(site.data):
        _require_port(site)
        ports = free_ports(PORTS_NEEDED)
        settings = settings_for(site, PROFILES[profile], environ, cores=_cores(), ports=ports)
        get_models(models_needed(settings), site.models)
        _show_key(site, Path(settings["SPEECHMESH_EDGE_KEYS_FILE"]))
        console = Console((SUPERVISOR, *SERVICES))
        console.say(SUPERVISOR, f"starting {', '.join(SERVICES)} ({profile.value} profile, data in {site.data})")
        supervisor = Supervisor(
            plan(site, settings),
            say=console.say,
            ready=lambda: _tell(f"Speechmesh is ready at {site.url}"),
        )
        return asyncio.run(supervisor.run())


def _site(host: str | None, port: int | None, data: Path | None, environ: Mapping[str, str]) -> Site:
    folder = (data or default_data_dir(environ)).expanduser().absolute()
    models = default_models_dir({**environ, "SPEECHMESH_DATA": str(folder)}).absolute()
    edge_host, _, edge_port = environ.get("SPEECHMESH_EDGE_LISTEN", "").rpartition(":")
    host = host or edge_host.strip("[]") or DEFAULT_HOST
    if port is None:
        port = int(edge_port) if edge_port.isdecimal() else DEFAULT_PORT
    return Site(host, port or free_ports(1, DEFAULT_HOST)[0], folder, models)


def _cores() -> int:
    # Fewer than the machine has, inside a container or under taskset; macOS cannot tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _require_port(site: Site) -> None:
    where = address(site.host, site.port)
    try:
        free = can_listen(site.host, site.port)
    except OSError as error:
        raise MeshError(Fault.INVALID, f"Cannot listen on {where}: {error.strerror}.", field="host") from error
    if not free:
        raise MeshError(
            Fault.UNAVAILABLE,
            f"Something listens on {where} already; stop it, or choose another port with --port.",
            field="port",
        )


def _show_key(site: Site, key_file: Path) -> None:
    if key_file != site.key_file:
        _tell(f"API keys are read from {key_file}")
    elif key := ensure_key(key_file):
        _tell(f"API key (kept in {key_file}): {key}")
    else:
        _tell(f"The API key is kept in {key_file}")


def _tell(line: str) -> None:
    # Whoever read standard output may have gone; that is no reason to stop serving.
    with suppress(OSError):
        print(line, flush=True)
