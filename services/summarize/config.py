"""The settings of the summarize service."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import Address, EngineSettings
from services.summarize.parts import SHORTEST_LIMIT


class SummarizeSettings(EngineSettings):
    """What the summarize service can be told."""

    model_config = SettingsConfigDict(env_prefix="SPEECHMESH_SUMMARIZE_")

    listen: Address = "127.0.0.1:50071"
    """Where gRPC is served."""

    model: str = "qwen2.5-coder-0.5b-instruct"
    """Id of the model to load."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the model runs."""

    rows: int = Field(default=8, ge=2, le=256)
    """Texts that the model writes at once, of all requests together."""

    part_tokens: int | None = Field(default=None, ge=SHORTEST_LIMIT, le=16_384)
    """Longest stretch of a transcript that the model reads at once; a longer one is read in equal parts.

    By default 1024 on the cpu and 2048 on cuda: small models lose what stands in the middle of long texts."""

    max_characters: int = Field(default=4_000_000, ge=1000)
    """Longest transcript that is taken; longer ones are refused, never cut."""

    @property
    def tokens_of_part(self) -> int:
        """Longest stretch that is read at once, in tokens."""
        if self.part_tokens is not None:
            return self.part_tokens
        return 1024 if self.device == "cpu" else 2048
