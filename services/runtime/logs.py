"""Structured logs on standard error: one event a line, with the request id wherever there is a request."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog


def configure_logs(service: str, level: str = "info", log_format: Literal["text", "json"] = "text") -> None:
    """Set up logging for this process; standard-library loggers of packages join the same stream.

    Args:
        service: name that every line carries in JSON (in text the supervisor prefixes it).
        level: least severity shown.
        log_format: `text` or `json`.
    """

    def add_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        shared.append(add_service)
        tail: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # The pretty tracebacks would print local variables: transcripts and keys among them.
        plain = structlog.dev.plain_traceback
        tail = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, _number(level)), force=True)


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def get_logger() -> Any:
    """Return the process's logger: `log.info("event", key=value)`."""
    return structlog.get_logger()
