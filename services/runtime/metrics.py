"""Every metric that the processes share, and the port they are read from."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from services.runtime.settings import parse_address

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)

RPC_SECONDS = Histogram(
    "speechmesh_rpc_seconds",
    "Time from the start of a gRPC call to its end",
    ["method", "code"],
    buckets=_SECONDS,
)
RPC_INFLIGHT = Gauge("speechmesh_rpc_inflight", "gRPC calls that are being served", ["method"])
HTTP_SECONDS = Histogram(
    "speechmesh_http_seconds",
    "Time from the head of an HTTP request to the end of its answer",
    ["route", "status"],
    buckets=_SECONDS,
)
LEDGER_SECONDS = Histogram(
    "speechmesh_ledger_seconds",
    "Time that the ledger took to let a request in, to extend it, to settle it",
    ["step"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0),
)
HTTP_INFLIGHT = Gauge("speechmesh_http_inflight", "HTTP requests that are being served", ["route"])
QUEUE_PLACES = Gauge("speechmesh_queue_places", "Requests taken, running or waiting", ["service"])
QUEUE_WAIT_SECONDS = Histogram(
    "speechmesh_queue_wait_seconds",
    "Time from having the audio, or a prompt, to starting on it",
    ["service"],
    buckets=_SECONDS,
)
QUEUE_REFUSED = Counter("speechmesh_queue_refused_total", "Requests refused because the queue was full", ["service"])
AUDIO_SECONDS = Counter("speechmesh_audio_seconds_total", "Audio worked through", ["service"])
BUSY_SECONDS = Counter("speechmesh_busy_seconds_total", "Time spent working on audio or text", ["service"])
ASR_QUEUE_WINDOWS = Gauge("speechmesh_asr_queue_windows", "Windows that wait for a worker", ["lane"])
ASR_EXPECTED_WAIT_SECONDS = Gauge(
    "speechmesh_asr_expected_wait_seconds", "How long the audio that waits before the long lane will take"
)
ASR_BATCH_SECONDS = Histogram(
    "speechmesh_asr_batch_seconds", "Time that a worker takes for a batch", ["stage"], buckets=_SECONDS
)
ASR_BATCH_WINDOWS = Histogram(
    "speechmesh_asr_batch_windows", "Windows in a batch", ["stage"], buckets=(1, 2, 3, 4, 6, 8, 12, 16)
)
ASR_BATCH_FILL = Histogram(
    "speechmesh_asr_batch_fill_ratio",
    "Windows in a batch over the most it could hold",
    ["stage"],
    buckets=(0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
)
ASR_REAL_TIME_FACTOR = Gauge(
    "speechmesh_asr_real_time_factor", "Seconds for a second of audio when all workers are busy; moving mean"
)
ASR_ENCODED_SECONDS = Counter("speechmesh_asr_encoded_seconds_total", "Length of encoded windows, padding included")
ASR_PADDING_SECONDS = Counter("speechmesh_asr_padding_seconds_total", "Padding in encoded windows: what is wasted")
ASR_RETRIES = Counter("speechmesh_asr_retries_total", "Windows that went round again, by what was tried", ["kind"])
ASR_SUPPRESSED = Counter("speechmesh_asr_suppressed_total", "Texts that were held back", ["reason"])
DIARIZE_QUEUE_BLOCKS = Gauge("speechmesh_diarize_queue_blocks", "Blocks of windows that wait for the device")
DIARIZE_BATCH_SECONDS = Histogram(
    "speechmesh_diarize_batch_seconds", "Time that the networks take for a batch", buckets=_SECONDS
)
DIARIZE_REAL_TIME_FACTOR = Gauge(
    "speechmesh_diarize_real_time_factor", "Seconds of the networks for a second of audio; moving mean"
)
SUMMARIZE_QUEUE_PROMPTS = Gauge("speechmesh_summarize_queue_prompts", "Prompts that wait for a row of the model")
SUMMARIZE_ROWS = Gauge("speechmesh_summarize_rows", "Rows of the model that are in use")
SUMMARIZE_TOKENS = Counter("speechmesh_summarize_tokens_total", "Tokens that the model read or wrote", ["kind"])
SUMMARIZE_TOKENS_PER_SECOND = Gauge(
    "speechmesh_summarize_tokens_per_second", "Tokens written per second of writing, all rows together; moving mean"
)
SUMMARIZE_STEP_SECONDS = Histogram(
    "speechmesh_summarize_step_seconds", "Time for the next token of all rows that write", buckets=_SECONDS
)
SUMMARIZE_FIRST_TOKEN_SECONDS = Histogram(
    "speechmesh_summarize_first_token_seconds",
    "Time from queueing a prompt to the first token that is written after it",
    buckets=_SECONDS,
)
SUMMARIZE_FIRST_TEXT_SECONDS = Histogram(
    "speechmesh_summarize_first_text_seconds",
    "Time from taking a request to the first of its summary that is sent",
    buckets=_SECONDS,
)
SUMMARIZE_CANCELLED = Counter("speechmesh_summarize_cancelled_total", "Requests whose caller left before the end")
STREAM_LAG_SECONDS = Histogram(
    "speechmesh_stream_lag_seconds",
    "Audio of a live stream that came after what has just become final",
    buckets=_SECONDS,
)
READY = Gauge("speechmesh_ready", "1 once the process has warmed up and until it drains")


def serve_metrics(listen: str) -> tuple[int, object]:
    """Serve `/metrics` from a thread of its own at `host:port`; return the port and the server."""
    host, port = parse_address(listen)
    server, _thread = start_http_server(port, addr=host)
    return server.server_port, server
