"""File time of a decoded track: where its clock says silence, and where the clock is not to be believed. Pure."""

from typing import Final

# A track's clock may jitter; FFmpeg's aresample filter too pads only what is longer (min_hard_comp, 0.1 s).
_MIN_GAP_SECONDS: Final = 0.1
_MAX_UNANNOUNCED_GAP_SECONDS: Final = 600.0
# In a broadcast stream a longer jump is a new clock, not a pause, unless other tracks have filled the time. (FFmpeg
# says so of 10 s, dts_delta_threshold; but where a receiver lost sound for half a minute the clock is right.)
_MAX_BROADCAST_GAP_SECONDS: Final = 60.0
_LEAST_FILLED_SHARE: Final = 0.05
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
        # Of the last two frames: FFmpeg may tell the last one's place only once it has found the next one.
        self._file_shares = (0.0, 0.0)
        self.position = 0.0
        """File time at the end of what was taken so far, in seconds."""
        self.skipped = 0.0
        """How far the clock has jumped without a pause, in seconds."""

    def place(self, start_seconds: float | None, duration_seconds: float, file_share: float = 0.0) -> bool:
        """Take the next frame; True when silence goes before it, up to `position - duration_seconds`.

        Args:
            start_seconds: its time on the track's clock, as far as it has one.
            duration_seconds: how long it is.
            file_share: how much of the file's bytes lies ahead of it, 0 to 1; for broadcasts.
        """
        padded = False
        filled = file_share - self._file_shares[0]
        self._file_shares = (self._file_shares[1], file_share)
        if start_seconds is not None:
            start = start_seconds - self._origin
            gap = start - self.position
            if gap >= _MIN_GAP_SECONDS and self._is_pause(gap, start, filled):
                self.position = start
                padded = True
            elif gap >= _MIN_GAP_SECONDS or gap < -_MAX_OVERLAP_SECONDS:
                self._origin += gap
                self.skipped += max(0.0, gap)
        self.position += duration_seconds
        return padded

    def _is_pause(self, gap: float, start: float, filled: float) -> bool:
        if self._broadcast and gap <= _MAX_BROADCAST_GAP_SECONDS:
            return True
        if self._end is None:
            return not self._broadcast and gap <= _MAX_UNANNOUNCED_GAP_SECONDS
        if self._broadcast and filled * self._end < _LEAST_FILLED_SHARE * gap:
            return False
        return start <= self._end + 1.0
