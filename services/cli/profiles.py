"""The deployment profiles of one machine: which models run where, as data.

A profile only fills in what the environment leaves open: a variable that is set already wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ProfileName(StrEnum):
    """The name of a profile."""

    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True)
class Profile:
    """One profile."""

    name: ProfileName
    """Also its name in the model catalogue, which lists the models it needs."""

    settings: Mapping[str, str]
    """Environment variables of the services."""


_CPU = Profile(
    ProfileName.CPU,
    {
        "SPEECHMESH_ASR_DEVICE": "cpu",
        "SPEECHMESH_ASR_COMPUTE_TYPE": "int8",
        "SPEECHMESH_ASR_MODELS": "base",
        # So that clients written for the big models work on a laptop; every answer names what really ran.
        "SPEECHMESH_ASR_ALIASES": "large-v3-turbo=base,large-v3=base,medium=base,small=base",
        "SPEECHMESH_DIARIZE_DEVICE": "cpu",
        "SPEECHMESH_DIARIZE_MODEL": "segmentation-3.0-campplus",
        "SPEECHMESH_SUMMARIZE_DEVICE": "cpu",
        "SPEECHMESH_SUMMARIZE_MODEL": "qwen2.5-coder-0.5b-instruct",
    },
)

_GPU = Profile(
    ProfileName.GPU,
    {
        "SPEECHMESH_ASR_DEVICE": "cuda",
        "SPEECHMESH_ASR_COMPUTE_TYPE": "float16",
        "SPEECHMESH_ASR_MODELS": "large-v3-turbo,large-v3,medium,small",
        "SPEECHMESH_DIARIZE_DEVICE": "cuda",
        "SPEECHMESH_DIARIZE_MODEL": "speaker-diarization-community-1",
        "SPEECHMESH_SUMMARIZE_DEVICE": "cuda",
        "SPEECHMESH_SUMMARIZE_MODEL": "qwen2.5-1.5b-instruct",
    },
)

PROFILES: Mapping[ProfileName, Profile] = {profile.name: profile for profile in (_CPU, _GPU)}
"""All profiles by name."""
