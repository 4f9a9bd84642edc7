"""Decoded audio of any shape to the mesh's PCM, in the decoder's process; PyAV is imported in functions, as there."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from services.audio import pcm

_LARGE_FRAME_SAMPLES = 64 * 1024
"""A frame of more is resampled piece by piece: what comes of it may be many times as large."""

_PIECE_SAMPLES = 16 * 1024

_STEREO_LAYOUTS = frozenset({"stereo", "2 channels"})
_PLAIN_LAYOUTS = _STEREO_LAYOUTS | {"mono", "1 channels", "downmix"}
"""Which libswresample mixes quicker, and alike."""

_SAMPLES: dict[str, tuple[Literal["B", "h", "i", "f", "d"], float]] = {
    "u8": ("B", 128.0),
    "s16": ("h", 2.0**15),
    "s32": ("i", 2.0**31),
    "flt": ("f", 1.0),
    "dbl": ("d", 1.0),
}
"""FFmpeg's sample formats: how `memoryview` calls them, and what full scale is."""

_WEIGHTS = {"FC": 1.0, **dict.fromkeys(("FL", "FR", "FLC", "FRC", "DL", "DR"), 0.5**0.5)}
_SURROUND_WEIGHT = 0.5

if TYPE_CHECKING:
    from av import AudioFrame
    from av.filter import Graph


class Resampler:
    """Turns decoded frames of one shape into 16 kHz s16: mixed into one channel in which all are heard, or apart.

    In the mix a speaker is heard on whatever channel: weights are those of ITU-R BS.775 (the centre whole, left and
    right 3 dB less, what surrounds 6 dB), and no channel is left out. libswresample would drop low-frequency effects,
    which is where a field recorder's fourth microphone is said to be, guess a layout where there is none, and refuse
    pairs that are no left and right.

    Args:
        frame: the first frame; the following ones have its format, layout and rate.
        separate: whether the channels stay apart.
        opposite: whether right is the negative of left, so that the mix is what they differ in.
    """

    def __init__(self, frame: "AudioFrame", *, separate: bool = False, opposite: bool = False) -> None:
        self.shape = shape(frame)
        self.is_opposite = opposite
        self._graph = _resampling_graph(frame, separate, opposite)
        self._channels = frame.layout.nb_channels if separate else 1
        self._gives_one_for_one = frame.samples <= _LARGE_FRAME_SAMPLES

    def push(self, frame: "AudioFrame | None") -> Iterator[list[memoryview]]:
        """Take a frame, or None for the end, and yield the PCM that is ready: a piece of each channel, or one."""
        from av.error import BlockingIOError, EOFError

        if frame is not None:
            frame.pts = None  # time is the timeline's business; the graph must not act on a jump
        self._graph.push(frame)
        # A frame in gives one out or none; asking for a second costs an exception on every frame.
        at_most = 1 if frame is not None and self._gives_one_for_one else None
        taken = 0
        while taken != at_most:
            try:
                ready: Any = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            taken += 1
            # A plane may be longer than its samples; and PyAV has one plane too many of eight channels, which is none.
            size = ready.samples * pcm.SAMPLE_BYTES
            yield [memoryview(plane)[:size] for plane in ready.planes[: self._channels]]


def shape(frame: "AudioFrame") -> tuple[str, str, int, bool]:
    """Return what a resampler is built for: sample format, channel layout, rate, and whether frames are large."""
    return frame.format.name, frame.layout.name, frame.sample_rate, frame.samples > _LARGE_FRAME_SAMPLES


def _mix(channels: list[str]) -> str:
    """Return the sum of all channels, as FFmpeg's filter `pan` takes it, that cannot clip."""
    weights = [_WEIGHTS.get(channel, _SURROUND_WEIGHT) for channel in channels]
    return "+".join(f"{weight / sum(weights):.6f}*c{number}" for number, weight in enumerate(weights))


def is_stereo(frame: "AudioFrame") -> bool:
    """Say whether a frame has a left and a right, and nothing else; a WAV file may leave that open."""
    return frame.layout.name in _STEREO_LAYOUTS


def pairs(frame: "AudioFrame", count: int) -> tuple[list[float], list[float]]:
    """Return about `count` samples of left and right of a stereo frame, -1 to 1; none where they are unknown ones."""
    step = max(1, frame.samples // count)
    name = frame.format.name.removesuffix("p")
    if name not in _SAMPLES:
        return [], []
    code, scale = _SAMPLES[name]
    bias = 1.0 if name == "u8" else 0.0
    # A plane may be longer than its samples.
    if frame.format.is_planar:
        sides = [memoryview(plane).cast(code)[: frame.samples : step] for plane in frame.planes[:2]]
    else:
        both = memoryview(frame.planes[0]).cast(code)[: 2 * frame.samples]
        sides = [both[:: 2 * step], both[1 :: 2 * step]]
    left, right = ([value / scale - bias for value in side.tolist()] for side in sides)
    return left, right


def _resampling_graph(frame: "AudioFrame", separate: bool, opposite: bool) -> "Graph":
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1  # no thread may start here
    sample_format, layout, rate, is_large = shape(frame)
    nodes = [
        graph.add(
            "abuffer",
            sample_rate=str(rate),
            sample_fmt=sample_format,
            channel_layout=layout,
            time_base=f"1/{rate}",
        )
    ]
    if is_large:
        nodes.append(graph.add("asetnsamples", f"nb_out_samples={_PIECE_SAMPLES}:pad=0"))
    if opposite:
        nodes.append(graph.add("pan", "mono|c0=0.5*c0-0.5*c1"))
    elif not separate and layout not in _PLAIN_LAYOUTS:
        nodes.append(graph.add("pan", f"mono|c0={_mix([channel.name for channel in frame.layout.channels])}"))
    wanted = {"sample_fmts": "s16p"} if separate else {"sample_fmts": "s16", "channel_layouts": "mono"}
    nodes.append(graph.add("aformat", sample_rates=str(pcm.SAMPLE_RATE), **wanted))
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph
