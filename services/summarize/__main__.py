"""Runs the summarize service: `python -m services.summarize`, settings by environment (see config.py)."""

from services.models.catalogue import model_folder
from services.runtime.admission import Admission
from services.runtime.lifecycle import Loading
from services.runtime.process import begin, run_grpc
from services.summarize.config import SummarizeSettings
from services.summarize.engine import Summarizer
from services.summarize.server import SummarizeServicer
from speechmesh.summarize.v1 import summarize_pb2, summarize_pb2_grpc


def _load_summarizer(settings: SummarizeSettings) -> Summarizer:
    folder = model_folder(settings.models_dir, settings.model)
    # Imported here: the health port answers while the libraries load.
    from services.summarize.transformers_engine import TransformersSummarizer

    summarizer = TransformersSummarizer(
        settings.model,
        folder,
        device=settings.device,
        threads=settings.threads,
        max_input_tokens=settings.token_limit,
    )
    summarizer.warm_up()
    return summarizer


def main() -> None:
    """Serve until told to stop."""
    settings = begin("summarize", SummarizeSettings)
    summarizer: Loading[Summarizer] = Loading()
    # One at a time: reading and writing keep the device busy by themselves.
    admission = Admission("summarize", places=settings.queue_limit, slots=1)
    servicer = SummarizeServicer(summarizer, admission)
    run_grpc(
        settings,
        summarize_pb2.DESCRIPTOR.services_by_name["SummarizeService"].full_name,
        register=lambda server: summarize_pb2_grpc.add_SummarizeServiceServicer_to_server(servicer, server),
        load=lambda: summarizer.set(_load_summarizer(settings)),
    )


if __name__ == "__main__":
    main()
