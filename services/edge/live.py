"""WS /v1/stream: the socket, between the conversation (`stream_protocol`) and recognition (`asr_stream`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from services.accounts.claims import Work
from services.audio.pcm import byte_count
from services.audio.pcm import seconds as pcm_seconds
from services.edge.answers import REQUEST_ID, dump_json, internal_error
from services.edge.asr_stream import AsrStream, Final, Interim, Started, StreamEvent
from services.edge.clients import AsrClient
from services.edge.form import TranscribeOptions, parse_options
from services.edge.identity import Caller, Identity
from services.edge.metering import Admitted, Metering
from services.edge.stream_protocol import (
    MAX_FRAME_BYTES,
    Action,
    Audio,
    Close,
    Ended,
    EndOfAudio,
    Flush,
    Open,
    Phase,
    Send,
    StreamProtocol,
)
from services.runtime import metrics
from services.runtime.admission import Admission
from services.runtime.errors import Fault, MeshError
from services.runtime.logs import get_logger

_SLOW_READER_SECONDS = 30.0
"""A client that does not take a message for so long has gone."""

_METERED_SECONDS = 60.0
"""A stream that we end is paid for in whole minutes that were heard to their end."""


@dataclass(frozen=True)
class StreamLimits:
    """How long streams wait; in seconds."""

    tier_wait_seconds: float
    """For asr, at the beginning."""
    recovery_seconds: float
    """For another asr, when one is lost."""
    idle_seconds: float
    """For the client's next frame."""
    drain_seconds: float
    """For the last finals, when this process is about to stop."""


class Live:
    """Serves live streams.

    Args:
        asr: recognizes them.
        identity: who calls.
        metering: what they may use.
        admission: how many there may be.
        limits: how long they wait for what.
    """

    def __init__(
        self, asr: AsrClient, identity: Identity, metering: Metering, admission: Admission, limits: StreamLimits
    ) -> None:
        self._asr = asr
        self._identity = identity
        self._metering = metering
        self._admission = admission
        self._limits = limits
        self._draining = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the contract."""
        return [web.get("/v1/stream", self.get_stream)]

    async def drain(self, _: web.Application) -> None:
        """End all streams, each after its finals."""
        self._draining.set()

    async def get_stream(self, request: web.Request) -> web.StreamResponse:
        """Recognize a live stream."""
        socket = web.WebSocketResponse(
            # The closing handshake waits until all is said: a client that closes may still read.
            autoclose=False,
            # Speech does not get smaller by it, and every stream would pay for it.
            compress=False,
            # No heartbeat: a client that is held is not read, its pongs neither, and would be taken for dead. One that
            # is dead sends nothing and is closed for that.
            # What is larger than a frame may be is refused by the protocol; what is much larger, unread, which ends
            # the connection at once.
            max_msg_size=16 * MAX_FRAME_BYTES,
            # Audio in a text frame is no text; refusing it is for the protocol too.
            decode_text=False,
        )
        if not socket.can_prepare(request).ok:
            raise MeshError(Fault.INVALID, "This address takes WebSocket connections only.", code="websocket_expected")
        await socket.prepare(request)
        query = dict(request.query)
        token = query.pop("token", None)
        try:
            # A browser cannot set headers: its key comes in the query.
            caller = await self._identity.identify(request, token)
            with self._admission.place():
                async with self._metering.admit(request, caller, Work.STREAM) as admitted:
                    await self._serve(request, socket, StreamProtocol(query), caller, admitted)
        except MeshError as error:
            await _Conversation(socket, StreamProtocol({}), self._limits).refuse(error)
        return socket

    async def _serve(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        protocol: StreamProtocol,
        caller: Caller,
        admitted: Admitted,
    ) -> None:
        def begin(fields: Mapping[str, str]) -> AsrStream:
            async def configure() -> TranscribeOptions:
                offer = await self._asr.offer(self._limits.tier_wait_seconds)
                return parse_options(fields, offer.models)

            return self._asr.stream(
                configure,
                caller=caller.holder,
                request_id=request[REQUEST_ID],
                wait_seconds=self._limits.tier_wait_seconds,
                recovery_seconds=self._limits.recovery_seconds,
            )

        conversation = _Conversation(socket, protocol, self._limits, begin, admitted)
        try:
            await conversation.run(self._draining)
        finally:
            # Metered as it ran: what was heard is paid for, whoever ended it.
            heard = conversation.heard_seconds
            paid = heard - heard % _METERED_SECONDS if conversation.is_our_fault else heard
            admitted.settle_stream(heard, paid)


class _Conversation:
    """One socket while it is served.

    Args:
        socket: it is open.
        protocol: what is said on it.
        limits: how long is waited for what.
        begin: returns a stream with these options that nothing was asked of yet; None where none will be.
        admitted: sees to it that audio is paid for before it is heard; None where none will be.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        protocol: StreamProtocol,
        limits: StreamLimits,
        begin: Callable[[Mapping[str, str]], AsrStream] | None = None,
        admitted: Admitted | None = None,
    ) -> None:
        self._begin = begin
        self._admitted = admitted
        self._heard_bytes = 0
        self._socket = socket
        self._protocol = protocol
        self._limits = limits
        self._stream: AsrStream | None = None
        self._listening: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._over = asyncio.Event()
        # Only for who does not read what he is told.
        self._code = WSCloseCode.TRY_AGAIN_LATER.value
        self.is_our_fault = False
        """Whether it ended because we could not go on."""

    @property
    def heard_seconds(self) -> float:
        """How much audio was taken."""
        return pcm_seconds(self._heard_bytes)

    async def run(self, draining: asyncio.Event) -> None:
        """Serve it to its end, which is to come soon once `draining` is set."""
        tasks = [asyncio.create_task(self._safely(part)) for part in (self._read, partial(self._leave, draining))]
        try:
            await self._do(self._protocol.connected())
            await self._over.wait()
        finally:
            tasks += [self._listening] if self._listening else []
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await self._close()

    async def refuse(self, error: MeshError) -> None:
        """Tell why it is not served."""
        await self._do(self._protocol.failed(error))
        await self._close()

    async def _close(self) -> None:
        # A client that has its answer need not wait for ours to its closing; leaving then is no failure.
        with contextlib.suppress(asyncio.CancelledError):
            await self._socket.close(code=self._code)

    async def _read(self) -> None:
        while True:
            idle = self._limits.idle_seconds if self._protocol.phase is not Phase.ENDING else None
            try:
                async with asyncio.timeout(idle):
                    frame = await self._socket.receive()
            except TimeoutError:
                message = f"Nothing came for {idle:g} seconds."
                await self._do(self._protocol.wrong(MeshError(Fault.IDLE, message)))
                continue
            match frame.type:
                case WSMsgType.TEXT:
                    await self._do(self._protocol.text(frame.data))
                case WSMsgType.BINARY:
                    await self._do(self._protocol.binary(frame.data))
                case WSMsgType.CLOSE:
                    await self._do(self._protocol.left())
                    return
                case _:
                    # The connection is lost, or closed from here.
                    self._over.set()
                    return

    async def _leave(self, draining: asyncio.Event) -> None:
        await draining.wait()
        message = "This server is about to stop; connect again."
        error = MeshError(Fault.UNAVAILABLE, message, code="draining")
        await self._do(self._protocol.wrong(error))
        # What is not final by then never will be; the reason is to be told all the same.
        await asyncio.sleep(self._limits.drain_seconds)
        await self._do(self._protocol.failed(error))

    async def _listen(self, stream: AsrStream) -> None:
        async with contextlib.aclosing(stream.events()) as events:
            async for event in events:
                await self._do(self._told(event))

    async def _safely(self, part: Callable[[], Awaitable[None]]) -> None:
        """Run a part of the conversation; when it fails, that is what the client is told."""
        try:
            await part()
        except MeshError as error:
            await self._do(self._protocol.failed(error))
        except Exception:  # noqa: BLE001 - whatever it is, its text stays here
            get_logger().exception("stream_failed")
            await self._do(self._protocol.failed(internal_error()))

    def _told(self, event: StreamEvent) -> list[Action]:
        match event:
            case Started(model):
                if self._admitted is not None:
                    self._admitted.model = model
                return self._protocol.started(model)
            case Final(segment, lag):
                metrics.STREAM_LAG_SECONDS.observe(max(0.0, lag))
                return self._protocol.final(segment, lag)
            case Interim(text, start, end, language):
                return self._protocol.interim(text, start, end, language)
            case Ended():
                return self._protocol.finished(event)

    async def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(message):
                    await self._send(message)
                case Open(fields):
                    self._open(fields)
                case Close(code):
                    self._code = code
                    self.is_our_fault = code in (WSCloseCode.INTERNAL_ERROR, WSCloseCode.TRY_AGAIN_LATER)
                    self._over.set()
                case Audio(pcm):
                    await self._hear(pcm)
                case Flush():
                    assert self._stream is not None
                    self._stream.flush()
                case EndOfAudio():
                    assert self._stream is not None
                    self._stream.end()

    async def _hear(self, pcm: bytes) -> None:
        """Pass audio on as far as it is paid for; where that is not all of it, the stream ends with what was said."""
        assert self._stream is not None
        assert self._admitted is not None
        refusal: MeshError | None = None
        try:
            await self._admitted.cover(pcm_seconds(self._heard_bytes + len(pcm)))
        except MeshError as error:
            refusal = error
            paid = self._admitted.covered_seconds() - self.heard_seconds
            pcm = pcm[: max(0, byte_count(min(paid, pcm_seconds(len(pcm)))))]
        self._heard_bytes += len(pcm)
        if pcm:
            await self._stream.feed(pcm)
        if refusal is not None:
            await self._do(self._protocol.wrong(refusal))

    def _open(self, fields: Mapping[str, str]) -> None:
        if self._listening is not None:
            self._listening.cancel()
        assert self._begin is not None
        self._stream = self._begin(fields)
        self._listening = asyncio.create_task(self._safely(partial(self._listen, self._stream)))

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with self._sending, asyncio.timeout(_SLOW_READER_SECONDS):
                await self._socket.send_str(dump_json(message).decode())
        except (ConnectionError, RuntimeError, TimeoutError):
            # Nobody reads any more.
            self._over.set()
