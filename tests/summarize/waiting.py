"""Waiting for what happens by itself."""

import asyncio
from collections.abc import Callable


async def until(happened: Callable[[], bool]) -> None:
    """Wait until `happened` is true; ten seconds at most."""
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
