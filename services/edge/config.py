"""The settings of the edge."""

import tempfile
from pathlib import Path

from pydantic import Field, FilePath
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import Address, ServiceSettings


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

    keys_file: FilePath | None = None
    """File with one API key a line; read at the start. Without it no key is valid."""

    allow_anonymous: bool = True
    """Whether requests without a key are served."""

    spool_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "speechmesh-spool")
    """Folder whose disk holds uploads while they are worked on; nothing stays in it."""

    max_upload_bytes: int = Field(default=2_000_000_000, ge=1)
    """Largest upload that is taken."""

    upload_stall_seconds: float = Field(default=60, gt=0)
    """Longest pause of a sender; an upload that stops is given up."""

    concurrency: int = Field(default=32, ge=1, le=128)
    """Recordings worked on at once, each with a decoder of its own, and as many summaries; one more is refused with
    429."""

    max_audio_seconds: float = Field(default=14_400, gt=0)
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
