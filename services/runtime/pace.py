"""How fast a device works through audio, from what it did lately. Pure."""

_FORGETTING = 0.98
_FIRST_GUESS_FACTOR = 0.1


class Pace:
    """A moving measure over about the last fifty batches.

    Args:
        workers: how many work at once.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._audio = 0.0
        self._busy = 0.0

    def observe(self, audio: float, busy: float) -> None:
        """Take that one worker was busy for some seconds, and got so many seconds of new audio done in them."""
        self._audio = self._audio * _FORGETTING + audio
        self._busy = self._busy * _FORGETTING + busy

    @property
    def real_time_factor(self) -> float:
        """Seconds that the device needs for a second of audio when all workers are busy; a guess at the start."""
        return self._busy / self._audio / self._workers if self._audio else _FIRST_GUESS_FACTOR

    def seconds_for(self, audio: float) -> float:
        """Return how long so many seconds of audio will take."""
        return audio * self.real_time_factor
