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

    concurrency: int = Field(default=4, ge=1, le=64)
    """Requests worked on at once; their windows take turns on the model."""

    max_audio_seconds: float = Field(default=14_400, gt=0)
    """Longest recording that is taken."""
