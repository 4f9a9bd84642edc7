"""One recording's way through the mesh: decode once, listen and diarize at the same time, merge, sum up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from services.audio.pcm import byte_count
from services.audio.pcm import seconds as pcm_seconds
from services.edge.channels import side_by_side
from services.edge.clients import AsrClient, Diarization, DiarizeClient, Recognition, SummarizeClient
from services.edge.decoders import Decoders
from services.edge.feeds import Feed, OnProgress, Shares, fed, pump, unhurried
from services.edge.form import TranscribeOptions
from services.edge.media import Chunk, DecodeLimits
from services.edge.merge import merge
from services.edge.pace import Pace
from services.edge.spool import SpoolFile
from services.edge.summary import SpokenSegment, Summary, SummaryRequest, nothing_said
from services.edge.transcript import Transcript
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

T = TypeVar("T")

Cover = Callable[[float], Awaitable[None]]
"""Sees to it that so many seconds of audio are paid for; raises MeshError (PAYMENT_REQUIRED) where they are not."""

DIARIZATION_UNAVAILABLE = "diarization_unavailable"
"""Warning on a transcript without speakers that was to have them."""

SUMMARY_UNAVAILABLE = "summary_unavailable"
"""Warning on a transcript without a summary that was to have one."""

_MOST_SPEED = 1_000
"""Times real time at which a long recording is decoded, all its channels together: several times what a GPU
transcribes of it."""

_PASSING = (Fault.UNAVAILABLE, Fault.TOO_SLOW, Fault.OVERLOADED)

_SILENT_SECONDS = 1.0
"""How much less may come out of a file than it says: what encoders put around the sound, and estimates. So a recording
that is to the second what is left is not refused for it; what it really has is covered as it comes."""


@dataclass(frozen=True)
class Mesh:
    """The services that a transcription needs, and what decodes for them."""

    decoders: Decoders
    admission: Admission
    """Places for recordings that are worked on."""
    asr: AsrClient
    diarize: DiarizeClient
    summarize: SummarizeClient
    tier_wait_seconds: float
    max_audio_seconds: float


async def transcribe(
    mesh: Mesh,
    file: SpoolFile,
    options: TranscribeOptions,
    caller: str,
    request_id: str,
    progress: OnProgress,
    cover: Cover,
) -> Transcript:
    """Turn the recording in `file` into a transcript, with its summary where one is asked for.

    Cancelling this coroutine ends the decoder and all calls.

    Args:
        mesh: the services.
        file: the recording; it is closed as soon as all of it is decoded.
        options: what is wanted of it.
        caller: who asks, as other services know him.
        request_id: goes with every call.
        progress: is told how far it has come.
        cover: sees to it that so much audio is paid for, before any of it is listened to.

    Raises:
        MeshError: the file is no recording that can be read, a service failed, or it is not paid for.
    """
    # Where each channel is a speaker, nobody has to find out who speaks when.
    wanted = options.diarize and not options.separate
    await mesh.asr.tier.wait_serving(mesh.tier_wait_seconds)
    diarizes = wanted and await _diarize_serves(mesh, options)
    if options.summarize is not None:
        await mesh.summarize.tier.wait_serving(mesh.tier_wait_seconds)
    progress("decoding", 0.0)
    limits = DecodeLimits(max_seconds=mesh.max_audio_seconds)
    async with mesh.decoders.decode(file.fileno(), limits, separate=options.separate) as decoding:
        probe = await decoding.probe()
        channels = probe.channels if options.separate else 1
        if probe.duration is not None and not probe.is_guessed:
            await cover(max(0.0, probe.duration - _SILENT_SECONDS) * channels)
        listening = _Listening(mesh, options, caller, request_id, Shares(progress, probe.duration))
        decoded = unhurried(decoding.chunks(), Pace(_MOST_SPEED * byte_count(1)))
        chunks = _covered(_to_the_end(decoded, file), cover)
        # One place is taken already; to asr, each channel is a recording.
        with mesh.admission.more(channels - 1):
            recognitions, diarization = await listening.listen(chunks, channels, diarizes=diarizes)
    warnings = tuple(warning.message for warning in decoding.warnings)
    missing = wanted and diarization is None
    warnings = (*warnings, *([DIARIZATION_UNAVAILABLE] if missing else []))
    # Hours of words take a second or two, in which other requests want to be answered.
    transcript = await asyncio.to_thread(_merged, options, recognitions, diarization, warnings)
    if options.summarize is None:
        return transcript
    return await _summed_up(mesh, transcript, options.summarize, caller, request_id, progress)


async def _to_the_end(chunks: AsyncIterator[Chunk], file: SpoolFile) -> AsyncIterator[Chunk]:
    """Yield the chunks of a recording; when all are decoded its file, and its room in the spool, are let go."""
    async for chunk in chunks:
        yield chunk
    file.close()


async def _covered(chunks: AsyncIterator[Chunk], cover: Cover) -> AsyncIterator[Chunk]:
    """Yield the chunks of a recording, each when it is paid for: a file may be longer than it says."""
    heard = 0
    async for chunk in chunks:
        heard += len(chunk.pcm)
        await cover(pcm_seconds(heard))
        yield chunk


async def _diarize_serves(mesh: Mesh, options: TranscribeOptions) -> bool:
    """Wait for diarize; return whether it serves, or raise where the caller asked for it."""
    try:
        await mesh.diarize.tier.wait_serving(mesh.tier_wait_seconds)
    except MeshError:
        if options.diarize_asked:
            raise
        return False
    return True


async def _diarized(diarizing: Awaitable[Diarization], options: TranscribeOptions) -> Diarization | None:
    """Return who speaks when; None where nobody asked for it and diarize is gone, too slow or full."""
    try:
        return await diarizing
    except MeshError as error:
        if options.diarize_asked or error.fault not in _PASSING:
            raise
        get_logger().warning("diarization_unavailable", fault=error.fault.value)
        return None


@dataclass(frozen=True)
class _Listening:
    """Has a recording listened to while it is decoded."""

    mesh: Mesh
    options: TranscribeOptions
    caller: str
    request_id: str
    done: "Shares"

    async def listen(
        self, chunks: AsyncIterator[Chunk], channels: int, *, diarizes: bool
    ) -> tuple[list[Recognition], Diarization | None]:
        """Return what was heard on each channel, and who speaks when in the only one, where that is to be found out.

        Args:
            chunks: the recording.
            channels: how many it has.
            diarizes: whether it is to be found out; then there is one channel.
        """
        heard = [Feed() for _ in range(channels)]
        feeds = [[feed] for feed in heard]
        diarizing: asyncio.Task[Diarization | None] | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                hearing = [tasks.create_task(fed(feed, self._recognized(feed))) for feed in heard]
                if diarizes:
                    spoken = Feed()
                    feeds[0].append(spoken)
                    diarizing = tasks.create_task(fed(spoken, _diarized(self._diarization(spoken), self.options)))
                await pump(chunks, feeds)
        except* MeshError as group:
            raise _first(group) from None
        return [task.result() for task in hearing], diarizing.result() if diarizing else None

    def _recognized(self, feed: "Feed") -> Awaitable[Recognition]:
        return self.mesh.asr.recognize(
            feed.chunks(),
            self.options,
            caller=self.caller,
            request_id=self.request_id,
            progress=self.done.share(),
        )

    def _diarization(self, feed: "Feed") -> Awaitable[Diarization]:
        return self.mesh.diarize.diarize(
            feed.chunks(),
            speakers=self.options.speakers,
            caller=self.caller,
            request_id=self.request_id,
            progress=self.done.share(),
        )


def _first(group: BaseExceptionGroup[MeshError]) -> MeshError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, MeshError)
    return error


def _merged(
    options: TranscribeOptions,
    recognitions: list[Recognition],
    diarization: Diarization | None,
    warnings: tuple[str, ...],
) -> Transcript:
    # The language of a recording is that of the channel with most to say.
    recognition = max(recognitions, key=lambda heard: sum(segment.end - segment.start for segment in heard.segments))
    segments, speakers = recognition.segments, tuple[str, ...]()
    if options.separate:
        segments, speakers = side_by_side([heard.segments for heard in recognitions], named=options.diarize)
    elif diarization is not None:
        segments, speakers = merge(segments, diarization.turns, diarization.exclusive_turns, diarization.activity)
    suppressed = [text for heard in recognitions for text in heard.suppressed]
    return Transcript(
        segments=segments,
        language=recognition.language,
        language_probability=recognition.language_probability,
        duration=max(heard.duration for heard in recognitions),
        model=recognition.model,
        diarized=diarization is not None or (options.separate and options.diarize),
        speakers=speakers,
        warnings=warnings,
        suppressed=tuple(sorted(suppressed, key=lambda text: text.start)),
        task=options.task,
        word_timestamps=options.word_timestamps,
        channels=len(recognitions),
    )


async def _summed_up(
    mesh: Mesh, transcript: Transcript, style: str, caller: str, request_id: str, progress: OnProgress
) -> Transcript:
    """Return the transcript with its summary; without, and with a warning, where summarize fails.

    The transcript is what was asked for first, and hours of work: no failure of summarize is worth it.
    """
    transcript = replace(transcript, summary_asked=True)
    language = "en" if transcript.task == "translate" else transcript.language
    spoken = _spoken(transcript)
    if not any(segment.text.strip() for segment in spoken):
        return replace(transcript, summary=nothing_said(style, language))
    request = SummaryRequest("", spoken, style, language or None, caller)
    progress("summarizing", 0.0)
    try:
        # It served when all this began, which may be an hour ago.
        await mesh.summarize.tier.wait_serving(mesh.tier_wait_seconds)
        summary = await _summary(mesh.summarize, request, request_id, progress)
    except MeshError as error:
        get_logger().warning("summary_unavailable", fault=error.fault.value, code=error.code)
        return replace(transcript, warnings=(*transcript.warnings, SUMMARY_UNAVAILABLE))
    return replace(transcript, summary=summary)


async def _summary(client: SummarizeClient, request: SummaryRequest, request_id: str, progress: OnProgress) -> Summary:
    async def ask(request: SummaryRequest) -> Summary:
        return await client.summarize(
            request,
            request_id=request_id,
            on_text=lambda piece: None,
            on_ratio=lambda ratio: progress("summarizing", ratio),
        )

    try:
        return await ask(request)
    except MeshError as error:
        if error.field != "language":
            raise
    # asr hears languages that summarize does not write, such as Cantonese; it knows best what comes near.
    return await ask(replace(request, language=None))


def _spoken(transcript: Transcript) -> tuple[SpokenSegment, ...]:
    """Return what summarize reads: a segment for each of the transcript's, with the name that the answer calls him."""
    return tuple(
        SpokenSegment(
            segment.text,
            None if segment.speaker is None else transcript.speakers[segment.speaker],
            (segment.start, segment.end),
        )
        for segment in transcript.segments
    )
