import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from benchmarks.baselines import diarize_turns, largest_overlap
from benchmarks.scoring import Utterance
from benchmarks.server import ServerError
from services.edge.transcript import Segment, Turn, Word
from speechmesh.common.v1 import common_pb2
from speechmesh.diarize.v1 import diarize_pb2, diarize_pb2_grpc


class FakeDiarizer(diarize_pb2_grpc.DiarizeServiceServicer):
    """Finds one turn over all the audio that it gets."""

    def Diarize(self, request_iterator: Any, context: Any) -> Iterator[diarize_pb2.DiarizeResponse]:
        samples = sum(len(request.audio) for request in request_iterator) // 2
        end = Duration()
        end.FromMilliseconds(samples // 16)
        span = common_pb2.TimeSpan(start_offset=Duration(), end_offset=end)
        yield diarize_pb2.DiarizeResponse(progress=common_pb2.Progress())
        yield diarize_pb2.DiarizeResponse(
            diarization=diarize_pb2.Diarization(turns=[diarize_pb2.Turn(span=span, speaker_index=3)])
        )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "two_seconds.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(2 * 32_000))
    return path


def test_the_whole_recording_is_sent_and_the_turns_come_back(recording: Path) -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    diarize_pb2_grpc.add_DiarizeServiceServicer_to_server(FakeDiarizer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert diarize_turns(f"127.0.0.1:{port}", recording) == [Utterance("speaker 3", "", 0.0, 2.0)]
    finally:
        server.stop(None).wait()


def test_a_service_that_is_not_there_is_an_error(recording: Path) -> None:
    with pytest.raises(ServerError, match=r"two_seconds\.wav: diarize at 127\.0\.0\.1:9"):
        diarize_turns("127.0.0.1:9", recording)


def test_each_word_goes_to_the_largest_overlap_or_to_nobody() -> None:
    words = (
        Word(" one", 0.0, 1.0, 0.9),
        Word(" two", 1.0, 2.0, 0.9),
        Word(" three", 2.0, 3.0, 0.9),
        Word(" four", 5, 6, 0.9),
    )
    segment = Segment(0.0, 6.0, "one two three four", words, 0.9, -0.1, 0.0, 1.0, "en", 1.0)
    turns = [Turn(0.0, 1.6, 0), Turn(1.5, 3.0, 1)]

    assert largest_overlap([segment], turns) == [
        Utterance("0", "one two", 0.0, 2.0),
        Utterance("1", "three", 2.0, 3.0),
        Utterance("unknown", "four", 5, 6),
    ]
