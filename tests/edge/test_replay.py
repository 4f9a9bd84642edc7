import random

from hypothesis import given
from hypothesis import strategies as st

from services.edge.replay import Audio, Mark, Replay


def passed(replay: Replay, most_bytes: int = 10_000) -> list[bytes | Mark]:
    """Return what is passed on until there is nothing, or the end."""
    found: list[bytes | Mark] = []
    while (item := replay.next(most_bytes)) is not None:
        found.append(item.pcm if isinstance(item, Audio) else item)
        if item is Mark.END:
            break
    return found


def test_audio_is_passed_on_once() -> None:
    replay = Replay()
    replay.append(b"aabb")
    replay.append(b"cc")

    assert passed(replay) == [b"aabbcc"]
    assert passed(replay) == []
    assert replay.waiting_seconds == 0
    assert replay.kept_seconds == replay.received_seconds == 3 / 16_000


def test_in_pieces_of_a_size() -> None:
    replay = Replay()
    replay.append(b"aabbcc")

    assert passed(replay, 4) == [b"aabb", b"cc"]


def test_after_a_rewind_it_comes_again_from_the_first_that_is_kept() -> None:
    replay = Replay()
    replay.append(b"aabbcc")
    passed(replay)
    replay.forget_before(1)
    replay.append(b"dd")
    replay.rewind()

    assert passed(replay) == [b"bbccdd"]


def test_what_was_not_passed_on_is_not_forgotten() -> None:
    replay = Replay()
    replay.append(b"aabb")
    replay.forget_before(2)

    assert passed(replay) == [b"aabb"]


def test_a_flush_comes_at_its_place_every_time() -> None:
    replay = Replay()
    replay.append(b"aa")
    replay.flush()
    replay.append(b"bb")
    expected = [b"aa", Mark.FLUSH, b"bb"]

    assert passed(replay) == expected
    replay.rewind()
    assert passed(replay) == expected
    replay.forget_before(2)
    replay.rewind()
    assert passed(replay) == []


def test_the_end_comes_last() -> None:
    replay = Replay()
    replay.append(b"aa")
    replay.flush()
    replay.end()

    assert passed(replay) == [b"aa", Mark.FLUSH, Mark.END]
    replay.rewind()
    assert passed(replay) == [b"aa", Mark.FLUSH, Mark.END]


@given(st.integers(0, 10_000))
def test_whatever_happens_no_sample_is_lost_or_doubled(seed: int) -> None:
    chance = random.Random(seed)
    replay = Replay()
    sent = received = b""
    done = 0
    for _ in range(40):
        match chance.randrange(4):
            case 0:
                pcm = bytes(chance.choices(range(256), k=2 * chance.randrange(20)))
                sent += pcm
                replay.append(pcm)
            case 1:
                item = replay.next(2 * chance.randrange(1, 30))
                received += item.pcm if isinstance(item, Audio) else b""
            case 2:
                done = chance.randint(done, max(done, len(received) // 2))
                replay.forget_before(done)
            case 3:
                replay.rewind()
                received = received[: 2 * done]

    rest = passed(replay)
    assert received + b"".join(part for part in rest if isinstance(part, bytes)) == sent
