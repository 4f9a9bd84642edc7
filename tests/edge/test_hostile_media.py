"""Hostile recordings, sent over HTTP to an edge that runs as a process: each gets its answer, and nothing stays behind.

One edge serves the whole file, so what one recording does to it shows with the next. Of a mutant that fails the seed is
told, with which `mutations.mutant` makes it again.
"""

import asyncio
import io
import json
import os
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from services.edge.media import DecodeLimits
from tests.edge import bombs
from tests.edge.accounts import AUTH, key_of, new_database, plans_file
from tests.edge.conftest import DEV_DATA
from tests.edge.decoder_processes import MIB, MemoryPeaks, decoders_left, edge_process, watched_memory
from tests.edge.edge_process import EdgeProcess
from tests.edge.fake_mesh import FakeMesh, tone
from tests.edge.mutations import Mutant, mutant
from tests.edge.test_decoder import FORMATS
from tests.edge.test_decoders import DECODABLE, REFUSED
from tests.edge.zeros import gzip_with_zeros

pytestmark = pytest.mark.asyncio(loop_scope="module")

MUTANTS = int(os.environ.get("SPEECHMESH_TEST_MUTANTS", "240"))
AT_ONCE = 8

MAX_AUDIO_SECONDS = 4200
SMALL_PLAN_BYTES = 20_000_000

ANSWER_SECONDS = 40.0
"""Longest time for an answer: a decoder that says nothing is given up after 30 s."""
MOST_DECODER_BYTES = 300 * MIB
MOST_GROWTH_BYTES = 100 * MIB
"""Of the edge itself, over whatever one test sends."""

TRANSCRIPT = {"text", "language", "duration", "model", "segments", "speakers"}

Media = Callable[..., bytes]


@dataclass(frozen=True)
class Answer:
    """What came back, and when."""

    status: int
    content_type: str
    body: Any
    asked: float
    """On `time.monotonic`."""
    answered: float

    @property
    def is_transcript(self) -> bool:
        return self.status == 200 and isinstance(self.body, dict) and self.body.keys() >= TRANSCRIPT

    @property
    def is_refusal(self) -> bool:
        return (
            400 <= self.status < 500
            and self.content_type == "application/json"
            and all(isinstance(self.body.get(name), str) and self.body[name] for name in ("error", "code"))
        )


@dataclass(frozen=True)
class Edge:
    """An edge, and the session of somebody without limits."""

    url: str
    session: aiohttp.ClientSession
    process: psutil.Process
    small_plan: dict[str, str] = field(repr=False)
    """Headers of somebody who may send `SMALL_PLAN_BYTES`."""

    async def transcribe(self, content: bytes, name: str = "recording", **headers: str) -> Answer:
        """Send a recording; raise TimeoutError when there is no answer in time."""
        form = aiohttp.FormData({"diarize": "false"})
        form.add_field("file", io.BytesIO(content), filename=name)
        return await self.send(form, {**AUTH, **headers})

    async def send(self, body: Any, headers: Mapping[str, str]) -> Answer:
        asked = time.monotonic()
        timeout = aiohttp.ClientTimeout(ANSWER_SECONDS)
        async with self.session.post(
            f"{self.url}/v1/transcribe", data=body, headers=headers, timeout=timeout
        ) as response:
            text = await response.text()
            body = json.loads(text) if response.content_type == "application/json" else text
            return Answer(response.status, response.content_type, body, asked, time.monotonic())

    async def assert_unharmed(self) -> None:
        """It is the process that it was, it works, and its decoders have gone."""
        assert self.process.is_running()
        answer = await self.transcribe(tone(2.0))
        assert answer.is_transcript
        assert answer.body["text"] == "word0. word1."
        assert await decoders_left(self.process) == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    folder = tmp_path_factory.mktemp("hostile")
    url = await new_database(folder)
    _, small_plan = await key_of(url, "paid", credits=100)
    async with FakeMesh().served() as targets, aiohttp.ClientSession() as session:
        settings = {
            **targets,
            "database_url": url,
            "spool_dir": folder / "spool",
            "plans_file": plans_file(folder, paid={"max_file_bytes": SMALL_PLAN_BYTES}),
            "max_audio_seconds": MAX_AUDIO_SECONDS,
            "drain_seconds": 5,
        }
        log = folder / "edge.log"
        running = EdgeProcess(settings, log)
        await running.start()
        try:
            yield Edge(running.url, session, edge_process(), small_plan)
        finally:
            await asyncio.to_thread(running.stop)
    assert "Traceback" not in log.read_text(), "what hostile media do to the edge is never a surprise"


def assert_bounded(peaks: MemoryPeaks, sent_bytes: int = 0) -> None:
    """A decoder that was sent much may hold more: the index of a day of sound takes half as much again as the file."""
    most_decoder_bytes = max(MOST_DECODER_BYTES, DecodeLimits().job(sent_bytes).memory_bytes)
    held = {"decoder": peaks.decoder // MIB, "growth of the edge": peaks.growth // MIB}
    assert peaks.decoder < most_decoder_bytes, f"MiB: {held}"
    assert peaks.growth < MOST_GROWTH_BYTES, f"MiB: {held}"


# Mutants


@pytest.fixture(scope="module")
def intact(media: Media) -> Mapping[str, bytes]:
    """Recordings of every format: those of the development data, or some of our own."""
    folder = DEV_DATA / "formats"
    if folder.is_dir():
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return {
        f"{codec}-{video or 'alone'}.{container}": media(container, codec, video=video, rate=rate, layout="stereo")
        for container, codec, video, rate in FORMATS
    }


@dataclass
class Fuzzing:
    """Sends mutants, several at once, and keeps what was wrong about the answers."""

    edge: Edge
    complaints: list[str] = field(default_factory=list)
    answered: list[tuple[Mutant, Answer]] = field(default_factory=list)

    async def send_all(self, mutants: Iterable[Mutant]) -> None:
        waiting = iter(mutants)
        await asyncio.gather(*(self._send(waiting) for _ in range(AT_ONCE)))

    async def _send(self, waiting: Iterator[Mutant]) -> None:
        for sent in waiting:
            try:
                answer = await self.edge.transcribe(sent.content, sent.base)
            except (aiohttp.ClientError, TimeoutError) as error:
                self.complaints.append(f"{sent}: {type(error).__name__}")
                continue
            self.answered.append((sent, answer))
            if not (answer.is_transcript or answer.is_refusal):
                self.complaints.append(f"{sent}: {answer.status} {answer.body}")

    def running_at(self, moment: float) -> list[str]:
        """Return the mutants that were worked on at a moment."""
        return [str(sent) for sent, answer in self.answered if answer.asked <= moment <= answer.answered]


@pytest.mark.slow
@pytest.mark.timeout(60 + MUTANTS)
async def test_every_mutant_is_transcribed_or_refused_in_words(edge: Edge, intact: Mapping[str, bytes]) -> None:
    fuzzing = Fuzzing(edge)
    async with watched_memory(edge.process) as peaks:
        await fuzzing.send_all(mutant(seed, intact) for seed in range(MUTANTS))

    assert fuzzing.complaints == []
    assert len(fuzzing.answered) == MUTANTS
    assert {answer.status for _, answer in fuzzing.answered} >= {200, 400}, "some are harmless, some are not"
    assert peaks.decoder < MOST_DECODER_BYTES, fuzzing.running_at(peaks.decoder_at)
    assert_bounded(peaks)
    await edge.assert_unharmed()


# Bombs


@dataclass(frozen=True)
class Outcome:
    """What may honestly be said of a recording."""

    seconds: float | None = None
    """Its duration, if it may be transcribed."""
    codes: frozenset[str] = frozenset()
    """With which it may be refused."""

    def allows(self, answer: Answer) -> bool:
        if answer.is_transcript:
            return self.seconds is not None and answer.body["duration"] == pytest.approx(self.seconds, abs=0.3)
        code = answer.body["code"] if answer.is_refusal else None
        return code in self.codes and answer.status == (413 if code == "too_long" else 400)


def heard(seconds: float) -> Outcome:
    """It is an odd recording, but it is one."""
    return Outcome(seconds)


def refused(*codes: str) -> Outcome:
    return Outcome(None, frozenset(codes))


def heard_or_refused(seconds: float, *codes: str) -> Outcome:
    """It is a recording by the letter; whether it is worth its memory may be decided either way."""
    return Outcome(seconds, frozenset(codes))


HOUR = 3600.0
UNREADABLE = "unreadable_media"

BOMBS: dict[str, tuple[Callable[[Media], bytes], Outcome]] = {
    "an hour of silence in 12 kB of FLAC": (lambda _: bombs.flac_silence(HOUR), heard(HOUR)),
    "an hour of FLAC that does not say how long": (
        lambda _: bombs.flac_silence(HOUR, announced=0),
        heard(HOUR),
    ),
    "twenty hours of FLAC": (lambda _: bombs.flac_silence(20 * HOUR), refused("too_long")),
    "twenty hours of FLAC that say nothing": (
        lambda _: bombs.flac_silence(20 * HOUR, announced=0),
        refused("too_long"),
    ),
    "eighteen hours in one frame of FLAC": (lambda _: bombs.flac_silence(65_535, rate=1), refused("too_long")),
    "eighteen hours in one frame that says a second": (
        lambda _: bombs.flac_silence(65_535, rate=1, announced=1),
        refused("too_long", UNREADABLE),
    ),
    "half an hour in one frame of FLAC": (
        lambda _: bombs.flac_silence(1_638, rate=40),
        heard_or_refused(1_638, UNREADABLE),
    ),
    "an hour of silence in 63 kB of Opus": (lambda _: bombs.opus_silence(HOUR), heard(HOUR)),
    "twenty hours of Opus": (lambda _: bombs.opus_silence(20 * HOUR), refused("too_long")),
    "twenty hours of Opus that say a second": (
        lambda _: bombs.opus_silence(20 * HOUR, announced=1),
        refused("too_long"),
    ),
    "a second of Opus that says an hour": (lambda _: bombs.opus_silence(0.96, announced=HOUR), heard(0.96)),
    "a second of Opus that says twenty hours": (
        lambda _: bombs.opus_silence(0.96, announced=20 * HOUR),
        refused("too_long"),
    ),
    "an MP4 with an hour between two sounds": (
        lambda media: media("ipod", "aac", spans=((0.0, 0.5), (HOUR, HOUR + 0.5))),
        heard(HOUR + 0.5),
    ),
    "an MP4 with thirty hours between two sounds": (
        lambda media: media("ipod", "aac", spans=((0.0, 0.5), (30 * HOUR, 30 * HOUR + 0.5))),
        refused("too_long"),
    ),
    "an MP4 whose sound begins after an hour": (
        lambda _: bombs.film_of_one_picture("mp4", 64, sound=(HOUR, HOUR + 1)),
        heard(HOUR + 1),
    ),
    "an MP4 whose sound begins after thirty hours": (
        lambda _: bombs.film_of_one_picture("mp4", 64, sound=(30 * HOUR, 30 * HOUR + 1)),
        refused("too_long"),
    ),
    "a Matroska with an hour between two sounds": (
        lambda media: media("matroska", "flac", spans=((0.0, 0.5), (HOUR, HOUR + 0.5))),
        heard(HOUR + 0.5),
    ),
    "an Ogg with thirty hours between two sounds": (
        lambda media: media("ogg", "flac", spans=((0.0, 0.5), (30 * HOUR, 30 * HOUR + 0.5))),
        refused("too_long"),
    ),
    "an MP4 that claims fifteen million frames": (
        lambda _: bombs.mp4_claiming(15_000_000),
        refused("too_long", UNREADABLE),
    ),
    "a QuickTime index that unpacks to 450 MB": (
        lambda _: bombs.mov_with_packed_index(450_000_000),
        refused("no_audio_track", UNREADABLE),
    ),
    "an MP3 whose title unpacks to 130 MB": (
        lambda media: bombs.packed_title(130_000_000) + media("mp3", "libmp3lame"),
        heard_or_refused(2.0, UNREADABLE),
    ),
    "a Matroska packet that unpacks to 9 MB": (
        lambda _: bombs.matroska_of_one_packet(9_000_000, 8_000, packed=True),
        heard_or_refused(1_125, UNREADABLE),
    ),
    "a slow Matroska packet that unpacks to 9 MB": (
        lambda _: bombs.matroska_of_one_packet(9_000_000, 2_250, packed=True),
        heard_or_refused(4_000, UNREADABLE),
    ),
    "a Matroska packet of 80 MB": (
        lambda _: bombs.matroska_of_one_packet(80_000_000, 20_000, packed=False),
        heard_or_refused(4_000, UNREADABLE),
    ),
    "a Matroska packet of 150 MB": (
        lambda _: bombs.matroska_of_one_packet(150_000_000, 48_000, packed=False),
        heard_or_refused(3_125, UNREADABLE),
    ),
    "a WAV of 1 Hz": (lambda _: bombs.wav_claiming(1, data_bytes=2_000), heard_or_refused(1_000, UNREADABLE)),
    "a long WAV of 1 Hz": (lambda _: bombs.wav_claiming(1), refused("too_long", UNREADABLE)),
    "a WAV of 0 Hz": (lambda _: bombs.wav_claiming(0), refused(UNREADABLE)),
    "a WAV of 2 billion Hz": (lambda _: bombs.wav_claiming(2**31 - 1), heard_or_refused(0.0, UNREADABLE)),
    "a WAV of 4 billion Hz": (lambda _: bombs.wav_claiming(4_000_000_000), refused(UNREADABLE)),
    "a WAV of no channels": (lambda _: bombs.wav_claiming(16_000, channels=0), refused(UNREADABLE)),
    "a WAV of 64 channels": (lambda _: bombs.wav_claiming(16_000, channels=64), heard_or_refused(0.03, UNREADABLE)),
    "a WAV of 65,535 channels": (lambda _: bombs.wav_claiming(16_000, channels=65_535), refused(UNREADABLE)),
}

PICTURES = {
    f"{container} with {pixels:,} x {pixels:,} pixels": (container, pixels)
    for container in ("mp4", "mov", "avi")
    for pixels in (16_000, 20_000)
}


async def assert_defused(edge: Edge, content: bytes, outcome: Outcome) -> None:
    """Send a bomb: what comes back is honest, little memory is used for it, and nothing is left of it."""
    async with watched_memory(edge.process) as peaks:
        answer = await edge.transcribe(content)

    assert outcome.allows(answer), (answer.status, str(answer.body)[:300])
    assert_bounded(peaks, len(content))
    await edge.assert_unharmed()


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_answered_honestly_and_with_little_memory(edge: Edge, media: Media, name: str) -> None:
    make, outcome = BOMBS[name]
    await assert_defused(edge, make(media), outcome)


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
async def test_a_huge_picture_beside_the_sound_is_not_looked_at(edge: Edge, name: str) -> None:
    await assert_defused(edge, bombs.film_of_one_picture(*PICTURES[name]), heard(1.0))


@pytest.mark.slow
async def test_a_huge_picture_in_matroska_is_not_looked_at(edge: Edge) -> None:
    film = bombs.matroska_of_one_packet(8_000, 8_000, packed=False, picture_side=16_000)
    await assert_defused(edge, film, heard(1.0))


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
async def test_a_huge_picture_without_sound_has_no_audio_track(edge: Edge, name: str) -> None:
    await assert_defused(edge, bombs.film_of_one_picture(*PICTURES[name], sound=None), refused("no_audio_track"))


async def test_a_film_that_does_not_say_its_length_is_not_taken_for_hours(edge: Edge) -> None:
    # By the bit rate of its sound, which is all that FFmpeg knows, its 7 MB of picture would be two hours.
    film = bombs.matroska_of_one_packet(1_000, 1_000, packed=False, picture_side=30_000, announced=False)
    answer = await edge.transcribe(film)

    assert answer.is_transcript, (answer.status, str(answer.body)[:300])
    assert answer.body["duration"] == pytest.approx(1.0, abs=0.1)
    assert answer.body.get("warnings", []) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gzip", "zip"])
async def test_a_packed_file_is_not_unpacked(edge: Edge, kind: str) -> None:
    content = gzip_with_zeros(b"", 500_000_000, b"")
    if kind == "zip":
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("recording.wav", bytes(10_000_000))
        content = target.getvalue()
    await assert_defused(edge, content, refused(UNREADABLE))


@pytest.mark.slow
async def test_a_packed_body_is_refused_when_it_unpacks_to_more_than_may_be_sent(edge: Edge) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = gzip_with_zeros(head, 500_000_000, b"\r\n--x--\r\n")
    headers = {**edge.small_plan, "Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"}
    async with watched_memory(edge.process) as peaks:
        answer = await edge.send(body, headers)

    assert answer.is_refusal, (answer.status, answer.body)
    assert answer.status in (400, 413, 415)
    assert_bounded(peaks)
    await edge.assert_unharmed()


# The development recordings


@pytest.mark.slow
async def test_every_broken_development_file_is_answered_as_its_truth_says(edge: Edge, dev_data: Path) -> None:
    truth = json.loads((dev_data / "formats_truth.json").read_text())
    names = sorted(truth["broken"])
    contents = [(dev_data / "broken" / name).read_bytes() for name in names]
    answers = await asyncio.gather(*map(edge.transcribe, contents, names))

    assert len(answers) == 13
    for name, answer in zip(names, answers, strict=True):
        if name in DECODABLE:
            seconds, warnings = DECODABLE[name]
            assert answer.is_transcript, name
            assert answer.body["duration"] == pytest.approx(seconds, abs=0.1), name
            assert len(answer.body.get("warnings", [])) == len(warnings), name
        else:
            code, words = REFUSED[name]
            assert answer.is_refusal, name
            assert (answer.status, answer.body["code"]) == (400, code), name
            assert words in answer.body["error"], name
    await edge.assert_unharmed()
