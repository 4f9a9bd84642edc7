"""Values of asr as protobuf, and back: nothing decided."""

from __future__ import annotations

from services.asr.engine import Task
from services.asr.live import AnySession, Interim, LiveEvent, LiveOutput, Position, SpeechBegan
from services.asr.options import DEFAULT_BEAM, RecognitionOptions
from services.asr.resume import to_token
from services.asr.session import Output
from services.asr.transcript import Reason, Recognition, Segment, Suppressed
from services.runtime.errors import invalid_field
from services.runtime.spans import to_duration, to_span
from speechmesh.asr.v1 import asr_pb2

_TASKS: dict[int, Task] = {
    asr_pb2.TASK_UNSPECIFIED: Task.TRANSCRIBE,
    asr_pb2.TASK_TRANSCRIBE: Task.TRANSCRIBE,
    asr_pb2.TASK_TRANSLATE: Task.TRANSLATE,
}
_REASONS = {
    Reason.NO_SPEECH: asr_pb2.SuppressedText.REASON_NO_SPEECH,
    Reason.OUTSIDE_SPEECH: asr_pb2.SuppressedText.REASON_OUTSIDE_SPEECH,
    Reason.REPETITION: asr_pb2.SuppressedText.REASON_REPETITION,
    Reason.STOCK_PHRASE: asr_pb2.SuppressedText.REASON_STOCK_PHRASE,
}


def to_options(config: asr_pb2.RecognitionConfig) -> RecognitionOptions:
    """Return the options of a configuration.

    Raises:
        MeshError: INVALID for a task that there is not.
    """
    if config.task not in _TASKS:
        raise invalid_field("task", "The task must be TASK_TRANSCRIBE or TASK_TRANSLATE.")
    return RecognitionOptions(
        language=config.language_code or None,
        task=_TASKS[config.task],
        initial_prompt=config.initial_prompt,
        hint_phrases=tuple(config.hint_phrases),
        beam_size=config.beam_size or DEFAULT_BEAM,
    )


def to_responses(output: Output, *, omit_words: bool) -> list[asr_pb2.RecognizeResponse]:
    """Return the messages that say what is new in a recording."""
    return [
        *(
            asr_pb2.RecognizeResponse(segment=_to_segment(segment, omit_words=omit_words))
            for segment in output.segments
        ),
        *(asr_pb2.RecognizeResponse(suppressed=_to_suppressed(text)) for text in output.suppressed),
    ]


def to_stream_responses(output: LiveOutput, *, omit_words: bool) -> list[asr_pb2.StreamingRecognizeResponse]:
    """Return the messages that say what is new in a stream: first what is final."""
    return [
        *(
            asr_pb2.StreamingRecognizeResponse(segment=_to_segment(segment, omit_words=omit_words))
            for segment in output.segments
        ),
        *(asr_pb2.StreamingRecognizeResponse(suppressed=_to_suppressed(text)) for text in output.suppressed),
        *(_to_event(event) for event in output.events),
    ]


def to_summary(session: AnySession) -> asr_pb2.RecognitionSummary:
    """Return what holds for a recording or stream as a whole, once it is finished."""
    recognition: Recognition = session.summary()
    return asr_pb2.RecognitionSummary(
        model=session.engine.model,
        language_code=recognition.language,
        language_probability=recognition.language_probability,
        audio_duration=to_duration(session.received_seconds),
        speech_duration=to_duration(recognition.speech_seconds),
    )


def _to_event(event: LiveEvent) -> asr_pb2.StreamingRecognizeResponse:
    if isinstance(event, Interim):
        interim = asr_pb2.InterimText(
            span=to_span(event.start, event.end), text=event.text, language_code=event.language
        )
        return asr_pb2.StreamingRecognizeResponse(interim=interim)
    if isinstance(event, Position):
        position = asr_pb2.StreamPosition(offset=to_duration(event.seconds), resume_token=to_token(event.point))
        return asr_pb2.StreamingRecognizeResponse(position=position)
    began = isinstance(event, SpeechBegan)
    kind = asr_pb2.SpeechEvent.KIND_BEGAN if began else asr_pb2.SpeechEvent.KIND_ENDED
    return asr_pb2.StreamingRecognizeResponse(speech_event=asr_pb2.SpeechEvent(kind=kind, offset=to_duration(event.at)))


def _to_segment(segment: Segment, *, omit_words: bool) -> asr_pb2.Segment:
    evidence = segment.evidence
    words = () if omit_words else segment.words
    return asr_pb2.Segment(
        span=to_span(segment.start, segment.end),
        text=segment.text,
        words=[
            asr_pb2.Word(span=to_span(word.start, word.end), text=word.text, probability=word.probability)
            for word in words
        ],
        confidence=segment.confidence,
        average_log_probability=evidence.average_log_probability,
        no_speech_probability=evidence.no_speech_probability,
        compression_ratio=evidence.compression_ratio,
        language_code=evidence.language,
        language_probability=evidence.language_probability,
    )


def _to_suppressed(suppressed: Suppressed) -> asr_pb2.SuppressedText:
    return asr_pb2.SuppressedText(
        span=to_span(suppressed.start, suppressed.end), text=suppressed.text, reason=_REASONS[suppressed.reason]
    )
