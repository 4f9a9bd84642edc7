"""What all services of a deployment are told, held against what they understand before anything is started.

A service refuses wrong settings too, but only when it starts: minutes later, when the models are there.
"""

from collections.abc import Mapping

from services.asr.config import AsrSettings
from services.diarize.config import DiarizeSettings
from services.edge.config import EdgeSettings
from services.runtime.errors import Fault, MeshError
from services.runtime.parent import PARENT_PID
from services.runtime.settings import ServiceSettings, WrongSettings, parse_address, read_settings, variable
from services.summarize.config import SummarizeSettings

PREFIX = "SPEECHMESH_"
"""Of every environment variable of the project."""

COMMAND_LINE = frozenset(
    {
        "SPEECHMESH_API_KEY",
        "SPEECHMESH_DATA",
        "SPEECHMESH_HOST",
        "SPEECHMESH_PORT",
        "SPEECHMESH_PROFILE",
        "SPEECHMESH_URL",
        "SPEECHMESH_VENVS",
        PARENT_PID,
    }
)
"""Variables that the launcher and the command line read."""

_CONFIGS: tuple[type[ServiceSettings], ...] = (AsrSettings, DiarizeSettings, SummarizeSettings, EdgeSettings)
_DRAIN_MARGIN_SECONDS = 5.0


def require_valid(settings: Mapping[str, str]) -> list[ServiceSettings]:
    """Return what each service makes of `settings`, which hold the environment and what was chosen on top.

    Raises:
        MeshError: INVALID, naming every variable that is wrong or that nobody knows.
    """
    complaints = [f"{name}: no such setting" for name in _unknown(settings)]
    loaded = list[ServiceSettings]()
    for config in _CONFIGS:
        try:
            loaded.append(read_settings(config, settings))
        except WrongSettings as error:
            complaints.extend(error.complaints)
    if complaints:
        # What services share is wrong for each of them, and is told once.
        raise MeshError(Fault.INVALID, f"The settings are wrong: {'; '.join(dict.fromkeys(complaints))}.")
    return loaded


def configured_address(environ: Mapping[str, str], name: str) -> tuple[str, int] | None:
    """Return the host and port that the variable `name` says, None when it is not set.

    Raises:
        MeshError: INVALID, with the variable's name.
    """
    text = environ.get(name)
    try:
        return parse_address(text) if text else None
    except ValueError as error:
        raise MeshError(Fault.INVALID, f"{name}: {error}.", field="listen") from error


def configured_ports(environ: Mapping[str, str]) -> set[int]:
    """Return the ports on which services have been told to listen.

    Raises:
        MeshError: INVALID for a variable that holds no address.
    """
    names = {variable(config, field) for config in _CONFIGS for field in ("listen", "metrics_listen")}
    return {address[1] for name in sorted(names) if (address := configured_address(environ, name))} - {0}


def grace_seconds(services: list[ServiceSettings]) -> float:
    """Return how long programs that were told to stop may take: as long as the slowest drains, and some more."""
    return max(service.drain_seconds for service in services) + _DRAIN_MARGIN_SECONDS


def _unknown(settings: Mapping[str, str]) -> list[str]:
    prefixes = tuple(config.model_config["env_prefix"] for config in _CONFIGS)
    known = COMMAND_LINE | {variable(config, field) for config in _CONFIGS for field in config.model_fields}
    # The services' own prefixes are looked after by the services' own settings.
    return sorted(
        name for name in settings if name.startswith(PREFIX) and not name.startswith(prefixes) and name not in known
    )
