"""The settings of the asr service."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import Address, Aliases, EngineSettings, Names


class AsrSettings(EngineSettings):
    """What the asr service can be told."""

    model_config = SettingsConfigDict(env_prefix="SPEECHMESH_ASR_")

    listen: Address = "127.0.0.1:50051"
    """Where gRPC is served."""

    models: Names = ("base",)
    """Ids of the models to load; the first is the default."""

    aliases: Aliases = Field(default_factory=dict)
    """Other ids under which loaded models are served, as `alias=model`; answers name what really ran."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the models run."""

    compute_type: str = "int8"
    """CTranslate2's number format, such as `int8`, `float16` or `int8_float16`."""

    queue_limit: int = Field(default=64, ge=1, le=10_000)
    """Requests taken at once, running or waiting; one more is refused and told when to come back."""

    stream_limit: int = Field(default=64, ge=1, le=10_000)
    """Live streams taken at once; one more is refused."""

    queue_seconds: float = Field(default=1800, gt=0)
    """Audio of short requests that may wait; when it is more, new requests are refused and told when to come back."""

    buffer_seconds: float = Field(default=600, ge=60)
    """Audio that one request may be ahead of its recognition; then flow control holds its sender."""

    window_seconds: float = Field(default=17, ge=5, le=26)
    """Longest stretch of speech that is recognized at once. Shorter is faster, longer hears more context."""

    max_audio_seconds: float = Field(default=86_400, gt=0)
    """Longest recording that is taken."""

    @property
    def threads_of_one_computation(self) -> int:
        """On the CPU every worker computes with one thread."""
        return 1 if self.device == "cpu" else self.threads
