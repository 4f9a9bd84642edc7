"""Seconds to protobuf durations and back."""

from google.protobuf.duration_pb2 import Duration

from speechmesh.common.v1 import common_pb2


def to_duration(seconds: float) -> Duration:
    """Return `seconds` (not negative) as a Duration, to the microsecond."""
    microseconds = round(seconds * 1_000_000)
    return Duration(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def to_seconds(duration: Duration) -> float:
    """Return a Duration in seconds."""
    return duration.seconds + duration.nanos / 1_000_000_000


def to_span(start: float, end: float) -> common_pb2.TimeSpan:
    """Return a TimeSpan from seconds."""
    return common_pb2.TimeSpan(start_offset=to_duration(start), end_offset=to_duration(end))


def to_progress(processed: float, ratio: float) -> common_pb2.Progress:
    """Return a Progress: `processed` seconds done, `ratio` 0 to 1."""
    return common_pb2.Progress(processed_offset=to_duration(processed), completed_ratio=min(max(ratio, 0), 1))
