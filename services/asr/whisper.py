"""Whisper through faster-whisper on CTranslate2: the one file that loads it.

The recording is reduced to speech by Silero voice activity detection, decoded window by window with beam
search and temperature fallback, and its times are mapped back to the recording; these are the parts that
`WhisperModel.transcribe(vad_filter=True)` is made of, called one by one so that a recording without speech
ends early and each step can be cancelled.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps
from numpy.typing import NDArray

from services.asr.engine import Listener, Recognition, Segment, Word
from services.asr.word_times import Clock
from services.audio.pcm import SAMPLE_RATE
from services.runtime.worker import Cancelled

_BEAM_SIZE = 5
_SHORTEST_RECORDING_SECONDS = 0.1
_DETECTION_SECONDS = 30.0
# The spectrogram of a block is made at once and takes about 1.5 MB a second on the way.
_BLOCK_SECONDS = 600.0
_UNKNOWN_LANGUAGE = "en"


Chunk = dict[str, int]
"""A stretch of speech as Silero's tools have it: `start` and `end` in samples."""


class _Whisper(WhisperModel):  # type: ignore[misc]  # the package has no types
    """A WhisperModel whose every window can be the last: cancellation is looked for before each encoding."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._running = threading.local()

    @contextlib.contextmanager
    def cancelled_by(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Raise Cancelled from this thread's computations as soon as `cancelled` says so."""
        self._running.cancelled = cancelled
        try:
            yield
        finally:
            del self._running.cancelled

    def encode(self, features: NDArray[np.float32]) -> Any:
        """Encode a window, unless nobody wants it any more."""
        if getattr(self._running, "cancelled", bool)():
            raise Cancelled
        return super().encode(features)


class WhisperTranscriber:
    """A Whisper model in a local folder.

    Args:
        model: id that answers carry.
        folder: CTranslate2 model folder.
        device: `cpu` or `cuda`.
        compute_type: CTranslate2's, such as `int8` or `float16`.
        threads: processor threads for one computation; only for the CPU.
    """

    def __init__(self, model: str, folder: Path, *, device: str, compute_type: str, threads: int) -> None:
        self._model = model
        self._whisper = _Whisper(
            str(folder), device=device, compute_type=compute_type, cpu_threads=threads, local_files_only=True
        )
        self._languages = _languages(self._whisper)

    @property
    def model(self) -> str:
        """Id of the model."""
        return self._model

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages it knows."""
        return self._languages

    def transcribe(self, samples: NDArray[np.float32], language: str | None, listener: Listener) -> Recognition:
        """Recognize `samples`; see `engine.Transcriber`."""
        duration = len(samples) / SAMPLE_RATE
        speech = self._find_speech(samples)
        if listener.cancelled():
            raise Cancelled
        if not speech:
            listener.progress(duration)
            return Recognition(language or _UNKNOWN_LANGUAGE, 1.0 if language else 0.0, 0.0)
        with self._whisper.cancelled_by(listener.cancelled):
            known, probability = (language, 1.0) if language else self._detect_language(samples, speech)
            for segment in Clock(duration).order(self._segments(samples, speech, known)):
                if listener.cancelled():
                    raise Cancelled
                listener.segment(segment)
                listener.progress(segment.end)
        if listener.cancelled():
            raise Cancelled
        listener.progress(duration)
        spoken = sum(chunk["end"] - chunk["start"] for chunk in speech) / SAMPLE_RATE
        return Recognition(known, probability, spoken)

    def _detect_language(self, samples: NDArray[np.float32], speech: list[Chunk]) -> tuple[str, float]:
        if len(self._languages) == 1:
            return self._languages[0], 1.0
        first = next(_blocks(speech, _DETECTION_SECONDS))
        language, probability, _ = self._whisper.detect_language(_joined(samples, first))
        return language, float(probability)

    def _segments(self, samples: NDArray[np.float32], speech: list[Chunk], language: str) -> Iterator[Segment]:
        for block in _blocks(speech, _BLOCK_SECONDS):
            # No conditioning on the previous window's text: one repetition there spreads over all that follows.
            found, _ = self._whisper.transcribe(
                _joined(samples, block),
                language=language,
                beam_size=_BEAM_SIZE,
                word_timestamps=True,
                condition_on_previous_text=False,
            )
            for item in restore_speech_timestamps(found, block, SAMPLE_RATE):
                if item.words:
                    yield _segment(item, language)

    def warm_up(self) -> None:
        """Run one real inference, so that the first caller does not pay for lazy set-up."""
        noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        get_speech_timestamps(noise, VadOptions())
        found, _ = self._whisper.transcribe(noise, language="en", beam_size=_BEAM_SIZE, word_timestamps=True)
        list(found)

    @staticmethod
    def _find_speech(samples: NDArray[np.float32]) -> list[Chunk]:
        if len(samples) < _SHORTEST_RECORDING_SECONDS * SAMPLE_RATE:
            return []
        speech: list[Chunk] = get_speech_timestamps(samples, VadOptions(max_speech_duration_s=_BLOCK_SECONDS))
        return speech


def _blocks(speech: list[Chunk], seconds: float) -> Iterator[list[Chunk]]:
    """Yield the stretches of speech in groups of at most `seconds`, but at least one stretch each."""
    block: list[Chunk] = []
    length = 0
    for chunk in speech:
        length += chunk["end"] - chunk["start"]
        if block and length > seconds * SAMPLE_RATE:
            yield block
            block, length = [], chunk["end"] - chunk["start"]
        block.append(chunk)
    yield block


def _joined(samples: NDArray[np.float32], speech: list[Chunk]) -> NDArray[np.float32]:
    pieces, _ = collect_chunks(samples, speech)
    return np.concatenate(pieces, axis=0)


def _languages(whisper: Any) -> tuple[str, ...]:
    if not whisper.model.is_multilingual:
        return ("en",)
    # faster-whisper lists the newest model's languages for every model; the vocabulary tells the truth.
    known = whisper.hf_tokenizer.get_vocab()
    return tuple(code for code in whisper.supported_languages if f"<|{code}|>" in known)


def _segment(item: Any, language: str) -> Segment:
    words = tuple(
        Word(word.word, float(word.start), float(word.end), min(max(float(word.probability), 0.0), 1.0))
        for word in item.words
    )
    return Segment(
        start=words[0].start,
        end=words[-1].end,
        text=item.text.strip(),
        words=words,
        confidence=sum(word.probability for word in words) / len(words),
        average_log_probability=float(item.avg_logprob),
        no_speech_probability=float(item.no_speech_prob),
        compression_ratio=float(item.compression_ratio),
        language=language,
    )
