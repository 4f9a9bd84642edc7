"""Damage to files, as a broken disk or a bad person would do it; the same seed does the same damage again. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from random import Random
from typing import Final

Mutation = Callable[[bytes, Random], bytes]
"""Returns the content with some damage."""

_HEAD_BYTES: Final = 4096
"""Where containers say what they are; MP4 and WAV do so at the end, too."""
_MOST_FLIPS: Final = 32
_MOST_BLOCK_BYTES: Final = 16 * 1024
_MOST_DAMAGES: Final = 3

_NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 2**63 - 1, 2**64 - 1)
"""Where signs, sizes and counters turn over."""


@dataclass(frozen=True)
class Mutant:
    """A damaged file."""

    seed: int
    base: str
    """Name of the file that it was."""
    damages: tuple[str, ...]
    """What was done to it, in this order."""
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"mutant {self.seed} ({self.base}: {', '.join(self.damages)})"


def mutant(seed: int, files: Mapping[str, bytes]) -> Mutant:
    """Return one of the files with one to three damages; which and where, the seed decides.

    Args:
        seed: any number.
        files: intact files by name; at least two of them have different suffixes.
    """
    chance = Random(seed)
    base = chance.choice(sorted(files))
    content, damages = files[base], []
    for _ in range(chance.randint(1, _MOST_DAMAGES)):
        name = chance.choice([*MUTATIONS, "splice"])
        if name == "splice":
            other = chance.choice(sorted(file for file in files if PurePath(file).suffix != PurePath(base).suffix))
            content = splice(content, files[other], chance)
            damages.append(f"splice with {other}")
        else:
            content = MUTATIONS[name](content, chance)
            damages.append(name)
    return Mutant(seed, base, tuple(damages), content)


def flip_bits(content: bytes, chance: Random) -> bytes:
    """Flip a few bits, anywhere."""
    damaged = bytearray(content)
    for _ in range(chance.randint(1, _MOST_FLIPS)):
        if damaged:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def overwrite_numbers(content: bytes, chance: Random) -> bytes:
    """Write numbers on which programs stumble, of any width and byte order, where numbers are likely to be."""
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        width = chance.choice((1, 2, 4, 8))
        number = chance.choice(_NUMBERS) % 256**width
        start = _place(content, chance)
        damaged[start : start + width] = number.to_bytes(width, chance.choice(("little", "big")))
    return bytes(damaged)


def overwrite_size(content: bytes, chance: Random) -> bytes:
    """Write the size of the file itself, or a little more or less, where another size may have been."""
    size = max(0, len(content) + chance.randint(-8, 8)) % 2**32
    start = _place(content, chance)
    return content[:start] + size.to_bytes(4, chance.choice(("little", "big"))) + content[start + 4 :]


def damage_head(content: bytes, chance: Random) -> bytes:
    """Flip bits of the first bytes alone: what follows is intact."""
    size = chance.choice((16, 64, 512))
    return flip_bits(content[:size], chance) + content[size:]


def delete_block(content: bytes, chance: Random) -> bytes:
    """Leave out a block."""
    start, end = _block(content, chance)
    return content[:start] + content[end:]


def duplicate_block(content: bytes, chance: Random) -> bytes:
    """Repeat a block."""
    start, end = _block(content, chance)
    return content[:end] + content[start:]


def swap_blocks(content: bytes, chance: Random) -> bytes:
    """Exchange two blocks."""
    first, second, third, fourth = sorted((*_block(content, chance), *_block(content, chance)))
    return content[:first] + content[third:fourth] + content[second:third] + content[first:second] + content[fourth:]


def blank_block(content: bytes, chance: Random) -> bytes:
    """Write one byte all over a block."""
    start, end = _block(content, chance)
    return content[:start] + bytes([chance.choice((0, 0xFF, chance.randrange(256)))]) * (end - start) + content[end:]


def truncate(content: bytes, chance: Random) -> bytes:
    """Leave out the end; one time in four nearly everything."""
    most = len(content) if chance.random() < 0.75 else min(len(content), 64)
    return content[: chance.randint(0, most)]


def splice(content: bytes, other: bytes, chance: Random) -> bytes:
    """Go on with another file somewhere in the middle, from somewhere in its own."""
    return content[: _place(content, chance)] + other[_place(other, chance) :]


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "flipped bits": flip_bits,
    "numbers": overwrite_numbers,
    "a size": overwrite_size,
    "a damaged head": damage_head,
    "a block left out": delete_block,
    "a block repeated": duplicate_block,
    "blocks exchanged": swap_blocks,
    "a blank block": blank_block,
    "truncated": truncate,
}
"""Every mutation of a single file."""


def _place(content: bytes, chance: Random) -> int:
    """Return a place in the content: in its head, in its tail, or anywhere, each as likely."""
    head = min(len(content), _HEAD_BYTES)
    first, last = chance.choice(((0, head), (len(content) - head, len(content)), (0, len(content))))
    return chance.randint(first, last)


def _block(content: bytes, chance: Random) -> tuple[int, int]:
    """Return where a block starts and ends."""
    start = _place(content, chance)
    return start, min(len(content), start + chance.randint(1, _MOST_BLOCK_BYTES))
