"""Runs the asr service: `python -m services.asr`, settings by environment (see config.py)."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from services.asr.config import AsrSettings
from services.asr.device import Device, describe_device, lay_out, widest_vectors
from services.models.catalogue import load_catalogue, model_folder
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.process import begin, run_grpc
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc

if TYPE_CHECKING:
    from services.asr.transcriber import Transcriber


_CPUINFO = Path("/proc/cpuinfo")


def _load(settings: AsrSettings, device: Device) -> Transcriber:
    widest_vectors(_CPUINFO.read_text() if _CPUINFO.exists() else "", os.environ)
    # Imported here: the health port answers while the libraries load.
    from services.asr.models import Models
    from services.asr.scheduler import Scheduler
    from services.asr.silero import Silero
    from services.asr.transcriber import Transcriber
    from services.asr.whisper import WhisperEngine
    from services.asr.windows import WindowRules
    from services.asr.workers import Workers

    folders = {model: model_folder(settings.models_dir, model) for model in settings.models}
    weights = [(folder / "model.bin").stat().st_size // (1024 * 1024) for folder in folders.values()]
    layout = lay_out(device, settings.threads, weights)
    engines = {
        model: WhisperEngine(
            model,
            folder,
            device=settings.device,
            compute_type=settings.compute_type,
            workers=layout.workers,
            threads=layout.threads,
        )
        for model, folder in folders.items()
    }
    names = {entry.id: entry.name for entry in load_catalogue().models}
    transcriber = Transcriber(
        Models(engines, settings.aliases, names),
        Silero().listen,
        Workers(layout.workers, Scheduler(layout.workers, layout.limits), settings.queue_seconds),
        WindowRules(longest=settings.window_seconds),
    )
    transcriber.warm_up()
    return transcriber


def main() -> None:
    """Serve until told to stop."""
    settings = begin("asr", AsrSettings)
    # Imported here: it imports numpy, whose threads are told only once how they shall behave.
    from services.asr.server import AsrServicer

    device = describe_device(settings.device)
    transcriber: Loading[Transcriber] = Loading()
    servicer = AsrServicer(
        transcriber,
        device,
        Admission(
            "asr",
            places=settings.queue_limit,
            slots=settings.queue_limit,
            expected_wait=lambda: transcriber.get().expected_wait_seconds(),
        ),
        Admission("asr-streams", places=settings.stream_limit, slots=settings.stream_limit),
        ThreadPoolExecutor(settings.threads, thread_name_prefix="asr-ear"),
        max_audio_seconds=settings.max_audio_seconds,
        buffer_seconds=settings.buffer_seconds,
    )
    run_grpc(
        settings,
        asr_pb2.DESCRIPTOR.services_by_name["AsrService"].full_name,
        register=lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server),
        load=lambda: transcriber.set(_load(settings, device)),
        drain=servicer.drain,
    )


if __name__ == "__main__":
    main()
