"""The settings of the diarize service."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import Address, EngineSettings


class DiarizeSettings(EngineSettings):
    """What the diarize service can be told."""

    model_config = SettingsConfigDict(env_prefix="SPEECHMESH_DIARIZE_")

    listen: Address = "127.0.0.1:50061"
    """Where gRPC is served."""

    model: str = "segmentation-3.0-campplus"
    """Id of the model to load."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the model runs."""

    segmentation_step: float | None = Field(default=None, gt=0, le=1)
    """Step between windows as a share of a window (10 s): smaller is slower and a little more exact.

    By default 0.2 on the cpu and 0.1 on cuda."""

    buffer_seconds: float = Field(default=600, ge=60)
    """Audio that one request may be ahead of the work on it; then flow control holds its sender."""

    max_audio_seconds: float = Field(default=86_400, gt=0)
    """Longest recording that is taken."""

    @property
    def threads_of_one_computation(self) -> int:
        """On the CPU every worker computes with one thread: two that share a computation mostly wait for each other."""
        return 1 if self.device == "cpu" else self.threads

    @property
    def workers(self) -> int:
        """How many batches are computed at once: one for every core, but one on a GPU. Each takes about 0.1 GiB."""
        return self.threads if self.device == "cpu" else 1

    @property
    def step(self) -> float:
        """The step to use: half the cost of 0.1 where the cost is felt."""
        if self.segmentation_step is not None:
            return self.segmentation_step
        return 0.2 if self.device == "cpu" else 0.1
