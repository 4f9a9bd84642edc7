"""Runs the summarize service: `python -m services.summarize`, settings by environment (see config.py)."""

import asyncio

from services.models.catalogue import model_folder
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading, leave, serve_grpc
from services.runtime.logs import configure_logs
from services.runtime.parent import die_with_parent
from services.runtime.settings import load_settings
from services.runtime.threads import calm_threads
from services.summarize.config import SummarizeSettings
from services.summarize.engine import Summarizer
from services.summarize.server import SummarizeServicer
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc


def _load_summarizer(settings: SummarizeSettings) -> Summarizer:
    folder = model_folder(settings.models_dir, settings.loaded_model)
    calm_threads(settings.threads)
    # Imported here: the health port answers while the libraries load.
    from services.summarize.transformers_engine import TransformersSummarizer

    summarizer = TransformersSummarizer(
        settings.loaded_model,
        folder,
        device=settings.device,
        threads=settings.threads,
        max_input_tokens=settings.token_limit,
    )
    summarizer.warm_up()
    return summarizer


def main() -> None:
    """Serve until told to stop."""
    die_with_parent()
    settings = load_settings(SummarizeSettings)
    configure_logs("summarize", settings.log_level, settings.log_format)
    summarizer: Loading[Summarizer] = Loading()
    # One at a time: reading and writing keep the device busy by themselves.
    admission = Admission("summarize", places=settings.queue_limit, slots=1)
    servicer = SummarizeServicer(summarizer, admission)
    register = summarize_pb2_grpc.add_SummarizeServiceServicer_to_server
    leave(
        asyncio.run(
            serve_grpc(
                listen=settings.listen,
                metrics_listen=settings.metrics_listen,
                drain_seconds=settings.drain_seconds,
                service_name=summarize_pb2.DESCRIPTOR.services_by_name["SummarizeService"].full_name,
                register=lambda server: register(servicer, server),
                load=lambda: summarizer.set(_load_summarizer(settings)),
            )
        )
    )


if __name__ == "__main__":
    main()
