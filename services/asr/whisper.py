"""Whisper on CTranslate2: the one file that loads it.

Windows are encoded as short as their audio allows: nine tenths of the time of a 5-second clip would otherwise go
into silence. Word times come from the alignment whether the text was decoded with timestamp tokens or without.

Every window is aligned alone. CTranslate2 normalises padded rows along with real ones when all windows of an
alignment have the same length, which moves word times by what else is in the batch; and on a CPU a batch of
alignments is no faster.
"""

from __future__ import annotations

import math
import re
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np
import tokenizers
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import _LANGUAGE_CODES, Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, merge_punctuations

from services.asr.engine import AlignedWord, Encoding, Hypothesis, Prompt, Task
from services.audio.pcm import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_LENGTH = 448
_NEW_TOKENS = _MAX_LENGTH // 2
_LONGEST_CONTEXT = _NEW_TOKENS - 1
_HYPOTHESES_SAMPLED = 5
_SEED = 20_221_206
_HOP_SAMPLES = 160
_FRAMES_PER_SECOND = 100
_ENCODED_FRAMES_PER_SECOND = 50
_MEDIAN_FILTER_WIDTH = 7
# OpenAI's choice of what belongs to the next and to the previous word.
_OPENING = "\"'“¿([{-"
_CLOSING = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - full-width marks are meant


class WhisperEngine:
    """A Whisper model in a local folder; see `engine.Engine`.

    Args:
        model: its id.
        folder: CTranslate2 model folder.
        device: `cpu` or `cuda`.
        compute_type: CTranslate2's, such as `int8` or `float16`.
        workers: computations at once; they share the weights.
        threads: processor threads of one computation; only for the CPU.
    """

    def __init__(self, model: str, folder: Path, *, device: str, compute_type: str, workers: int, threads: int) -> None:
        self._model = model

        def load(workers: int, threads: int) -> Any:
            return ctranslate2.models.Whisper(
                str(folder),
                device=device,
                compute_type=compute_type,
                inter_threads=workers,
                intra_threads=threads,
            )

        # Read once by every worker thread of the library, when it samples for the first time.
        ctranslate2.set_random_seed(_SEED)
        self._whisper = load(workers, threads)
        # On a GPU a second copy of the weights may not fit, and nothing is promised to the bit there.
        self._load_copy: Callable[[], Any] = (lambda: load(1, threads)) if device == "cpu" else lambda: self._whisper
        self._one_copy = threading.Lock()
        self._features = FeatureExtractor(feature_size=self._whisper.n_mels)
        self._vocabulary = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._multilingual = bool(self._whisper.is_multilingual)
        self._languages = _languages(self._vocabulary) if self._multilingual else ("en",)
        self._tokenizer = lru_cache(maxsize=256)(self._new_tokenizer)

    @property
    def model(self) -> str:
        """Id of the model."""
        return self._model

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages it knows."""
        return self._languages

    @property
    def can_translate(self) -> bool:
        """Whether it can: the turbo models were trained without translations, English ones have nothing to do."""
        return self._multilingual and "turbo" not in self._model

    @property
    def longest_context(self) -> int:
        """Most tokens of context that a prompt takes."""
        return _LONGEST_CONTEXT

    def context(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text that precedes the recording."""
        return tuple(self._tokenizer("en", Task.TRANSCRIBE).encode(f" {text.strip()}")) if text.strip() else ()

    def prompt(self, language: str, task: Task, context: Sequence[int], *, timestamps: bool) -> Prompt:
        """Return the prompt for a language, a task and a context."""
        tokenizer = self._tokenizer(language, task)
        before = (tokenizer.sot_prev, *context) if context else ()
        after = () if timestamps else (tokenizer.no_timestamps,)
        return Prompt((*before, *tokenizer.sot_sequence, *after), language, task)

    def encode(self, audio: Sequence[NDArray[np.int16]], seconds: int) -> list[Encoding]:
        """Encode windows, padded with silence to `seconds`."""
        features = np.stack([self._spectrogram(samples, seconds) for samples in audio])
        encoded = self._whisper.encode(ctranslate2.StorageView.from_array(features), to_cpu=True)
        if encoded.dtype not in (ctranslate2.DataType.float32, ctranslate2.DataType.float16):
            encoded = encoded.to(ctranslate2.DataType.float32)
        return list(np.asarray(encoded))

    def detect_language(self, encoding: Encoding, start: float, end: float) -> Mapping[str, float]:
        """Return the probability of every language between two moments, from the encoded frames there.

        Frames know of each other, but of their own surroundings most: of several languages in a window, each
        is found where it is spoken.
        """
        if len(self._languages) == 1:
            return {self._languages[0]: 1.0}
        first = min(max(0, round(start * _ENCODED_FRAMES_PER_SECOND)), len(encoding) - 1)
        last = max(first + 1, round(end * _ENCODED_FRAMES_PER_SECOND))
        (found,) = self._whisper.detect_language(_view([encoding[first:last]]))
        return {token[2:-2]: float(probability) for token, probability in found}

    def decode(self, encodings: Sequence[Encoding], prompts: Sequence[Prompt], beam_size: int) -> list[Hypothesis]:
        """Decode windows that were encoded to one length, with prompts of one length."""
        return self._generate(self._whisper, encodings, prompts, beam_size=beam_size)

    def sample(self, encoding: Encoding, prompt: Prompt, temperature: float) -> Hypothesis:
        """Return the likeliest of five sampled texts.

        With a copy of the model that is loaded for it, one at a time. CTranslate2's random numbers belong to a
        worker thread and cannot be set back; a fresh copy has fresh threads, so the same window gets the same
        numbers whatever was computed before.
        """
        with self._one_copy:
            # Without sampling_topk=0 the library takes the likeliest token whatever the temperature.
            (hypothesis,) = self._generate(
                self._load_copy(),
                [encoding],
                [prompt],
                beam_size=1,
                num_hypotheses=_HYPOTHESES_SAMPLED,
                sampling_topk=0,
                sampling_temperature=temperature,
            )
        return hypothesis

    def align(
        self, encoding: Encoding, seconds: float, prompt: Prompt, hypothesis: Hypothesis
    ) -> tuple[AlignedWord, ...]:
        """Return the words of a hypothesis in order, with times inside the first `seconds` of the window."""
        tokenizer = self._tokenizer(prompt.language, prompt.task)
        words, word_tokens = tokenizer.split_to_word_tokens([*hypothesis.tokens, tokenizer.eot])
        if len(words) < 2:
            return ()
        (found,) = self._whisper.align(
            _view([encoding]),
            tokenizer.sot_sequence,
            [list(hypothesis.tokens)],
            min(2 * len(encoding), math.ceil(seconds * _FRAMES_PER_SECOND)),
            median_filter_width=_MEDIAN_FILTER_WIDTH,
        )
        # The path through tokens and frames: where it first meets a token, that token starts. The last
        # "word" is the end mark; where it starts, the last real word ends.
        path = np.asarray(found.alignments, dtype=np.intp).reshape(-1, 2)
        bounds = np.cumsum([0, *map(len, word_tokens[:-1])])
        times = path[np.searchsorted(path[:, 0], bounds), 1] / _ENCODED_FRAMES_PER_SECOND
        probabilities = np.add.reduceat(found.text_token_probs, bounds[:-1]) / np.diff(bounds)
        return _words(words[:-1], times, probabilities)

    def _spectrogram(self, samples: NDArray[np.int16], seconds: int) -> NDArray[np.float32]:
        # Silence is added to the audio, not zeros to its spectrogram: a quiet frame is not what a zero means there.
        audio = np.zeros(seconds * SAMPLE_RATE, np.float32)
        audio[: len(samples)] = samples[: len(audio)] / np.float32(32768)
        frames = self._features(audio)[:, : len(audio) // _HOP_SAMPLES]
        return np.ascontiguousarray(frames, np.float32)

    def _generate(
        self, whisper: Any, encodings: Sequence[Encoding], prompts: Sequence[Prompt], **how: Any
    ) -> list[Hypothesis]:
        tokenizer = self._tokenizer(prompts[0].language, prompts[0].task)
        room = min(_NEW_TOKENS, _MAX_LENGTH - len(prompts[0].tokens))
        results = whisper.generate(
            _view(encodings),
            [list(prompt.tokens) for prompt in prompts],
            max_length=_MAX_LENGTH,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=list(self._suppressed),
            **how,
        )
        return [_hypothesis(result, tokenizer, room) for result in results]

    @property
    def _suppressed(self) -> tuple[int, ...]:
        # [-1] stands for the symbols that nobody speaks; faster-whisper adds the special tokens.
        return tuple(get_suppressed_tokens(self._tokenizer("en", Task.TRANSCRIBE), [-1]))

    def _new_tokenizer(self, language: str, task: Task) -> Tokenizer:
        return Tokenizer(self._vocabulary, self._multilingual, task=task.value, language=language)


def compression_ratio(text: str) -> float:
    """Return the length of a text over its zlib-compressed length, 0 for no text (Radford et al. 2022, 4.5)."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def _view(encodings: Sequence[Encoding]) -> Any:
    return ctranslate2.StorageView.from_array(np.stack(encodings))


def _languages(vocabulary: Any) -> tuple[str, ...]:
    # The library lists the newest model's languages for every model; the vocabulary tells the truth.
    known = vocabulary.get_vocab()
    return tuple(code for code in _LANGUAGE_CODES if f"<|{code}|>" in known)


def _hypothesis(result: Any, tokenizer: Tokenizer, room: int) -> Hypothesis:
    tokens = tuple(result.sequences_ids[0])
    text = re.sub(r"\s+", " ", tokenizer.decode(list(tokens))).strip()
    return Hypothesis(
        # Timestamps have done their work; word times come from the alignment.
        tokens=tuple(token for token in tokens if token < tokenizer.eot),
        text=text,
        # The score is a mean over the tokens; the end mark counts too.
        average_log_probability=min(0.0, float(result.scores[0]) * len(tokens) / (len(tokens) + 1)),
        no_speech_probability=min(max(float(result.no_speech_prob), 0.0), 1.0),
        compression_ratio=compression_ratio(text),
        complete=len(tokens) < room,
    )


def _words(
    texts: Sequence[str], times: NDArray[np.float64], probabilities: NDArray[np.float64]
) -> tuple[AlignedWord, ...]:
    timed: list[dict[str, Any]] = [
        {"word": text, "tokens": [], "start": float(start), "end": float(end), "probability": float(probability)}
        for text, start, end, probability in zip(texts, times[:-1], times[1:], probabilities, strict=True)
    ]
    merge_punctuations(timed, _OPENING, _CLOSING)
    return tuple(
        AlignedWord(word["word"], word["start"], word["end"], min(max(word["probability"], 0.0), 1.0))
        for word in timed
        if word["word"].strip()
    )
