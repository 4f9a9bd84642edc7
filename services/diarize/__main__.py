"""Runs the diarize service: `python -m services.diarize`, settings by environment (see config.py)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from services.diarize.config import DiarizeSettings
from services.models.catalogue import model_folder
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.process import begin, run_grpc
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc

if TYPE_CHECKING:
    from services.diarize.device import Device


NICENESS = 5
"""A third of the share that a process of the usual priority gets of a core that both want."""


def _load(settings: DiarizeSettings) -> Device:
    folder = model_folder(settings.models_dir, settings.model)
    # Imported here: the health port answers while the libraries load.
    from services.diarize.device import Device
    from services.diarize.pyannote_engine import PyannoteDiarizer

    diarizer = PyannoteDiarizer(
        folder,
        device=settings.device,
        threads=settings.threads_of_one_computation,
        segmentation_step=settings.step,
    )
    diarizer.warm_up()
    return Device(diarizer, settings.workers)


def main() -> None:
    """Serve until told to stop."""
    settings = begin("diarize", DiarizeSettings)
    if settings.device == "cpu":
        # Where it shares cores with asr, what is said live goes first; alone it has all of them all the same.
        os.nice(NICENESS)
    # Imported here: it imports numpy, whose threads are told only once how they shall behave.
    from services.diarize.server import DiarizeServicer

    device: Loading[Device] = Loading()
    servicer = DiarizeServicer(
        device,
        Admission(
            "diarize",
            places=settings.queue_limit,
            slots=settings.queue_limit,
            expected_wait=lambda: device.get().expected_wait_seconds(),
        ),
        max_audio_seconds=settings.max_audio_seconds,
        buffer_seconds=settings.buffer_seconds,
    )
    run_grpc(
        settings,
        diarize_pb2.DESCRIPTOR.services_by_name["DiarizeService"].full_name,
        register=lambda server: diarize_pb2_grpc.add_DiarizeServiceServicer_to_server(servicer, server),
        load=lambda: device.set(_load(settings)),
    )


if __name__ == "__main__":
    main()
