import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from services.edge.decoders import COMMAND, Decoders
from services.edge.media import Chunk, DecodeLimits, Decoding, MediaWarning, Probe
from services.runtime.errors import Fault, MeshError

Media = Callable[..., bytes]
Descriptor = Callable[[bytes], int]
LongWav = Callable[[float], int]

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def decoders() -> AsyncIterator[Decoders]:
    async with Decoders() as decoders:
        yield decoders


def at_work() -> list[psutil.Process]:
    """Return the decoders of this process; others may have left other children here."""
    children = psutil.Process().children()
    servers = [child for child in children if "services.edge.decoder_server" in " ".join(child.cmdline())]
    return [decoder for server in servers for decoder in server.children()]


async def whole(decoding: Decoding) -> float:
    """Return the seconds of PCM that came out."""
    return sum([len(chunk.pcm) async for chunk in decoding.chunks()]) / 32_000


async def refusal(
    decoders: Decoders, descriptor: int, limits: DecodeLimits | None = None, *, separate: bool = False
) -> MeshError:
    async with decoders.decode(descriptor, limits, separate=separate) as decoding:
        with pytest.raises(MeshError) as caught:
            await whole(decoding)
    assert not psutil.pid_exists(decoding.pid)
    return caught.value


async def gone(pid: int) -> bool:
    """Wait until the process has ended, for up to 10 s."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for _ in range(1_000):
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            await asyncio.sleep(0.01)
        return False
    return True


async def rests(process: psutil.Process) -> bool:
    """Wait until the process sleeps and has used no CPU for 0.3 s, for up to 9 s."""
    for _ in range(30):
        before = process.cpu_times()
        await asyncio.sleep(0.3)
        if process.status() == psutil.STATUS_SLEEPING and process.cpu_times() == before:
            return True
    return False


@asynccontextmanager
async def begun(decoders: Decoders, descriptor: int, limits: DecodeLimits | None = None) -> AsyncIterator[Decoding]:
    """Give a decoding in the middle of its file."""
    async with decoders.decode(descriptor, limits) as decoding:
        stream = decoding.chunks()
        assert await anext(stream)
        yield decoding


async def server_of(decoders: Decoders, recording: int) -> psutil.Process:
    """Return the process that decoders come from; `recording` is too long to be done before it is asked for."""
    async with begun(decoders, recording) as decoding:
        server = psutil.Process(decoding.pid).parent()
    assert server is not None
    return server


async def test_a_film_is_probed_and_decoded(decoders: Decoders, media: Media, descriptor: Descriptor) -> None:
    number = descriptor(media("mp4", "aac", video="mpeg4", rate=44_100, layout="stereo"))
    async with decoders.decode(number) as decoding:
        probe = await decoding.probe()
        assert probe == Probe(probe.duration, "mov", "aac", 44_100, 2, has_video=True, is_guessed=False)
        assert probe.duration == pytest.approx(2.0, abs=0.1)
        assert await whole(decoding) == pytest.approx(2.0, abs=0.1)
        assert decoding.decoded_seconds == pytest.approx(2.0, abs=0.1)
        assert decoding.warnings == ()
    assert not psutil.pid_exists(decoding.pid)


@pytest.mark.parametrize(("container", "subtitles"), [("matroska", "subrip"), ("mp4", "mov_text"), ("webm", "webvtt")])
async def test_a_film_with_subtitles_is_decoded(
    container: str, subtitles: str, decoders: Decoders, media: Media, descriptor: Descriptor
) -> None:
    content = media(container, "libopus", rate=48_000, subtitles=subtitles)
    async with decoders.decode(descriptor(content)) as decoding:
        assert await whole(decoding) == pytest.approx(2.0, abs=0.1)
        assert decoding.warnings == ()


async def test_the_descriptor_may_close_and_its_offset_stays(
    decoders: Decoders, wav: Callable[..., bytes], tmp_path: Path
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(wav(16_000))
    number = os.open(path, os.O_RDONLY)
    os.lseek(number, 0, os.SEEK_END)
    async with decoders.decode(number) as decoding:
        os.close(number)
        assert await whole(decoding) == 1.0


async def test_a_truncated_file_ends_with_a_warning(decoders: Decoders, media: Media, descriptor: Descriptor) -> None:
    content = media("mp3", "libmp3lame", rate=44_100, spans=((0.0, 6.0),))
    async with decoders.decode(descriptor(content[: len(content) // 2])) as decoding:
        seconds = await whole(decoding)
    assert [warning.code for warning in decoding.warnings] == ["truncated"]
    assert isinstance(decoding.warnings[0], MediaWarning)
    assert f"{seconds:.1f} s" in decoding.warnings[0].message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "unreadable_media"),
        (b"hello", "unreadable_media"),
    ],
)
async def test_a_wrong_file_is_an_invalid_request(
    decoders: Decoders, content: bytes, code: str, descriptor: Descriptor
) -> None:
    error = await refusal(decoders, descriptor(content))
    assert (error.fault, error.code, error.field) == (Fault.INVALID, code, "file")


async def test_a_long_recording_is_too_large(decoders: Decoders, long_wav: LongWav) -> None:
    error = await refusal(decoders, long_wav(61), DecodeLimits(max_seconds=60))
    assert (error.fault, error.code) == (Fault.TOO_LARGE, "too_long")
    assert "60 s" in error.message


async def test_the_child_waits_while_nobody_reads(decoders: Decoders, long_wav: LongWav) -> None:
    async with begun(decoders, long_wav(3_600)) as decoding:
        assert await rests(psutil.Process(decoding.pid))
        assert decoding.decoded_seconds < 10


async def test_leaving_early_ends_the_child(decoders: Decoders, long_wav: LongWav) -> None:
    async with begun(decoders, long_wav(3_600)) as decoding:
        assert psutil.pid_exists(decoding.pid)
    assert not psutil.pid_exists(decoding.pid)


async def test_leaving_before_anything_was_read_ends_the_child(decoders: Decoders, long_wav: LongWav) -> None:
    async with decoders.decode(long_wav(3_600)) as decoding:
        pass
    assert not psutil.pid_exists(decoding.pid)


async def test_cancelling_ends_the_child(decoders: Decoders, long_wav: LongWav) -> None:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        async with begun(decoders, long_wav(3_600)) as decoding:
            started.set_result(decoding.pid)
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    pid = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.01, 0.05])
async def test_cancelling_at_any_moment_leaves_no_child(decoders: Decoders, delay: float, long_wav: LongWav) -> None:
    number = long_wav(60)

    async def work() -> None:
        async with decoders.decode(number) as decoding:
            await whole(decoding)

    task = asyncio.create_task(work())
    await asyncio.sleep(delay)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert at_work() == []


@pytest.mark.parametrize("killer", [signal.SIGSEGV, signal.SIGKILL, signal.SIGXCPU])
async def test_a_crash_is_the_files_fault(decoders: Decoders, killer: signal.Signals, long_wav: LongWav) -> None:
    async with decoders.decode(long_wav(3_600)) as decoding:
        stream = decoding.chunks()
        await anext(stream)
        os.kill(decoding.pid, killer)
        with pytest.raises(MeshError, match="could not be decoded") as caught:
            async for _ in stream:
                pass
    assert (caught.value.fault, caught.value.code) == (Fault.INVALID, "unreadable_media")


async def test_a_silent_child_is_given_up(decoders: Decoders, long_wav: LongWav) -> None:
    async with decoders.decode(long_wav(3_600), DecodeLimits(stall_seconds=0.2)) as decoding:
        os.kill(decoding.pid, signal.SIGSTOP)
        with pytest.raises(MeshError, match="could not be decoded"):
            await whole(decoding)
    assert not psutil.pid_exists(decoding.pid)


async def test_the_cpu_limit_ends_the_child(decoders: Decoders, long_wav: LongWav) -> None:
    limits = DecodeLimits(max_seconds=1e6, cpu_seconds=1)
    error = await refusal(decoders, long_wav(65_000), limits)
    assert (error.fault, error.code) == (Fault.INVALID, "unreadable_media")


async def test_the_memory_limit_makes_an_error(decoders: Decoders, media: Media, descriptor: Descriptor) -> None:
    number = descriptor(media("mp3", "libmp3lame", rate=44_100, spans=((0.0, 6.0),)))
    error = await refusal(decoders, number, DecodeLimits(memory_bytes=8 * 1024**2))
    assert (error.fault, error.code) == (Fault.INVALID, "unreadable_media")


async def test_the_decoder_is_confined(decoders: Decoders, long_wav: LongWav, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECHMESH_SECRET", "hidden")
    limits = DecodeLimits(max_seconds=7_200)
    async with begun(decoders, long_wav(3_600), limits) as decoding:
        child = psutil.Process(decoding.pid)
        expected = limits.job(3_600 * 32_000 + 44)
        assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_NPROC) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_AS) == (expected.memory_bytes + (512 << 20),) * 2
        assert child.rlimit(psutil.RLIMIT_CPU)[0] == expected.cpu_seconds
        assert set(child.environ()) <= {"LC_ALL", "PATH", "MALLOC_ARENA_MAX"}
        assert child.num_fds() == 3, "the file, its pipe, and nowhere for what libraries complain"
        assert child.rlimit(psutil.RLIMIT_NOFILE) == (3, 3), "there is no number for another file or socket"
        assert child.num_threads() == 1
        status = await asyncio.to_thread(Path(f"/proc/{child.pid}/status").read_text)
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status, "system calls are filtered"
        assert child.memory_info().rss < 150 * 1024**2


async def test_a_short_clip_waits_for_no_interpreter(
    decoders: Decoders, wav: Callable[..., bytes], descriptor: Descriptor, long_wav: LongWav
) -> None:
    number, recording = descriptor(wav(16_000)), long_wav(3_600)
    server = await server_of(decoders, recording)
    for _ in range(5):
        async with decoders.decode(number) as decoding:
            assert await whole(decoding) == 1.0
        assert await server_of(decoders, recording) == server


async def test_the_decoder_of_a_long_recording_has_a_low_priority(decoders: Decoders, long_wav: LongWav) -> None:
    async with decoders.decode(long_wav(3_600)) as decoding:
        child = psutil.Process(decoding.pid)
        before = child.nice()
        async for _ in decoding.chunks():
            if decoding.decoded_seconds > 200:
                break
        for _ in range(500):
            if child.nice() != before:
                break
            await asyncio.sleep(0.01)
        assert child.nice() > before


async def test_the_file_cannot_be_written_to(decoders: Decoders, tmp_path: Path, wav: Callable[..., bytes]) -> None:
    path = tmp_path / "upload"
    path.write_bytes(wav(900_000))
    number = os.open(path, os.O_RDWR)
    async with begun(decoders, number) as decoding:
        flags = int((await asyncio.to_thread(Path(f"/proc/{decoding.pid}/fdinfo/0").read_text)).split()[3], 8)
        assert flags & os.O_ACCMODE == os.O_RDONLY
    os.close(number)


async def test_a_lower_limit_of_the_edge_itself_is_no_fault_of_the_file(
    wav: Callable[..., bytes], descriptor: Descriptor
) -> None:
    script = "ulimit -t 300; ulimit -d 600000; ulimit -n 64; exec " + shlex.join(COMMAND)
    async with Decoders(("sh", "-c", script)) as decoders, decoders.decode(descriptor(wav(16_000))) as decoding:
        assert await whole(decoding) == 1.0


async def test_channels_take_turns(decoders: Decoders, media: Media, descriptor: Descriptor) -> None:
    number = descriptor(media("flac", "flac", layout="stereo", hot=1, spans=((0.0, 12.0),)))
    async with decoders.decode(number, separate=True) as decoding:
        chunks: list[Chunk] = [chunk async for chunk in decoding.chunks()]
        assert (await decoding.probe()).channels == 2
        assert decoding.decoded_seconds == 12.0
    assert [chunk.channel for chunk in chunks] == [0, 1] * (len(chunks) // 2)
    assert not any(any(chunk.pcm) for chunk in chunks if chunk.channel == 0)


async def test_one_channel_cannot_be_separated(
    decoders: Decoders, wav: Callable[..., bytes], descriptor: Descriptor
) -> None:
    error = await refusal(decoders, descriptor(wav(16_000)), separate=True)
    assert (error.fault, error.code, error.field) == (Fault.INVALID, "one_channel", "channels")


async def test_a_lost_server_is_replaced(
    decoders: Decoders, wav: Callable[..., bytes], descriptor: Descriptor, long_wav: LongWav
) -> None:
    number = descriptor(wav(16_000))
    server = await server_of(decoders, long_wav(3_600))
    server.kill()
    for _ in range(2):
        async with decoders.decode(number) as decoding:
            assert await whole(decoding) == 1.0


async def test_a_decoder_lost_with_its_server_is_no_fault_of_the_file(decoders: Decoders, long_wav: LongWav) -> None:
    async with decoders.decode(long_wav(36_000)) as decoding:
        stream = decoding.chunks()
        await anext(stream)
        server = psutil.Process(decoding.pid).parent()
        assert server is not None
        server.kill()
        with pytest.raises(MeshError) as caught:
            async for _ in stream:
                pass
    assert (caught.value.fault, caught.value.code) == (Fault.UNAVAILABLE, "decoder_unavailable")
    assert await gone(decoding.pid)


async def test_a_server_that_cannot_begin_is_unavailable(descriptor: Descriptor) -> None:
    async with Decoders((sys.executable, "-c", "pass")) as decoders:
        with pytest.raises(MeshError) as caught:
            async with decoders.decode(descriptor(b"x")):
                pass
    assert caught.value.fault is Fault.UNAVAILABLE


async def test_a_server_that_hangs_is_replaced_and_holds_up_no_end(
    wav: Callable[..., bytes], descriptor: Descriptor, long_wav: LongWav
) -> None:
    number = descriptor(wav(16_000))
    # The patience has to last for the start of an interpreter on a busy machine.
    async with Decoders(patience_seconds=3) as decoders:
        server = await server_of(decoders, long_wav(3_600))
        server.suspend()
        async with decoders.decode(number) as decoding:
            assert await whole(decoding) == 1.0
        assert await gone(server.pid)
    with pytest.raises(MeshError, match="at this moment"):
        async with decoders.decode(number):
            pass


async def test_closing_ends_what_is_at_work(long_wav: LongWav) -> None:
    decoders = Decoders()
    async with begun(decoders, long_wav(3_600)) as decoding:
        await decoders.close()
        assert not psutil.pid_exists(decoding.pid)
    assert at_work() == []


PARENT = """
import asyncio, os, sys
from services.edge.decoders import Decoders

async def main():
    async with Decoders() as decoders, decoders.decode(os.open(sys.argv[1], os.O_RDONLY)) as decoding:
        async for _ in decoding.chunks():
            print(decoding.pid, flush=True)
            await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_the_decoder_dies_with_a_killed_edge(wav: Callable[..., bytes], descriptor: Descriptor) -> None:
    number = descriptor(wav(2_000_000))
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        f"/proc/{os.getpid()}/fd/{number}",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"},
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    server = psutil.Process(pid).ppid()
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    assert await gone(pid)
    assert await gone(server)


def test_the_edge_loads_neither_pyav_nor_numpy() -> None:
    code = (
        "import services.edge.decoders, services.edge.spool, sys\n"
        "print([name for name in ('av', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


async def test_several_files_decode_at_once(decoders: Decoders, media: Media, descriptor: Descriptor) -> None:
    number = descriptor(media("flac", "flac", rate=44_100))

    async def one() -> float:
        async with decoders.decode(number) as decoding:
            return await whole(decoding)

    assert await asyncio.gather(*(one() for _ in range(4))) == [2.0] * 4
    assert at_work() == []


async def decode_path(decoders: Decoders, path: Path) -> tuple[float, Decoding]:
    with path.open("rb") as file:
        async with decoders.decode(file.fileno()) as decoding:
            return await whole(decoding), decoding


DECODABLE = {
    "truncated.mp3": (0.4 * 9.655, ["truncated"]),
    "header_claims_4gb.wav": (3.0, []),
    "one_sample.wav": (0.0, []),
    "garbage_after_2s.wav": (2.0, []),
    "six_channels_192khz.flac": (9.655, []),
}
REFUSED = {
    "zero_bytes.mp3": ("empty_file", "The file is empty."),
    "zero_bytes.wav": ("empty_file", "The file is empty."),
    "text.mp3": ("unreadable_media", "plain text"),
    "image_png.wav": ("unreadable_media", "a PNG image"),
    "video_without_audio.mp4": ("no_audio_track", "no audio track"),
    "moov_missing.mp4": ("unreadable_media", "index"),
    "header_only.wav": ("empty_file", "holds no audio"),
    "half_header.wav": ("unreadable_media", "cut off"),
}


async def test_every_broken_development_file_is_answered_as_its_truth_says(decoders: Decoders, dev_data: Path) -> None:
    truth = json.loads((dev_data / "formats_truth.json").read_text())
    assert set(truth["broken"]) == set(DECODABLE) | set(REFUSED)
    for name, (expected, warnings) in DECODABLE.items():
        seconds, decoding = await decode_path(decoders, dev_data / "broken" / name)
        assert seconds == pytest.approx(expected, abs=0.1), name
        assert [warning.code for warning in decoding.warnings] == warnings, name
    for name, (code, words) in REFUSED.items():
        with pytest.raises(MeshError) as caught:
            await decode_path(decoders, dev_data / "broken" / name)
        assert (caught.value.fault, caught.value.code) == (Fault.INVALID, code), name
        assert words in caught.value.message, name
