"""The one place that imports pyannote.audio: with its telemetry off and without its warning.

Import its names from here, so that no order of imports can switch the telemetry on.
"""

import os
import warnings

# pyannote.audio reports models, durations and speaker counts to its authors unless told otherwise; what
# is diarized here stays here. It reads this when it is imported, and again at every use.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"

with warnings.catch_warnings():
    # It misses torchcodec, or the FFmpeg libraries of torchcodec, to open files with. We hand it waveforms.
    warnings.filterwarnings("ignore", r"\s*torchcodec is not installed correctly", UserWarning)
    from pyannote.audio import Model, Pipeline
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.blocks.pooling import StatsPool
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.pipelines.clustering import AgglomerativeClustering, KMeansClustering
    from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization
    from pyannote.audio.utils.powerset import Powerset

__all__ = [
    "PLDA",
    "AgglomerativeClustering",
    "KMeansClustering",
    "Model",
    "Pipeline",
    "Powerset",
    "Problem",
    "PyanNet",
    "Resolution",
    "SpeakerDiarization",
    "Specifications",
    "StatsPool",
]
