"""Runs the asr service: `python -m services.asr`, settings by environment (see config.py)."""

from services.asr.config import AsrSettings
from services.asr.device import describe_device
from services.asr.engine import Models
from services.asr.server import AsrServicer
from services.models.catalogue import load_catalogue, model_folder
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.process import begin, run_grpc
from speechmesh.asr.v1 import asr_pb2, asr_pb2_grpc


def _load_models(settings: AsrSettings) -> Models:
    # Imported here: the health port answers while the libraries load.
    from services.asr.whisper import WhisperTranscriber

    transcribers = {}
    for model in settings.models:
        transcriber = WhisperTranscriber(
            model,
            model_folder(settings.models_dir, model),
            device=settings.device,
            compute_type=settings.compute_type,
            threads=settings.threads,
        )
        transcriber.warm_up()
        transcribers[model] = transcriber
    names = {entry.id: entry.name for entry in load_catalogue().models}
    return Models(transcribers, settings.aliases, names)


def main() -> None:
    """Serve until told to stop."""
    settings = begin("asr", AsrSettings)
    models: Loading[Models] = Loading()
    admission = Admission("asr", places=settings.queue_limit, slots=settings.concurrency)
    servicer = AsrServicer(models, describe_device(settings.device), admission, settings.max_audio_seconds)
    run_grpc(
        settings,
        asr_pb2.DESCRIPTOR.services_by_name["AsrService"].full_name,
        register=lambda server: asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server),
        load=lambda: models.set(_load_models(settings)),
    )


if __name__ == "__main__":
    main()
