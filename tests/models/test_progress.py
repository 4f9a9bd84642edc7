import threading
from pathlib import Path

from services.models.progress import Counter, Phase, Progress, folder_bytes, watching


def test_a_growing_folder_is_reported_and_never_past_the_total(tmp_path: Path) -> None:
    seen: list[Progress] = []
    grown = threading.Event()

    def report(progress: Progress) -> None:
        seen.append(progress)
        if progress.done_bytes == 8:
            grown.set()

    with watching((tmp_path,), Progress("tiny", Phase.DOWNLOADING, 0, 8), report):
        (tmp_path / "file").write_bytes(b"more than eight")
        assert grown.wait(5)
    assert [progress.done_bytes for progress in seen] == [0, 8]


def test_the_counter_reports_the_start_and_the_end() -> None:
    seen: list[Progress] = []
    counter = Counter(seen.append, "tiny", Phase.VERIFYING, 10)
    counter.add(4)
    counter.add(6)
    assert seen == [Progress("tiny", Phase.VERIFYING, 0, 10), Progress("tiny", Phase.VERIFYING, 10, 10)]


def test_a_folder_that_is_not_there_has_no_bytes(tmp_path: Path) -> None:
    assert folder_bytes(tmp_path / "nowhere") == 0
