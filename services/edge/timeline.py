"""File time of a decoded track: where its clock says silence, and where the clock is not to be believed. Pure."""

from typing import Final

# A track's clock may jitter; FFmpeg's aresample filter too pads only what is longer (min_hard_comp, 0.1 s).
_MIN_GAP_SECONDS: Final = 0.1
_MAX_UNANNOUNCED_GAP_SECONDS: Final = 600.0
# In a broadcast stream a longer jump is a new clock, not a pause (FFmpeg's dts_delta_threshold).
_MAX_BROADCAST_GAP_SECONDS: Final = 10.0
_MAX_OVERLAP_SECONDS: Final = 1.0


class Timeline:
    """Keeps file time: says how much silence goes before a frame, from the frame's own time.

    A track that starts late and a pause in the track are silence; a clock that jumps (a splice) is not.

    Args:
        origin_seconds: the container's start on the track's clock.
        end_seconds: how long the container says it is, if it does.
        broadcast: whether it is a format in which clocks jump.
    """

    def __init__(self, origin_seconds: float, end_seconds: float | None, broadcast: bool) -> None:
        self._origin = origin_seconds
        self._end = end_seconds
        self._broadcast = broadcast
        self.position = 0.0
        """File time at the end of what was taken so far, in seconds."""

    def place(self, start_seconds: float | None, duration_seconds: float) -> bool:
        """Take the next frame; True when silence goes before it, up to `position - duration_seconds`."""
        padded = False
        if start_seconds is not None:
            start = start_seconds - self._origin
            gap = start - self.position
            if gap >= _MIN_GAP_SECONDS and self._is_pause(gap, start):
                self.position = start
                padded = True
            elif gap >= _MIN_GAP_SECONDS or gap < -_MAX_OVERLAP_SECONDS:
                self._origin += gap
        self.position += duration_seconds
        return padded

    def _is_pause(self, gap: float, start: float) -> bool:
        if self._broadcast:
            return gap <= _MAX_BROADCAST_GAP_SECONDS
        if self._end is not None:
            return start <= self._end + 1.0
        return gap <= _MAX_UNANNOUNCED_GAP_SECONDS
