"""Runs the edge: `python -m services.edge`, settings by environment (see config.py)."""

import asyncio
import signal
import sys

from aiohttp import web

from services.edge.admin import read_token
from services.edge.app import ACCOUNTS, DECODERS, make_admin_app, make_app
from services.edge.config import EdgeSettings
from services.edge.http_server import JsonRunner
from services.runtime import metrics
from services.runtime.errors import MeshError
from services.runtime.logs import get_logger
from services.runtime.process import begin
from services.runtime.settings import parse_address


async def serve(settings: EdgeSettings) -> int:
    """Serve HTTP until SIGTERM or SIGINT; then let running requests finish within `drain_seconds`; return the exit
    code.
    """
    try:
        token = read_token(settings.admin_token_file) if settings.admin_token_file is not None else b""
        app = await make_app(settings)
        await app[DECODERS].start()
    except MeshError as error:
        get_logger().error("cannot_start", reason=error.message)
        return 1
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics_port, _ = metrics.serve_metrics(settings.metrics_listen)
    runners = [await _listen(app, settings.listen, settings.drain_seconds)]
    if settings.admin_listen is not None:
        admin = make_admin_app(app[ACCOUNTS], token)
        # Before the public one is: that one ends what both work with, and so must be the last to end.
        runners.insert(0, await _listen(admin, settings.admin_listen, settings.drain_seconds))
        get_logger().info("serving_admin", address=settings.admin_listen)
    get_logger().info("serving", address=settings.listen, metrics_port=metrics_port)
    metrics.READY.set(1)
    await stop.wait()
    metrics.READY.set(0)
    get_logger().info("draining", seconds=settings.drain_seconds)
    for runner in runners:
        await runner.cleanup()
    get_logger().info("stopped")
    return 0


async def _listen(app: web.Application, listen: str, drain_seconds: float) -> JsonRunner:
    # A handler whose client has gone is cancelled, and with it everything downstream.
    # A sender that reads only after sending all sees its refusal, if it is done within the lingering time.
    runner = JsonRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=drain_seconds, lingering_time=60.0
    )
    await runner.setup()
    await web.TCPSite(runner, *parse_address(listen)).start()
    return runner


def main() -> None:
    """Serve until told to stop."""
    # What threads compute, such as a transcript of hours, keeps the event loop waiting so long at each of its turns.
    sys.setswitchinterval(0.001)
    raise SystemExit(asyncio.run(serve(begin("edge", EdgeSettings))))


if __name__ == "__main__":
    main()
