"""What the server is compared with: other libraries on the same weights, used as they are."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.scoring import Utterance
from benchmarks.server import REQUEST_SECONDS, ServerError
from services.edge.transcript import Segment, Turn, Word


class PlainWhisper:
    """faster-whisper as its users call it, on all cores of this machine.

    Args:
        model_id: id in the catalogue; its folder must be complete.
        compute_type: CTranslate2's, as the asr service has it.
        device: cpu or cuda.

    Raises:
        MeshError: the model is not in the models folder.
    """

    def __init__(self, model_id: str, compute_type: str, device: str = "cpu") -> None:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        from services.models.catalogue import model_folder
        from services.models.folders import default_models_dir

        folder = model_folder(default_models_dir(os.environ), model_id)
        cores = len(os.sched_getaffinity(0))
        self._model = WhisperModel(str(folder), device=device, compute_type=compute_type, cpu_threads=cores)
        self._batched = BatchedInferencePipeline(self._model)

    @staticmethod
    def pcm(path: Path) -> bytes:
        """Return a file as 16 kHz mono s16 PCM."""
        from faster_whisper.audio import decode_audio

        from services.audio.pcm import SAMPLE_RATE

        return _to_pcm(decode_audio(str(path), sampling_rate=SAMPLE_RATE))

    def sequential(self, pcm: bytes, language: str | None = None) -> str:
        """Return the text of `WhisperModel.transcribe` with beam 5, vad_filter and word times."""
        return _text(
            self._model.transcribe(_samples(pcm), language=language, beam_size=5, vad_filter=True, word_timestamps=True)
        )

    def batched(self, pcm: bytes, language: str | None = None) -> str:
        """Return the text of `BatchedInferencePipeline.transcribe` with batch_size=8, beam 5 and word times."""
        return _text(
            self._batched.transcribe(_samples(pcm), language=language, beam_size=5, batch_size=8, word_timestamps=True)
        )

    def one_window(self, pcm: bytes, language: str | None = None) -> str:
        """Return the text of plain windows of 30 s without voice activity detection: greedy, no timestamps."""
        samples = _samples(pcm)
        window = 30 * 16_000
        parts = [samples[start : start + window] for start in range(0, len(samples), window)]
        return " ".join(
            _text(
                self._model.transcribe(
                    part,
                    language=language,
                    beam_size=1,
                    temperature=0.0,
                    without_timestamps=True,
                    condition_on_previous_text=False,
                    compression_ratio_threshold=None,
                    log_prob_threshold=None,
                    no_speech_threshold=None,
                )
            )
            for part in parts
        )


def _text(transcribed: Any) -> str:
    segments, _ = transcribed
    return " ".join(segment.text.strip() for segment in segments)


def _samples(pcm: bytes) -> Any:
    import numpy as np

    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


def _to_pcm(samples: Any) -> bytes:
    return bytes((samples * 32767.0).round().astype("<i2").tobytes())


def diarize_turns(address: str, path: Path) -> list[Utterance]:
    """Return the turns, overlapping ones included, that the diarize service at `address` finds in a file.

    Raises:
        ServerError: it refused or could not be reached.
    """
    import grpc

    from speechmesh.diarize.v1 import diarize_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        stub = diarize_pb2_grpc.DiarizeServiceStub(channel)
        try:
            for response in stub.Diarize(_diarize_requests(path), timeout=REQUEST_SECONDS):
                if response.WhichOneof("event") == "diarization":
                    return [_turn(turn) for turn in response.diarization.turns]
        except grpc.RpcError as error:
            raise ServerError(f"{path.name}: diarize at {address}: {error.details()}") from error
    raise ServerError(f"{path.name}: diarize at {address} ended without a result")


def _diarize_requests(path: Path) -> Iterator[Any]:
    from faster_whisper.audio import decode_audio

    from services.audio.pcm import MAX_CHUNK_BYTES, SAMPLE_RATE
    from speechmesh.diarize.v1 import diarize_pb2

    pcm = _to_pcm(decode_audio(str(path), sampling_rate=SAMPLE_RATE))
    yield diarize_pb2.DiarizeRequest(config=diarize_pb2.DiarizationConfig())
    for place in range(0, len(pcm), MAX_CHUNK_BYTES):
        yield diarize_pb2.DiarizeRequest(audio=pcm[place : place + MAX_CHUNK_BYTES])


def _turn(turn: Any) -> Utterance:
    start = turn.span.start_offset.ToTimedelta().total_seconds()
    end = turn.span.end_offset.ToTimedelta().total_seconds()
    return Utterance(f"speaker {turn.speaker_index}", "", start, end)


class PlainPyannote:
    """pyannote.audio's own pipeline with the weights of the small diarization model, on all cores of this machine.

    Its windows overlap by nine tenths, its own default, and embeddings are clustered bottom up with a threshold of
    0.7. Silent speakers are skipped, which it does not do itself.
    """

    def __init__(self) -> None:
        import torch

        from services.diarize.pyannote_engine import EMBEDDING_FILE, SEGMENTATION_FILE, NoPlda, load_segmentation
        from services.diarize.pyannote_import import SpeakerDiarization
        from services.models.catalogue import model_folder
        from services.models.folders import default_models_dir

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        folder = model_folder(default_models_dir(os.environ), "segmentation-3.0-campplus")
        pipeline = SpeakerDiarization(
            segmentation=load_segmentation(folder / SEGMENTATION_FILE),
            embedding=_selecting(folder / EMBEDDING_FILE),
            embedding_exclude_overlap=True,
            plda=NoPlda(),
            clustering="AgglomerativeClustering",
        )
        self._pipeline = pipeline.instantiate(
            {
                "segmentation": {"min_duration_off": 0.0},
                "clustering": {"method": "centroid", "threshold": 0.7, "min_cluster_size": 12},
            }
        )

    def turns(self, pcm: bytes) -> list[Utterance]:
        """Return who spoke when."""
        import torch

        waveform = torch.from_numpy(_samples(pcm))[None]
        output = self._pipeline({"waveform": waveform, "sample_rate": 16_000, "uri": "recording"})
        return [
            Utterance(str(label), "", segment.start, segment.end)
            for segment, _, label in output.speaker_diarization.itertracks(yield_label=True)
        ]


def _selecting(weights: Path) -> Any:
    """Return CAM++ as it is used outside of this project: the frames of a speaker are taken out before the network."""
    import torch
    import torch.nn.functional as F
    from torchaudio.compliance import kaldi

    from services.diarize.campplus import MEL_BINS, CamPlusPlusEmbedding

    class Selecting(CamPlusPlusEmbedding):
        def forward(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
            embeddings = waveforms.new_full((len(waveforms), self.dimension), torch.nan)
            for row, waveform in enumerate(waveforms):
                features = kaldi.fbank(waveform, num_mel_bins=MEL_BINS, sample_frequency=16_000, dither=0.0)
                if weights is not None:
                    mask = F.interpolate(weights[None, row : row + 1], size=len(features), mode="nearest")[0, 0]
                    features = features[mask > 0.5]
                if len(features):
                    # With any length allowed, libraries would prepare kernels for each all the time.
                    frames = math.ceil(len(features) / 50) * 50
                    features = features.repeat(math.ceil(frames / len(features)), 1)[:frames]
                    centred = (features - features.mean(dim=0))[None]
                    embeddings[row] = self.network.pooled(self.network.trunk(centred), None)[0]
            return embeddings

    return Selecting.from_weights(weights)


def largest_overlap(segments: Sequence[Segment], turns: Sequence[Turn]) -> list[Utterance]:
    """Give each word to the speaker whose turns share most of its time, as whisperX's `assign_word_speakers` does.

    A word that shares time with no turn has no speaker. Words are joined while the speaker stays the same.
    """
    utterances: list[Utterance] = []
    for segment in segments:
        labelled = [(_most_shared(word, turns), word) for word in segment.words]
        for speaker, run in groupby(labelled, key=lambda pair: pair[0]):
            words = [word for _, word in run]
            name = "unknown" if speaker is None else str(speaker)
            utterances.append(
                Utterance(name, "".join(word.text for word in words).strip(), words[0].start, words[-1].end)
            )
    return utterances


def _most_shared(word: Word, turns: Sequence[Turn]) -> int | None:
    shared: dict[int, float] = {}
    for turn in turns:
        seconds = min(word.end, turn.end) - max(word.start, turn.start)
        if seconds > 0:
            shared[turn.speaker] = shared.get(turn.speaker, 0.0) + seconds
    return max(shared, key=lambda speaker: shared[speaker]) if shared else None


@dataclass(frozen=True)
class Written:
    """What was written after some prompts at once."""

    tokens: list[list[int]]
    """Of each prompt."""
    first_seconds: float
    """From the call to the first token, which all of them get together."""


class PlainGenerate:
    """`transformers.generate` as its users call it, with torch's own number of threads: greedy, no sampling.

    The end of a text does not end it: it always writes as many tokens as it is told.

    Args:
        folder: a prepared model.
        device: cpu or cuda; the weights are of the data type that the summarize service takes there.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        from services.summarize.transformers_engine import best_dtype

        logging.disable_progress_bar()
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=best_dtype(device), local_files_only=True
        ).to(device)
        self._model.eval()
        self._model.generation_config.eos_token_id = None

    def write(self, prompts: Sequence[Sequence[int]], count: int, penalty: float = 1.0) -> Written:
        """Write `count` tokens after each prompt, all prompts in one batch.

        Args:
            prompts: all of the same length, so that none has padding in it.
            count: tokens to write.
            penalty: on tokens that were written, as the summarize service has it; 1 for none.
        """
        import torch
        from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

        (length,) = {len(prompt) for prompt in prompts}
        ids = torch.tensor(prompts, device=self._model.device)
        processors = LogitsProcessorList()
        if penalty != 1.0:
            # As an argument of `generate` it would be on the words of the prompt, too.
            processors.append(RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=length))
        first = _FirstToken()
        with torch.inference_mode():
            written = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                repetition_penalty=1.0,
                min_new_tokens=None,
                max_new_tokens=count,
                logits_processor=processors,
                stopping_criteria=[first],
            )
        tokens: list[list[int]] = written[:, length:].tolist()
        assert all(len(one) == count for one in tokens), "it stopped early"
        assert first.seconds is not None
        return Written(tokens, first.seconds)


class _FirstToken:
    """A stopping criterion that stops nothing: it is asked after every token, and tells when the first one came."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.seconds: float | None = None

    def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
        if self.seconds is None:
            self.seconds = time.monotonic() - self._began
        return ids.new_zeros(len(ids), dtype=bool)


class PlainCTranslate2:
    """CTranslate2's generator in int8 on all cores of this machine, greedy.

    It always writes as many tokens as it is told; its repetition penalty is on the words of the prompt, too.

    Args:
        folder: a prepared model of transformers.
        converted: a folder that is not there yet, for what CTranslate2 makes of it.
    """

    def __init__(self, folder: Path, converted: Path) -> None:
        import ctranslate2
        from ctranslate2.converters import TransformersConverter
        from transformers import AutoTokenizer

        TransformersConverter(str(folder)).convert(str(converted), quantization="int8")
        cores = len(os.sched_getaffinity(0))
        self._generator = ctranslate2.Generator(str(converted), compute_type="int8", intra_threads=cores)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def write(self, prompts: Sequence[Sequence[int]], count: int, penalty: float = 1.0) -> Written:
        """Write `count` tokens after each prompt, all prompts in one batch."""
        began = time.monotonic()
        first: list[float] = []

        def took(_: Any) -> bool:
            if not first:
                first.append(time.monotonic() - began)
            return False

        results = self._generator.generate_batch(
            [self._tokenizer.convert_ids_to_tokens(prompt) for prompt in prompts],
            min_length=count,
            max_length=count,
            include_prompt_in_result=False,
            repetition_penalty=penalty,
            callback=took,
        )
        tokens = [list(result.sequences_ids[0]) for result in results]
        assert all(len(one) == count for one in tokens), "it stopped early"
        return Written(tokens, first[0])
