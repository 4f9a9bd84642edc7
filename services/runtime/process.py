"""What every process does first and last, so that each `__main__` says only what is its own."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

import grpc

from services.runtime.lifecycle import serve_grpc
from services.runtime.logs import configure_logs
from services.runtime.parent import die_with_parent
from services.runtime.settings import EngineSettings, ServiceSettings, load_settings
from services.runtime.threads import calm_threads

S = TypeVar("S", bound=ServiceSettings)


def begin(name: str, settings_type: type[S]) -> S:
    """Tie this process to its supervisor, read its settings and set up its logs and threads.

    Call it before a library that computes is imported: those read how their threads shall behave only once.

    Args:
        name: of the service; it stands in its JSON logs.
        settings_type: what it can be told.
    """
    die_with_parent()
    settings = load_settings(settings_type)
    configure_logs(name, settings.log_level, settings.log_format)
    if isinstance(settings, EngineSettings):
        calm_threads(settings.threads_of_one_computation)
    return settings


def run_grpc(
    settings: EngineSettings,
    service_name: str,
    *,
    register: Callable[[grpc.aio.Server], None],
    load: Callable[[], None],
    drain: Callable[[], None] = lambda: None,
) -> NoReturn:
    """Serve gRPC until told to stop, then end the process; see `lifecycle.serve_grpc`."""

    async def serve_and_leave() -> None:
        code = await serve_grpc(
            listen=settings.listen,
            metrics_listen=settings.metrics_listen,
            drain_seconds=settings.drain_seconds,
            service_name=service_name,
            register=register,
            load=load,
            drain=drain,
        )
        # From here, not after asyncio.run: that would wait for a model that is still loading in its thread and
        # cannot be interrupted. Everything that had to be finished was finished by the drain.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    asyncio.run(serve_and_leave())
    raise AssertionError("the process outlived its end")
