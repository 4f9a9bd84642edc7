"""When a program that ended is started again: a pure state machine, the time is handed in.

    started --healthy()--> healthy --exited()--> Restart(delay)
       └------------------exited()------------> Restart(delay), or None: it is of no use to go on

The pause doubles with each failure and is forgotten after a while of health. Only a program that has never
been healthy is given up: after that, whatever makes it fail may pass, and somebody waits for it.
"""

from dataclasses import dataclass

WRONG_SETTINGS_EXIT_CODE = 2
"""Exit code of a program whose settings are wrong; starting it again would not mend them."""


@dataclass(frozen=True)
class RestartLimits:
    """The numbers of the policy, in seconds unless said otherwise."""

    first_delay: float = 0.5
    """Pause after the first failure; each further one doubles it."""

    longest_delay: float = 30.0
    """The pause grows no further than this."""

    healthy_for: float = 60.0
    """Health of this length makes earlier failures forgotten."""

    attempts: int = 5
    """Starts, a number, after which a program that was never healthy is given up."""


class RestartPolicy:
    """The restarts of one program; all times are seconds of one clock that never runs backwards."""

    def __init__(self, limits: RestartLimits) -> None:
        self._limits = limits
        self._failures = 0
        self._ever_healthy = False
        self._healthy_since: float | None = None

    @property
    def failures(self) -> int:
        """Failures in a row so far."""
        return self._failures

    def healthy(self, now: float) -> None:
        """Tell that the running program has become healthy."""
        self._ever_healthy = True
        if self._healthy_since is None:
            self._healthy_since = now

    def exited(self, now: float, exit_code: int) -> float | None:
        """Tell that the program ended unasked; return the pause before the next start, or None to give up."""
        if self._healthy_since is not None and now - self._healthy_since >= self._limits.healthy_for:
            self._failures = 0
        self._healthy_since = None
        self._failures += 1
        if not self._ever_healthy and (
            exit_code == WRONG_SETTINGS_EXIT_CODE or self._failures >= self._limits.attempts
        ):
            return None
        # 2.0 ** 1024 overflows, and long before that the longest pause is reached.
        doublings = min(self._failures - 1, 64)
        return min(self._limits.first_delay * 2.0**doublings, self._limits.longest_delay)
