"""Silero VAD v6 as faster-whisper ships it: the one file that loads it."""

from faster_whisper.vad import get_vad_model

from services.asr.vad import VoiceActivity


class Silero:
    """The loaded network, for any number of recordings at once."""

    def __init__(self) -> None:
        self._session = get_vad_model().session

    def listen(self) -> VoiceActivity:
        """Return a listener for one recording."""
        return VoiceActivity(self._session)
