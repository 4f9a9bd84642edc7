"""The settings of the edge."""

import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from services.accounts.store import driver_url
from services.edge.addresses import Network
from services.runtime.settings import Address, ServiceSettings


def _split_networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def _check_database_url(url: SecretStr) -> SecretStr:
    driver_url(url.get_secret_value())
    return url


DatabaseUrl = Annotated[SecretStr, AfterValidator(_check_database_url)]
"""URL of a database that the accounts can be kept in; it may hold a password."""

Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_split_networks)]
"""Networks separated by commas."""


class EdgeSettings(ServiceSettings):
    """What the edge can be told."""

    model_config = SettingsConfigDict(env_prefix="SPEECHMESH_EDGE_")

    listen: Address = "127.0.0.1:8080"
    """Where HTTP is served."""

    asr_target: str = "127.0.0.1:50051"
    """gRPC target of asr."""

    diarize_target: str = "127.0.0.1:50061"
    """gRPC target of diarize."""

    summarize_target: str = "127.0.0.1:50071"
    """gRPC target of summarize."""

    database_url: DatabaseUrl = Field(validation_alias="SPEECHMESH_DATABASE_URL")
    """Where accounts, keys and the ledger are: `sqlite:////path/to/file` for one machine, or
    `postgresql://user:password@host:port/name` for any number of edges."""

    database_connections: int = Field(default=8, ge=1, le=1000)
    """Connections to PostgreSQL at most, beside one for signs of life; on SQLite it only says how many read at once."""

    plans_file: FilePath | None = None
    """TOML file with plans that are added to those of `services/accounts/plans.toml`, or replace them by id."""

    lease_seconds: float = Field(default=10, ge=1, le=3600)
    """How long a request keeps its slot and what it has reserved after the edge that served it was killed; an answer
    that was on its way is given back after twice as long."""

    allow_anonymous: bool = True
    """Whether requests without a key are served, as the plan `anonymous` says."""

    allow_sign_up: bool = False
    """Whether anybody may make an account of the plan `free` by `POST /v1/account`."""

    trusted_proxies: Networks = ()
    """Networks of our own proxies, separated by commas, such as `10.0.0.0/8`: only these are believed in
    `X-Forwarded-For` and `Forwarded`."""

    admin_listen: Address | None = None
    """Where the admin API is served over HTTP (`/admin/v1/…`); it is off unless this is set."""

    admin_token_file: FilePath | None = Field(default=None, validate_default=True)
    """File with the token of the admin API, 32 characters at least."""

    spool_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "speechmesh-spool")
    """Folder whose disk holds uploads while they are worked on; nothing stays in it."""

    spool_max_bytes: int | None = Field(default=None, ge=1)
    """The most that uploads may hold there together, such as the size of the volume; as much as the disk has unless
    this is set. A larger file is refused with 413."""

    spool_free_bytes: int = Field(default=200_000_000, ge=0)
    """What is to stay free on that disk, whoever fills it."""

    spool_wait_seconds: float = Field(default=30, ge=0)
    """How long an upload for which there is no room is held back before it is refused with 503."""

    upload_limit: int = Field(default=256, ge=1, le=10_000)
    """Uploads on their way in at once; one more is refused with 429."""

    upload_bytes_per_second: float = Field(default=125_000_000, gt=0)
    """How fast uploads come in at most, all of them together, so that other requests do not wait behind them."""

    upload_stall_seconds: float = Field(default=60, gt=0)
    """Longest pause of a sender; an upload that stops, or brings less than 500 bytes a second in the long run, is given
    up."""

    concurrency: int = Field(default=32, ge=1, le=128)
    """Recordings worked on at once, each with a decoder of its own, and as many summaries. As many recordings wait for
    their turn; one more of either is refused with 429."""

    queue_seconds: float = Field(default=30, ge=0)
    """How long a recording that has come waits for its turn before it is refused with 429."""

    max_audio_seconds: float = Field(default=86_400, gt=0)
    """Longest recording that is taken."""

    request_seconds: float = Field(default=7_200, gt=0)
    """Longest time that a tier may take for one request."""

    tier_wait_seconds: float = Field(default=10, ge=0)
    """How long a request waits for a tier that is restarting before it gets its 503."""

    stream_limit: int = Field(default=256, ge=1)
    """Live streams served at once; one more is refused."""

    stream_idle_seconds: float = Field(default=60, gt=0)
    """Longest time without a frame; then a live stream is closed, its finals first."""

    stream_recovery_seconds: float = Field(default=60, ge=0)
    """How long a live stream looks for another asr when its own is lost; its audio is kept meanwhile."""

    @field_validator("admin_token_file")
    @classmethod
    def _token_is_there(cls, path: FilePath | None, info: ValidationInfo) -> FilePath | None:
        if path is None and info.data.get("admin_listen") is not None:
            raise ValueError("is needed where SPEECHMESH_EDGE_ADMIN_LISTEN is set")
        return path
