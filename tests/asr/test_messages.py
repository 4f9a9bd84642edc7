import pytest

from services.asr.engine import Task
from services.asr.live import Interim, LiveOutput, Position, SpeechBegan, SpeechEnded
from services.asr.messages import to_options, to_responses, to_stream_responses
from services.asr.options import DEFAULT_BEAM, RecognitionOptions
from services.asr.resume import to_token
from services.asr.transcript import Evidence, Reason, Segment, Suppressed, Word
from services.runtime.errors import MeshError
from services.runtime.spans import to_seconds
from speechmesh.asr.v1 import asr_pb2
from tests.asr.test_resume import POINTS

SEGMENT = Segment(1.0, 2.0, "Hi.", (Word(" Hi.", 1.0, 2.0, 0.5),), Evidence(-0.25, 0.125, 1.5, "en", 0.75))
HELD = Suppressed(3.0, 4.0, "Bye.", Reason.STOCK_PHRASE)


def test_options() -> None:
    config = asr_pb2.RecognitionConfig(
        language_code="de", task=asr_pb2.TASK_TRANSLATE, initial_prompt="So", hint_phrases=["Ada"], beam_size=2
    )

    assert to_options(config) == RecognitionOptions("de", Task.TRANSLATE, "So", ("Ada",), 2)
    assert to_options(asr_pb2.RecognitionConfig()) == RecognitionOptions(beam_size=DEFAULT_BEAM)
    with pytest.raises(MeshError, match="task"):
        to_options(asr_pb2.RecognitionConfig(task=9))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_name(reason: Reason) -> None:
    (message,) = to_responses(LiveOutput(suppressed=(Suppressed(0, 1, "x", reason),)), omit_words=False)

    assert asr_pb2.SuppressedText.Reason.Name(message.suppressed.reason) == f"REASON_{reason.value.upper()}"


def test_a_stream_tells_what_is_final_first() -> None:
    events = (SpeechBegan(0.5), SpeechEnded(2.5), Interim(1.0, 2.0, "Hi", "en"), Position(0.25, POINTS[0]))

    messages = to_stream_responses(LiveOutput((SEGMENT,), (HELD,), events), omit_words=False)

    assert [message.WhichOneof("event") for message in messages] == [
        "segment",
        "suppressed",
        "speech_event",
        "speech_event",
        "interim",
        "position",
    ]
    segment, _, began, ended, interim, position = messages
    assert (segment.segment.text, segment.segment.words[0].probability) == ("Hi.", 0.5)
    assert (began.speech_event.kind, to_seconds(began.speech_event.offset)) == (asr_pb2.SpeechEvent.KIND_BEGAN, 0.5)
    assert (ended.speech_event.kind, to_seconds(ended.speech_event.offset)) == (asr_pb2.SpeechEvent.KIND_ENDED, 2.5)
    assert (interim.interim.text, interim.interim.language_code) == ("Hi", "en")
    assert (to_seconds(position.position.offset), position.position.resume_token) == (0.25, to_token(POINTS[0]))


def test_words_can_be_left_out() -> None:
    (stream,) = to_stream_responses(LiveOutput((SEGMENT,)), omit_words=True)
    (recording,) = to_responses(LiveOutput((SEGMENT,)), omit_words=True)

    assert not stream.segment.words
    assert not recording.segment.words
