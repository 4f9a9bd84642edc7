"""Settings of a process: environment variables, read once, refused when wrong.

A service declares one frozen class whose fields carry a docstring each; its `env_prefix` and the field's
name make the variable (`SPEECHMESH_ASR_` + `threads`). A variable with the prefix that no field knows is an
error too: a misspelt setting that is silently ignored is found only when it hurts.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

S = TypeVar("S", bound="ServiceSettings")

_ADDRESS = re.compile(r"(?:\[([^][\s]+)\]|([^][:\s]+)):([0-9]{1,5})")
_LAST_PORT = 65_535


def parse_address(text: str) -> tuple[str, int]:
    """Return the host and the port (0..65535) of `host:port`; an IPv6 host stands in brackets, which are left out.

    Raises:
        ValueError: with a sentence.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > _LAST_PORT:
        raise ValueError(f"{text!r} is not of the form host:port with a port up to {_LAST_PORT} (IPv6: [host]:port)")
    return match[1] or match[2], int(match[3])


def _check_address(text: str) -> str:
    parse_address(text)
    return text


def _split_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _split_pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = dict[str, str]()
    for part in filter(None, (part.strip() for part in value.split(","))):
        alias, separator, target = (piece.strip() for piece in part.partition("="))
        if not (alias and separator and target):
            raise ValueError(f"{part!r} is not of the form alias=model")
        pairs[alias] = target
    return pairs


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]
"""Names separated by commas."""

Aliases = Annotated[dict[str, str], NoDecode, BeforeValidator(_split_pairs)]
"""Pairs `alias=model` separated by commas."""

Address = Annotated[str, AfterValidator(_check_address)]
"""`host:port`, an IPv6 host in brackets; port 0 takes any free one."""


class ServiceSettings(BaseSettings):
    """What every process of the mesh can be told."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
        protected_namespaces=(),
    )

    metrics_listen: Address = "127.0.0.1:0"
    """Where Prometheus metrics are served over HTTP (`/metrics`); port 0 takes any free one."""

    drain_seconds: float = Field(default=20.0, ge=0, le=3600)
    """How long a process that was told to stop lets running requests finish."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="SPEECHMESH_LOG_LEVEL"
    )
    """Least severity that is logged."""

    log_format: Literal["text", "json"] = Field(default="text", validation_alias="SPEECHMESH_LOG_FORMAT")
    """`text` for people, `json` (one object a line) for collectors."""


def available_cores() -> int:
    """Return how many cores this process may use."""
    # Fewer than the machine has under taskset or in a container that was given certain cores; a container's share
    # of processor time does not show here, and macOS tells neither.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class EngineSettings(ServiceSettings):
    """What every service with a model can be told."""

    listen: Address
    """Where gRPC is served."""

    models_dir: Path = Field(validation_alias="SPEECHMESH_MODELS_DIR")
    """Folder that `./speechmesh models pull` fills; models are loaded from here only."""

    threads: int = Field(default_factory=available_cores, ge=1, le=512)
    """Processor threads for the model; by default every core the process may use."""

    queue_limit: int = Field(default=16, ge=1, le=10_000)
    """Requests taken at once, running or waiting; one more is refused and told when to come back."""

    @property
    def threads_of_one_computation(self) -> int:
        """How many threads the libraries are told to use for one computation."""
        return self.threads


def variable(settings: type[BaseSettings], field: str) -> str:
    """Return the name of the environment variable that sets `field`."""
    alias = settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{settings.model_config['env_prefix']}{field}".upper()


def unknown_variables(settings: type[BaseSettings], environ: Mapping[str, str]) -> list[str]:
    """Return the variables that carry the prefix of `settings` and are no setting."""
    prefix = settings.model_config["env_prefix"]
    known = {variable(settings, field) for field in settings.model_fields}
    return sorted(name for name in environ if name.startswith(prefix) and name not in known)


class WrongSettings(Exception):
    """Settings that a process cannot run with; `complaints` are lines of the form `VARIABLE: what is wrong`."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("; ".join(complaints))
        self.complaints = complaints


def read_settings(settings: type[S], environ: Mapping[str, str]) -> S:
    """Read `settings` from `environ`, which holds at least what the environment of this process holds.

    Raises:
        WrongSettings: a value is wrong, or a variable with the prefix of `settings` is no setting.
    """
    complaints = [f"{name}: no such setting" for name in unknown_variables(settings, environ)]
    named = {variable(settings, field): field for field in settings.model_fields}
    # Settings that are shared have an alias, the variable itself, and are taken under that name only.
    keys = {name: name if settings.model_fields[field].validation_alias else field for name, field in named.items()}
    values: dict[str, Any] = {key: environ[name] for name, key in keys.items() if environ.get(name)}
    try:
        loaded = settings(**values)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            shown = variable(settings, name) if name in settings.model_fields else name
            complaints.append(f"{shown}: {problem['msg'].removeprefix('Value error, ')}")
    if complaints:
        raise WrongSettings(complaints)
    return loaded


def load_settings(settings: type[S]) -> S:
    """Read `settings` from the environment; leave the process with a readable list when they are wrong."""
    try:
        return read_settings(settings, os.environ)
    except WrongSettings as error:
        lines = ["The settings are wrong:", *(f"  {complaint}" for complaint in error.complaints)]
        sys.stderr.write("\n".join(lines) + "\n")
        raise SystemExit(2) from error
