import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.edge import spool as spool_module
from services.edge.spool import BATCH_BYTES, Spool, SpoolFile
from services.runtime.errors import Fault, MeshError

ROOT = Path(__file__).parents[2]


async def test_a_file_takes_bytes_and_has_no_name(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with Spool(folder).open() as file:
        await file.write(b"abc")
        await file.write(memoryview(b"defgh"))
        assert file.size == 8
        await file.flush()
        assert os.pread(file.fileno(), 100, 0) == b"abcdefgh"
        assert os.fstat(file.fileno()).st_nlink == 0
        assert os.listdir(folder) == []
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_large_content_arrives_in_order(tmp_path: Path) -> None:
    content = os.urandom(3 * BATCH_BYTES + 12_345)
    with Spool(tmp_path).open() as file:
        for start in range(0, len(content), 70_001):
            await file.write(content[start : start + 70_001])
            assert file._batch_bytes < BATCH_BYTES
        await file.flush()
        assert os.pread(file.fileno(), len(content) + 1, 0) == content


async def test_many_small_pieces_arrive_in_order(tmp_path: Path) -> None:
    with Spool(tmp_path).open() as file:
        for number in range(2_000):
            await file.write(b"%04d" % number)
        await file.flush()
        assert os.pread(file.fileno(), 10_000, 0) == b"".join(b"%04d" % number for number in range(2_000))


async def test_one_byte_over_the_limit_is_too_large(tmp_path: Path) -> None:
    with Spool(tmp_path).open(limit_bytes=100_000_000) as file:
        file._size = 99_999_999
        await file.write(b"x")
        with pytest.raises(MeshError, match="larger than 100 MB") as caught:
            await file.write(b"x")
    assert (caught.value.fault, caught.value.code, caught.value.field) == (
        Fault.TOO_LARGE,
        "file_too_large",
        "file",
    )


@pytest.mark.parametrize(
    ("limit", "words"),
    [(2_000_000_000, "2 GB"), (500_000_000, "500 MB"), (1_500, "1.5 kB"), (12, "12 bytes")],
)
def test_a_limit_is_named_in_readable_units(limit: int, words: str) -> None:
    assert f"larger than {words}," in spool_module.too_large(limit).message


async def test_a_full_disk_is_unavailable() -> None:
    with SpoolFile(os.open("/dev/full", os.O_WRONLY)) as file:
        await file.write(b"x")
        with pytest.raises(MeshError) as caught:
            await file.flush()
    assert (caught.value.fault, caught.value.code) == (Fault.UNAVAILABLE, "spool_full")


async def test_closing_waits_for_a_write_whose_caller_was_cancelled() -> None:
    reading, writing = os.pipe()  # full after 64 KiB: the thread is caught in its write
    file = SpoolFile(writing)
    task = asyncio.create_task(file.write(bytes(BATCH_BYTES)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    file.close()
    assert os.fstat(writing), "still open for the thread"
    left = BATCH_BYTES
    while left:
        left -= len(await asyncio.to_thread(os.read, reading, 65_536))
    # The end of the pipe comes when its writing side closes, and not before.
    assert await asyncio.wait_for(asyncio.to_thread(os.read, reading, 1), 10) == b""
    os.close(reading)
    file.close()


def test_only_our_own_old_leftovers_are_removed(tmp_path: Path) -> None:
    names = {
        "ours": f"speechmesh-spool-{'a' * 32}",
        "young": f"speechmesh-spool-{'b' * 32}",
        "other": "speechmesh-spool-notes.txt",
        "foreign": "upload.mp3",
    }
    for name in names.values():
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (time.time() - 3_600,) * 2)
    (tmp_path / names["young"]).touch()
    target = tmp_path / "target"
    target.write_text("kept")
    link = tmp_path / f"speechmesh-spool-{'c' * 32}"
    link.symlink_to(target)
    os.utime(link, (time.time() - 3_600,) * 2, follow_symlinks=False)

    assert Spool(tmp_path).removed == 1

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {names["young"], names["other"], names["foreign"], "target", link.name}


async def test_a_folder_without_anonymous_files_serves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a file system that does not know O_TMPFILE: the other flags try to write to a folder (EISDIR).
    monkeypatch.setattr(os, "O_TMPFILE", 0)
    with Spool(tmp_path).open() as file:
        await file.write(b"abc")
        await file.flush()
        assert os.pread(file.fileno(), 10, 0) == b"abc"
        assert os.listdir(tmp_path) == []


CHILD = """
import asyncio, sys
from pathlib import Path
from services.edge.spool import Spool

async def main():
    with Spool(Path(sys.argv[1])).open() as file:
        await file.write(bytes(3_000_000))
        await file.flush()
        print("written", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_nothing_is_left_after_sigkill(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"written\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


async def test_what_files_hold_is_room_that_they_give_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 3 * BATCH_BYTES, wait_seconds=0.05)
    with spool.open() as first:
        await first.write(bytes(2 * BATCH_BYTES))
        assert spool.room.held_bytes == 2 * BATCH_BYTES
        with spool.open() as second:
            await second.write(bytes(BATCH_BYTES))
            with pytest.raises(MeshError, match="no room"):
                await second.write(bytes(BATCH_BYTES))
        assert spool.room.held_bytes == 2 * BATCH_BYTES
    assert spool.room.held_bytes == 0


async def test_no_file_may_be_larger_than_the_spool(tmp_path: Path) -> None:
    with Spool(tmp_path, 1_000).open(limit_bytes=2_000) as file, pytest.raises(MeshError, match="larger than 1 kB"):
        await file.expect(1_001)


async def test_what_is_announced_has_to_find_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path, keep_free_bytes=1 << 60, wait_seconds=0.0)
    with spool.open() as file, pytest.raises(MeshError) as caught:
        await file.expect(1)
    assert (caught.value.fault, caught.value.code) == (Fault.UNAVAILABLE, "spool_full")
