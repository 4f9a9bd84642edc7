"""Runs the summarize service: `python -m services.summarize`, settings by environment (see config.py)."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from services.models.catalogue import model_folder
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.process import begin, run_grpc
from services.summarize.config import SummarizeSettings
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc

if TYPE_CHECKING:
    from services.summarize.sentence_kinds import SentenceKinds
    from services.summarize.summarizer import Summarizer

NICENESS = 5
"""As diarize: where it shares cores with asr, what is said live goes first."""

SWITCH_SECONDS = 0.0005


def _load(settings: SummarizeSettings) -> Summarizer:
    folder = model_folder(settings.models_dir, settings.model)
    # Imported here: the health port answers while the libraries load.
    from services.summarize.device import Device
    from services.summarize.languages import load_classifier
    from services.summarize.learning import learned_kinds
    from services.summarize.summarizer import LONGEST_REST, Summarizer
    from services.summarize.transformers_engine import TransformersModel

    def load() -> tuple[TransformersModel, SentenceKinds]:
        model = TransformersModel(
            settings.model,
            folder,
            device=settings.device,
            threads=settings.threads_of_one_computation,
            rows=settings.rows,
            window=settings.tokens_of_part + LONGEST_REST,
        )
        model.warm_up()
        return model, learned_kinds(model, folder)

    load_classifier()
    thread = ThreadPoolExecutor(1, thread_name_prefix="summarize-model")
    model, kinds = thread.submit(load).result()
    return Summarizer(Device(model, thread), kinds, settings.tokens_of_part)


def main() -> None:
    """Serve until told to stop."""
    settings = begin("summarize", SummarizeSettings)
    if settings.device == "cpu":
        os.nice(NICENESS)
    # Long texts are prepared in threads; the model's own thread must not wait for them at every small product.
    sys.setswitchinterval(SWITCH_SECONDS)
    # Imported here: it imports numpy, whose threads are told only once how they shall behave.
    from services.summarize.server import SummarizeServicer

    summarizer: Loading[Summarizer] = Loading()
    servicer = SummarizeServicer(
        summarizer,
        Admission(
            "summarize",
            places=settings.queue_limit,
            slots=settings.queue_limit,
            expected_wait=lambda: summarizer.get().device.expected_wait_seconds(),
        ),
        max_characters=settings.max_characters,
    )
    run_grpc(
        settings,
        summarize_pb2.DESCRIPTOR.services_by_name["SummarizeService"].full_name,
        register=lambda server: summarize_pb2_grpc.add_SummarizeServiceServicer_to_server(servicer, server),
        load=lambda: summarizer.set(_load(settings)),
    )


if __name__ == "__main__":
    main()
