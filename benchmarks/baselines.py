"""What the server is compared with: plain faster-whisper on the same weights, the diarize service's turns."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.scoring import Utterance
from benchmarks.server import REQUEST_SECONDS, ServerError


class PlainWhisper:
    """faster-whisper as its users call it, on all cores of this machine.

    Args:
        model_id: id in the catalogue; its folder must be complete.
        compute_type: CTranslate2's, as the asr service has it.
        device: cpu or cuda.

    Raises:
        MeshError: the model is not in the models folder.
    """

    def __init__(self, model_id: str, compute_type: str, device: str = "cpu") -> None:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        from services.models.catalogue import model_folder
        from services.models.folders import default_models_dir

        folder = model_folder(default_models_dir(os.environ), model_id)
        cores = len(os.sched_getaffinity(0))
        self._model = WhisperModel(str(folder), device=device, compute_type=compute_type, cpu_threads=cores)
        self._batched = BatchedInferencePipeline(self._model)

    @staticmethod
    def pcm(path: Path) -> bytes:
        """Return a file as 16 kHz mono s16 PCM."""
        from faster_whisper.audio import decode_audio

        from services.audio.pcm import SAMPLE_RATE

        return _to_pcm(decode_audio(str(path), sampling_rate=SAMPLE_RATE))

    def sequential(self, pcm: bytes, language: str | None = None) -> str:
        """Return the text of `WhisperModel.transcribe` with beam 5, vad_filter and word times."""
        return _text(
            self._model.transcribe(_samples(pcm), language=language, beam_size=5, vad_filter=True, word_timestamps=True)
        )

    def batched(self, pcm: bytes, language: str | None = None) -> str:
        """Return the text of `BatchedInferencePipeline.transcribe` with batch_size=8, beam 5 and word times."""
        return _text(
            self._batched.transcribe(_samples(pcm), language=language, beam_size=5, batch_size=8, word_timestamps=True)
        )

    def one_window(self, pcm: bytes, language: str | None = None) -> str:
        """Return the text of plain windows of 30 s without voice activity detection: greedy, no timestamps."""
        samples = _samples(pcm)
        window = 30 * 16_000
        parts = [samples[start : start + window] for start in range(0, len(samples), window)]
        return " ".join(
            _text(
                self._model.transcribe(
                    part,
                    language=language,
                    beam_size=1,
                    temperature=0.0,
                    without_timestamps=True,
                    condition_on_previous_text=False,
                    compression_ratio_threshold=None,
                    log_prob_threshold=None,
                    no_speech_threshold=None,
                )
            )
            for part in parts
        )


def _text(transcribed: Any) -> str:
    segments, _ = transcribed
    return " ".join(segment.text.strip() for segment in segments)


def _samples(pcm: bytes) -> Any:
    import numpy as np

    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


def _to_pcm(samples: Any) -> bytes:
    return bytes((samples * 32767.0).round().astype("<i2").tobytes())


def diarize_turns(address: str, path: Path) -> list[Utterance]:
    """Return the turns, overlapping ones included, that the diarize service at `address` finds in a file.

    Raises:
        ServerError: it refused or could not be reached.
    """
    import grpc

    from speechmesh.diarize.v1 import diarize_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        stub = diarize_pb2_grpc.DiarizeServiceStub(channel)
        try:
            for response in stub.Diarize(_diarize_requests(path), timeout=REQUEST_SECONDS):
                if response.WhichOneof("event") == "diarization":
                    return [_turn(turn) for turn in response.diarization.turns]
        except grpc.RpcError as error:
            raise ServerError(f"{path.name}: diarize at {address}: {error.details()}") from error
    raise ServerError(f"{path.name}: diarize at {address} ended without a result")


def _diarize_requests(path: Path) -> Iterator[Any]:
    from faster_whisper.audio import decode_audio

    from services.audio.pcm import MAX_CHUNK_BYTES, SAMPLE_RATE
    from speechmesh.diarize.v1 import diarize_pb2

    pcm = _to_pcm(decode_audio(str(path), sampling_rate=SAMPLE_RATE))
    yield diarize_pb2.DiarizeRequest(config=diarize_pb2.DiarizationConfig())
    for place in range(0, len(pcm), MAX_CHUNK_BYTES):
        yield diarize_pb2.DiarizeRequest(audio=pcm[place : place + MAX_CHUNK_BYTES])


def _turn(turn: Any) -> Utterance:
    start = turn.span.start_offset.ToTimedelta().total_seconds()
    end = turn.span.end_offset.ToTimedelta().total_seconds()
    return Utterance(f"speaker {turn.speaker_index}", "", start, end)
