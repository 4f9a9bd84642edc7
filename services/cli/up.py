"""`up`: everything on this machine, from missing models to the line that says it serves."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from services.cli import owner
from services.cli.configuration import configured_address, configured_ports, grace_seconds, require_valid
from services.cli.console import Console
from services.cli.data_folder import ensure_key, locked
from services.cli.database import DATABASE_URL
from services.cli.deployment import (
    PORTS_NEEDED,
    SERVICES,
    Site,
    address,
    models_needed,
    programs,
    settings_for,
    with_ports,
)
from services.cli.model_files import ensure_models
from services.cli.ports import can_listen, free_ports
from services.cli.profiles import PROFILES, ProfileName
from services.cli.supervisor import SUPERVISOR, Program, Supervisor, Timing
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
        MeshError: a setting is wrong, the port or the data folder is in use, the database of the accounts cannot be
            used, or a model cannot be had.
    """
    site = _site(host, port, data, environ)
    with locked(site.data):
        _require_port(site)
        settings = settings_for(site, PROFILES[profile], environ)
        services = require_valid(settings)
        owner.upgrade(settings[DATABASE_URL])
        get_models(models_needed(settings), site.models)
        _show_key(site.key_file, settings[DATABASE_URL])
        # Chosen last: a download takes long, and meanwhile others take ports.
        site, settings = _with_ports(site, settings)
        return _supervise(site, profile, plan(site, settings), Timing(grace=grace_seconds(services)))


def _supervise(site: Site, profile: ProfileName, planned: Sequence[Program], timing: Timing) -> int:
    console = Console((SUPERVISOR, *SERVICES))
    console.say(SUPERVISOR, f"starting {', '.join(SERVICES)} ({profile.value} profile, data in {site.data})")
    supervisor = Supervisor(
        planned,
        say=console.say,
        ready=lambda: _tell(f"Speechmesh is ready at {site.url}"),
        timing=timing,
    )
    return asyncio.run(supervisor.run())


def _site(host: str | None, port: int | None, data: Path | None, environ: Mapping[str, str]) -> Site:
    folder = (data or default_data_dir(environ)).expanduser().absolute()
    models = default_models_dir({**environ, "SPEECHMESH_DATA": str(folder)}).absolute()
    edge_host, edge_port = configured_address(environ, "SPEECHMESH_EDGE_LISTEN") or (DEFAULT_HOST, DEFAULT_PORT)
    return Site(host or edge_host, edge_port if port is None else port, folder, models)


def _with_ports(site: Site, settings: Mapping[str, str]) -> tuple[Site, dict[str, str]]:
    taken = configured_ports(settings) | {site.port}
    first, *others = free_ports(1 + PORTS_NEEDED, taken=taken)
    site = replace(site, port=site.port or first)
    return site, with_ports(site, settings, others)


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


def _show_key(file: Path, database: str) -> None:
    key, made = ensure_key(file)
    _tell(f"API key (kept in {file}): {key}" if made else f"The API key is kept in {file}")
    if refusal := owner.admit(database, key):
        _tell(f"The API key in {file} {refusal}")


def _tell(line: str) -> None:
    # Whoever read standard output may have gone; that is no reason to stop serving.
    with suppress(OSError):
        print(line, flush=True)
