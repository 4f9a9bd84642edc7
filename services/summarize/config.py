"""The settings of the summarize service."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import Address, EngineSettings


class SummarizeSettings(EngineSettings):
    """What the summarize service can be told."""

    model_config = SettingsConfigDict(env_prefix="SPEECHMESH_SUMMARIZE_")

    listen: Address = "127.0.0.1:50071"
    """Where gRPC is served."""

    model: str = "qwen2.5-coder-0.5b-instruct"
    """Id of the model to load."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the model runs."""

    max_input_tokens: int | None = Field(default=None, ge=512)
    """Longest prompt that is taken; longer texts are refused, never cut.

    By default 8192 on the cpu and 16384 on cuda; the model's own window bounds it too."""

    @property
    def token_limit(self) -> int:
        """Longest prompt: reading one takes a processor longer than a caller waits."""
        if self.max_input_tokens is not None:
            return self.max_input_tokens
        return 8192 if self.device == "cpu" else 16_384
