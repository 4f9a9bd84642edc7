from random import Random

import pytest

from tests.edge.mutations import MUTATIONS, mutant, splice

FILES = {f"file.{suffix}": Random(suffix).randbytes(50_000) for suffix in ("wav", "mp4", "ogg")}


def test_the_same_seed_does_the_same_damage() -> None:
    some = [mutant(seed, FILES) for seed in range(40)]

    assert some == [mutant(seed, FILES) for seed in range(40)]
    assert len({sent.content for sent in some}) == 40
    assert {sent.base for sent in some} == set(FILES)


def test_all_kinds_of_damage_are_done() -> None:
    done = {damage for seed in range(200) for damage in mutant(seed, FILES).damages}

    assert done == {*MUTATIONS, *(f"splice with {name}" for name in FILES)}


def test_a_mutant_tells_how_it_came_about_and_not_what_is_in_it() -> None:
    sent = mutant(3, FILES)

    assert str(sent).startswith(f"mutant 3 ({sent.base}: {sent.damages[0]}")
    assert len(repr(sent)) < 200


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_damages_a_file_and_takes_one_of_any_size(name: str) -> None:
    whole = FILES["file.wav"]

    assert any(MUTATIONS[name](whole, Random(seed)) != whole for seed in range(5))
    for size in (0, 1, 3, 100):
        for seed in range(20):
            assert len(MUTATIONS[name](whole[:size], Random(seed))) <= 2 * size + 8


def test_a_splice_begins_as_one_file_and_ends_as_another() -> None:
    whole, other = FILES["file.wav"], FILES["file.mp4"]

    spliced = [splice(whole, other, Random(seed)) for seed in range(20)]

    assert any(content[:100] == whole[:100] and content[-100:] == other[-100:] for content in spliced)
    assert splice(b"", b"", Random(0)) == b""
