"""The four programs of one machine: what each is told, and how it is asked for its health. Pure.

asr, diarize, summarize    gRPC on a loopback port each
edge                       HTTP for everybody; knows the ports of the other three
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.cli.database import DATABASE_URL, file_url
from services.cli.probes import GrpcHealth, HttpHealth
from services.cli.profiles import Profile
from services.cli.supervisor import Program
from services.runtime.settings import parse_address

ENGINES = ("asr", "diarize", "summarize")
"""The services with a model, in the order of their start."""

SERVICES = (*ENGINES, "edge")
"""All services, in the order of their start."""

PORTS_NEEDED = len(ENGINES) + len(SERVICES)
"""Free ports that a deployment takes: one for each engine's gRPC, one for each service's metrics."""

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Site:
    """Where one deployment lives."""

    host: str
    """Address on which the edge listens."""

    port: int
    """Port on which the edge listens; 0 until a free one has been chosen."""

    data: Path
    """Folder for what must outlive a restart."""

    models: Path
    """Folder of the models."""

    @property
    def key_file(self) -> Path:
        """File that holds the API key."""
        return self.data / "api-key"

    @property
    def url(self) -> str:
        """Base URL at which this machine reaches the edge."""
        return f"http://{address(_ANY_ADDRESS.get(self.host, self.host), self.port)}"


def address(host: str, port: int) -> str:
    """Return `host:port`, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def settings_for(site: Site, profile: Profile, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that all services share, but where they listen; what `environ` has set is kept.

    Args:
        site: where the deployment lives.
        profile: which models run where.
        environ: the environment of the supervisor.
    """
    chosen = {
        **profile.settings,
        "SPEECHMESH_MODELS_DIR": str(site.models),
        DATABASE_URL: file_url(site.data),
        "SPEECHMESH_EDGE_SPOOL_DIR": str(site.data / "spool"),
    }
    # A profile's aliases point to the profile's models: whoever chooses other models chooses the aliases too.
    if environ.get("SPEECHMESH_ASR_MODELS"):
        chosen.pop("SPEECHMESH_ASR_ALIASES", None)
    return {**environ, **_left_open(environ, chosen)}


def with_ports(site: Site, settings: Mapping[str, str], ports: Sequence[int]) -> dict[str, str]:
    """Return `settings` with an address for every listener that has none, and the edge told of the engines'.

    Args:
        site: where the deployment lives.
        settings: what `settings_for` returned; an engine on port 0 counts as one without an address, because
            nobody would know which port it took.
        ports: `PORTS_NEEDED` free ports of the loopback address.
    """
    free = iter(ports)
    engines = {_variable(name, "LISTEN"): f"127.0.0.1:{next(free)}" for name in ENGINES}
    metrics = {_variable(name, "METRICS_LISTEN"): f"127.0.0.1:{next(free)}" for name in SERVICES}
    unknown = {name for name in engines if settings.get(name) and parse_address(settings[name])[1] == 0}
    told = {name: value for name, value in settings.items() if name not in unknown}
    told.update(_left_open(told, {**engines, **metrics}))
    # The site has taken this variable into account already, and options go before it.
    told["SPEECHMESH_EDGE_LISTEN"] = address(site.host, site.port)
    for name in ENGINES:
        target = f"SPEECHMESH_EDGE_{name.upper()}_TARGET"
        told[target] = told.get(target) or _reachable(told[_variable(name, "LISTEN")])
    return told


def models_needed(settings: Mapping[str, str]) -> list[str]:
    """Return the ids of the models that the engines will load, each once."""
    ids = [
        *settings["SPEECHMESH_ASR_MODELS"].split(","),
        settings["SPEECHMESH_DIARIZE_MODEL"],
        settings["SPEECHMESH_SUMMARIZE_MODEL"],
    ]
    return list(dict.fromkeys(model.strip() for model in ids if model.strip()))


def programs(site: Site, settings: Mapping[str, str]) -> list[Program]:
    """Return the programs to supervise, in the order of their start."""
    # The database's password is the edge's business alone.
    engine_settings = {name: value for name, value in settings.items() if name != DATABASE_URL}
    engines = [
        Program(
            name,
            _argv(name),
            engine_settings,
            GrpcHealth(_reachable(settings[_variable(name, "LISTEN")])),
        )
        for name in ENGINES
    ]
    edge = Program("edge", _argv("edge"), settings, HttpHealth(f"{site.url}/health"), front=True)
    return [*engines, edge]


def _argv(name: str) -> tuple[str, ...]:
    # -P: a folder called `services` in the place where the supervisor was started must not shadow ours.
    return (sys.executable, "-P", "-m", f"services.{name}")


def _variable(service: str, setting: str) -> str:
    return f"SPEECHMESH_{service.upper()}_{setting}"


def _left_open(environ: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return what is chosen for variables that `environ` does not set; an empty one is not set."""
    return {name: value for name, value in chosen.items() if not environ.get(name)}


def _reachable(listen: str) -> str:
    """Return where this machine reaches a service that listens on `listen`."""
    host, port = parse_address(listen)
    return address(_ANY_ADDRESS.get(host, host), port)
