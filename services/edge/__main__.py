"""Runs the edge: `python -m services.edge`, settings by environment (see config.py)."""

import asyncio
import signal

from aiohttp import web

from services.edge.app import make_app
from services.edge.config import EdgeSettings
from services.edge.http_server import JsonRunner
from services.edge.keys import KeyRing, read_keys
from services.runtime import metrics
from services.runtime.logs import get_logger
from services.runtime.process import begin
from services.runtime.settings import parse_address


async def serve(settings: EdgeSettings) -> None:
    """Serve HTTP until SIGTERM or SIGINT; then let running requests finish within `drain_seconds`."""
    keys = read_keys(settings.keys_file) if settings.keys_file else []
    app = await make_app(settings, KeyRing(keys, allow_anonymous=settings.allow_anonymous))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics_port, _ = metrics.serve_metrics(settings.metrics_listen)
    # A handler whose client has gone is cancelled, and with it everything downstream.
    # A sender that reads only after sending all sees its refusal, if it is done within the lingering time.
    runner = JsonRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=settings.drain_seconds, lingering_time=60.0
    )
    await runner.setup()
    await web.TCPSite(runner, *parse_address(settings.listen)).start()
    get_logger().info("serving", address=settings.listen, metrics_port=metrics_port)
    metrics.READY.set(1)
    await stop.wait()
    metrics.READY.set(0)
    get_logger().info("draining", seconds=settings.drain_seconds)
    await runner.cleanup()
    get_logger().info("stopped")


def main() -> None:
    """Serve until told to stop."""
    asyncio.run(serve(begin("edge", EdgeSettings)))


if __name__ == "__main__":
    main()
