import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from services.edge import decoder
from services.edge.media import DecodeLimits, Decoding, MediaWarning, Probe, decode
from services.runtime.errors import Fault, MeshError

Media = Callable[..., bytes]
Descriptor = Callable[[bytes], int]
LongWav = Callable[[float], int]

ROOT = Path(__file__).parents[2]


def decoders() -> list[psutil.Process]:
    """Return the decoder children of this process; others may have left other children here."""
    children = psutil.Process().children()
    return [child for child in children if "services.edge.decoder" in " ".join(child.cmdline())]


async def whole(decoding: Decoding) -> float:
    """Return the seconds of PCM that came out."""
    return sum([len(chunk) async for chunk in decoding.pcm()]) / 32_000


async def refusal(descriptor: int, limits: DecodeLimits | None = None) -> MeshError:
    async with decode(descriptor, limits) as decoding:
        with pytest.raises(MeshError) as caught:
            await whole(decoding)
    assert not psutil.pid_exists(decoding.pid)
    return caught.value


async def gone(pid: int) -> bool:
    """Wait until the process has ended, for up to 10 s."""
    for _ in range(1_000):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        await asyncio.sleep(0.01)
    return False


@asynccontextmanager
async def begun(descriptor: int, limits: DecodeLimits | None = None) -> AsyncIterator[Decoding]:
    """Give a decoding in the middle of its file."""
    async with decode(descriptor, limits) as decoding:
        stream = decoding.pcm()
        assert await anext(stream)
        yield decoding


async def test_a_film_is_probed_and_decoded(media: Media, descriptor: Descriptor) -> None:
    number = descriptor(media("mp4", "aac", video="mpeg4", rate=44_100, layout="stereo"))
    async with decode(number) as decoding:
        probe = await decoding.probe()
        assert probe == Probe(probe.duration, "mov", "aac", 44_100, 2, has_video=True)
        assert probe.duration == pytest.approx(2.0, abs=0.1)
        assert await whole(decoding) == pytest.approx(2.0, abs=0.1)
        assert decoding.decoded_seconds == pytest.approx(2.0, abs=0.1)
        assert decoding.warnings == ()
    assert not psutil.pid_exists(decoding.pid)


async def test_the_descriptor_may_close_and_its_offset_stays(wav: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(wav(16_000))
    number = os.open(path, os.O_RDONLY)
    os.lseek(number, 0, os.SEEK_END)
    async with decode(number) as decoding:
        os.close(number)
        assert await whole(decoding) == 1.0


async def test_a_truncated_file_ends_with_a_warning(media: Media, descriptor: Descriptor) -> None:
    content = media("mp3", "libmp3lame", rate=44_100, spans=((0.0, 6.0),))
    async with decode(descriptor(content[: len(content) // 2])) as decoding:
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
async def test_a_wrong_file_is_an_invalid_request(content: bytes, code: str, descriptor: Descriptor) -> None:
    error = await refusal(descriptor(content))
    assert (error.fault, error.code, error.field) == (Fault.INVALID, code, "file")


async def test_a_long_recording_is_too_large(long_wav: LongWav) -> None:
    error = await refusal(long_wav(61), DecodeLimits(max_seconds=60))
    assert (error.fault, error.code) == (Fault.TOO_LARGE, "too_long")
    assert "60 s" in error.message


async def test_the_child_waits_while_nobody_reads(long_wav: LongWav) -> None:
    async with begun(long_wav(3_600)) as decoding:
        child = psutil.Process(decoding.pid)
        await asyncio.sleep(0.3)
        before = child.cpu_times()
        await asyncio.sleep(0.3)
        assert child.cpu_times() == before
        assert child.status() == psutil.STATUS_SLEEPING
        assert decoding.decoded_seconds < 10


async def test_leaving_early_ends_the_child(long_wav: LongWav) -> None:
    async with begun(long_wav(3_600)) as decoding:
        assert psutil.pid_exists(decoding.pid)
    assert not psutil.pid_exists(decoding.pid)


async def test_leaving_before_anything_was_read_ends_the_child(long_wav: LongWav) -> None:
    async with decode(long_wav(3_600)) as decoding:
        pass
    assert not psutil.pid_exists(decoding.pid)


async def test_cancelling_ends_the_child(long_wav: LongWav) -> None:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        async with begun(long_wav(3_600)) as decoding:
            started.set_result(decoding.pid)
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    pid = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.01, 0.05])
async def test_cancelling_at_any_moment_leaves_no_child(delay: float, long_wav: LongWav) -> None:
    number = long_wav(60)

    async def work() -> None:
        async with decode(number) as decoding:
            await whole(decoding)

    task = asyncio.create_task(work())
    await asyncio.sleep(delay)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert decoders() == []


@pytest.mark.parametrize("killer", [signal.SIGSEGV, signal.SIGKILL, signal.SIGXCPU])
async def test_a_crash_is_the_files_fault(killer: signal.Signals, long_wav: LongWav) -> None:
    async with decode(long_wav(3_600)) as decoding:
        stream = decoding.pcm()
        await anext(stream)
        os.kill(decoding.pid, killer)
        with pytest.raises(MeshError, match="could not be decoded") as caught:
            async for _ in stream:
                pass
    assert (caught.value.fault, caught.value.code) == (Fault.INVALID, "unreadable_media")


async def test_a_silent_child_is_given_up(long_wav: LongWav) -> None:
    async with decode(long_wav(3_600), DecodeLimits(stall_seconds=0.2)) as decoding:
        os.kill(decoding.pid, signal.SIGSTOP)
        with pytest.raises(MeshError, match="could not be decoded"):
            await whole(decoding)
    assert not psutil.pid_exists(decoding.pid)


async def test_the_cpu_limit_ends_the_child(long_wav: LongWav) -> None:
    limits = DecodeLimits(max_seconds=1e6, cpu_seconds=1)
    error = await refusal(long_wav(65_000), limits)
    assert (error.fault, error.code) == (Fault.INVALID, "unreadable_media")


async def test_the_memory_limit_makes_an_error(media: Media, descriptor: Descriptor) -> None:
    number = descriptor(media("mp3", "libmp3lame", rate=44_100, spans=((0.0, 6.0),)))
    error = await refusal(number, DecodeLimits(memory_bytes=64 * 1024**2))
    assert (error.fault, error.code) == (Fault.INVALID, "unreadable_media")


async def test_the_child_is_confined(long_wav: LongWav, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECHMESH_SECRET", "hidden")
    limits = DecodeLimits(max_seconds=7_200)
    async with begun(long_wav(3_600), limits) as decoding:
        child = psutil.Process(decoding.pid)
        expected = limits.job()
        assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_NPROC) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_AS) == (expected.memory_bytes, expected.memory_bytes)
        assert child.rlimit(psutil.RLIMIT_CPU)[0] == expected.cpu_seconds
        assert set(child.environ()) <= {"LC_ALL", "PATH", "MALLOC_ARENA_MAX"}
        assert child.num_fds() == 4, "its socket, its pipe, the log and the file"
        assert child.rlimit(psutil.RLIMIT_NOFILE) == (4, 4), "there is no number for another file or socket"
        assert child.num_threads() == 1
        assert "NoNewPrivs:\t1" in await asyncio.to_thread(Path(f"/proc/{child.pid}/status").read_text)
        assert child.memory_info().rss < 150 * 1024**2


PARENT = """
import asyncio, os, sys
from services.edge.media import decode

async def main():
    async with decode(os.open(sys.argv[1], os.O_RDONLY)) as decoding:
        async for _ in decoding.pcm():
            print(decoding.pid, flush=True)
            await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_the_child_dies_with_a_killed_edge(wav: Callable[..., bytes], descriptor: Descriptor) -> None:
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
    assert psutil.pid_exists(pid)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    assert await gone(pid)


def test_the_edge_loads_neither_pyav_nor_numpy() -> None:
    code = (
        "import services.edge.media, services.edge.spool, sys\n"
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


@asynccontextmanager
async def impostor(script: str) -> AsyncIterator[Decoding]:
    """Give a decoding whose child is a script that writes what it likes: what a taken-over decoder may do."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", script, stdout=asyncio.subprocess.PIPE)
    yield Decoding(process, stall_seconds=10)
    assert process.stdout is not None
    await process.stdout.read()
    await process.wait()


def said(*frames: tuple[bytes, bytes]) -> str:
    stream = b"".join(decoder.FRAME_HEADER.pack(kind, len(payload)) + payload for kind, payload in frames)
    return f"import sys; sys.stdout.buffer.write({stream!r})"


GOOD = {
    "duration": 1.0,
    "container": "wav",
    "codec": "x",
    "sample_rate": 1,
    "channels": 1,
    "has_video": False,
}
PROBE = (b"i", json.dumps(GOOD).encode())


@pytest.mark.parametrize(
    "script",
    [
        said((b"a", b"\0\0")),
        said((b"i", b"{")),
        said((b"i", json.dumps({**GOOD, "duration": "inf"}).encode())),
        said((b"i", b'{"duration": 1}')),
        said(PROBE, (b"a", b"\0\0\0")),
        said(PROBE, (b"z", b"")),
        said(PROBE, (b"d", b"[]")),
        said(PROBE, (b"d", b'{"warnings": 3}')),
        said(PROBE, (b"e", b"[]")),
        said(PROBE, (b"e", b'{"code": "free_credits", "message": "x"}')),
        "import sys; sys.stdout.buffer.write(b'a' + b'\\xff' * 4 + bytes(100))",
        f"import os; os._exit({decoder.EXIT_DECODING_FAILED})",
    ],
)
async def test_a_child_that_breaks_the_protocol_is_refused(script: str) -> None:
    async with impostor(script) as decoding:
        with pytest.raises(MeshError, match="could not be decoded") as caught:
            await whole(decoding)
    assert caught.value.fault is Fault.INVALID


async def test_a_child_that_cannot_begin_is_our_fault() -> None:
    async with impostor("import sys; sys.exit(1)") as decoding:
        with pytest.raises(RuntimeError, match="status 1"):
            await decoding.probe()


def test_cpu_time_grows_with_the_allowed_length() -> None:
    limits = DecodeLimits(max_seconds=600)
    assert limits.job().cpu_seconds == 120
    assert replace(limits, max_seconds=6_000).job().cpu_seconds == 660
    assert replace(limits, cpu_seconds=5).job().cpu_seconds == 5


async def test_several_files_decode_at_once(media: Media, descriptor: Descriptor) -> None:
    number = descriptor(media("flac", "flac", rate=44_100))

    async def one() -> float:
        async with decode(number) as decoding:
            return await whole(decoding)

    assert await asyncio.gather(*(one() for _ in range(4))) == [2.0] * 4
    assert decoders() == []


async def decode_path(path: Path) -> tuple[float, Decoding]:
    with path.open("rb") as file:
        async with decode(file.fileno()) as decoding:
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


async def test_every_broken_development_file_is_answered_as_its_truth_says(dev_data: Path) -> None:
    truth = json.loads((dev_data / "formats_truth.json").read_text())
    assert set(truth["broken"]) == set(DECODABLE) | set(REFUSED)
    for name, (expected, warnings) in DECODABLE.items():
        seconds, decoding = await decode_path(dev_data / "broken" / name)
        assert seconds == pytest.approx(expected, abs=0.1), name
        assert [warning.code for warning in decoding.warnings] == warnings, name
    for name, (code, words) in REFUSED.items():
        with pytest.raises(MeshError) as caught:
            await decode_path(dev_data / "broken" / name)
        assert (caught.value.fault, caught.value.code) == (Fault.INVALID, code), name
        assert words in caught.value.message, name
