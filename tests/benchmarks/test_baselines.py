import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from benchmarks.baselines import PlainGenerate, diarize_turns, largest_overlap
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


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        eos_token_id=list(range(25)),
        pad_token_id=0,
    )
    folder = tmp_path_factory.mktemp("tiny")
    model: Any = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_plain_generate_writes_on_when_a_text_ends_and_alone_as_in_a_batch(tiny_model: Path) -> None:
    plain = PlainGenerate(tiny_model)
    prompts = [[1, 2, 3, 4], [30, 31, 32, 33]]

    together = plain.write(prompts, 12)
    alone = [plain.write([prompt], 12).tokens[0] for prompt in prompts]

    assert [len(tokens) for tokens in together.tokens] == [12, 12]
    # Half of all tokens end a text: these would not be there.
    assert any(token < 25 for tokens in together.tokens for token in tokens[:-1])
    assert together.tokens == alone
    assert together.first_seconds > 0


@pytest.mark.slow
def test_the_penalty_of_plain_generate_is_on_what_was_written_only(tiny_model: Path) -> None:
    plain = PlainGenerate(tiny_model)
    prompt = [7, 8, 9, 10]

    free, penalized = plain.write([prompt], 20).tokens[0], plain.write([prompt], 20, penalty=1e6).tokens[0]

    assert penalized[0] == free[0]
    assert len(set(penalized)) == 20 > len(set(free))
