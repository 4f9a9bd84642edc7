"""What the tests of diarize share: the two-speaker recording as samples, and the real diarizer."""

import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from services.models.catalogue import model_folder

if TYPE_CHECKING:
    from services.diarize.pyannote_engine import PyannoteDiarizer


@pytest.fixture(scope="session")
def two_speaker_samples(two_speakers: Path) -> NDArray[np.int16]:
    with wave.open(str(two_speakers)) as source:
        assert source.getframerate() == 16_000
        return np.frombuffer(source.readframes(source.getnframes()), "<i2").astype(np.int16)


@pytest.fixture(scope="session")
def campplus_folder(models_dir: Path) -> Path:
    return model_folder(models_dir, "segmentation-3.0-campplus")


@pytest.fixture(scope="session")
def pyannote_diarizer(campplus_folder: Path) -> "PyannoteDiarizer":
    from services.diarize.pyannote_engine import PyannoteDiarizer

    # One thread: on a busy machine torch's threads wait for each other longer than they work.
    return PyannoteDiarizer(campplus_folder, device="cpu", threads=1, segmentation_step=0.2)
