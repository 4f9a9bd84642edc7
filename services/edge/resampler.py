"""Decoded audio of any shape to the mesh's PCM, in the decoder's process; PyAV is imported in functions, as there."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from services.audio import pcm

_LARGE_FRAME_SAMPLES = 64 * 1024
"""A frame of more is resampled piece by piece: what comes of it may be many times as large."""

_PIECE_SAMPLES = 16 * 1024

_PLAIN_LAYOUTS = frozenset({"mono", "stereo", "downmix"})
"""Which libswresample mixes quicker, and alike."""

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
    """

    def __init__(self, frame: "AudioFrame", *, separate: bool = False) -> None:
        self.shape = shape(frame)
        self._graph = _resampling_graph(frame, separate)
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


def _resampling_graph(frame: "AudioFrame", separate: bool) -> "Graph":
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
    if not separate and layout not in _PLAIN_LAYOUTS:
        nodes.append(graph.add("pan", f"mono|c0={_mix([channel.name for channel in frame.layout.channels])}"))
    wanted = {"sample_fmts": "s16p"} if separate else {"sample_fmts": "s16", "channel_layouts": "mono"}
    nodes.append(graph.add("aformat", sample_rates=str(pcm.SAMPLE_RATE), **wanted))
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph
