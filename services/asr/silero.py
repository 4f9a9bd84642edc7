"""Silero VAD v6 as faster-whisper ships it: the one file that loads it."""

from faster_whisper.vad import get_vad_model

from services.asr.vad import VoiceActivity, VoiceState


class Silero:
    """The loaded network, for any number of recordings at once."""

    def __init__(self) -> None:
        self._session = get_vad_model().session

    def listen(self, state: VoiceState | None = None, known: int = 0) -> VoiceActivity:
        """Return a listener for one recording; see `VoiceActivity`."""
        return VoiceActivity(self._session, state, known)
