"""What callers may use, and what becomes of it, through real sockets; after each test the books are proven."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp.test_utils import TestClient
from multidict import CIMultiDict

from services.accounts.claims import Claim, Reservation, Work
from services.accounts.ledger import Ledger
from services.accounts.plans import load_plans
from services.accounts.store import Store
from services.runtime.errors import Fault, MeshError
from tests.accounts.clock import Clock
from tests.asr.fake_engine import FakeEngine
from tests.asr.fake_engine import tone as speech
from tests.asr.test_live import captions
from tests.edge.accounts import AUTH, NO_SERVICES, key_of, left, new_database, plans_file, prove, used
from tests.edge.conftest import wav_header
from tests.edge.fake_mesh import FakeAsr, FakeMesh, form, tone
from tests.edge.fake_summarize import FakeSummarize
from tests.edge.test_events import events
from tests.edge.test_live import SHORT, SHORT_WORDS, Asr, rest, talk, text
from tests.edge.test_live import edge as live_edge

Client = TestClient[Any, Any]
Headers = dict[str, str]
EVENTS = {"Accept": "text/event-stream"}
BROKEN = MeshError(Fault.INTERNAL, "It broke.")


@contextlib.asynccontextmanager
async def paying(
    folder: Path, plan: str, credits: int = 0, mesh: FakeMesh | None = None
) -> AsyncIterator[tuple[Client, Headers]]:
    """Serve a mesh; yield a client and the key of a new account. At the end nothing runs, and the books are proven."""
    mesh = mesh or FakeMesh()
    url = await new_database(folder)
    mesh.settings = {**mesh.settings, "database_url": url}
    _, headers = await key_of(url, plan, credits)
    async with mesh.client(folder) as client:
        yield client, headers
        await prove(client)


@contextlib.asynccontextmanager
async def anonymous(folder: Path, mesh: FakeMesh | None = None) -> AsyncIterator[Client]:
    """Serve a mesh; yield a client without a key. At the end nothing runs, and the books are proven."""
    async with (mesh or FakeMesh()).client(folder) as client:
        yield client
        await prove(client)


async def transcribe(client: Client, headers: Any = None, data: Any = None) -> aiohttp.ClientResponse:
    """Have something transcribed, 3 seconds unless `data` is another form; the answer is read."""
    answer = await client.post("/v1/transcribe", data=data or form(diarize="false"), headers=headers)
    await answer.read()
    return answer


def file_form(content: Any, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    # aiohttp warns of large bytes.
    whole = io.BytesIO(content) if isinstance(content, bytes) else content
    data.add_field("file", whole, filename="x", content_type="application/octet-stream")
    for name, value in {"diarize": "false", **fields}.items():
        data.add_field(name, value)
    return data


def longer(seconds: float) -> aiohttp.FormData:
    return file_form(tone(seconds))


# Credits


async def test_without_credits_nothing_is_transcribed(tmp_path: Path) -> None:
    mesh = FakeMesh()
    async with paying(tmp_path, "paid", mesh=mesh) as (client, headers):
        answer = await transcribe(client, headers)
        told = await answer.json()

        assert (answer.status, told["code"]) == (402, "no_credits")
        assert told["error"] == "This takes 1 credit, and there are 0 left for it."
        assert "Retry-After" not in answer.headers
    assert mesh.asr.configs == []


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_credit_is_a_minute_and_a_begun_one_counts_whole(tmp_path: Path, accept: str) -> None:
    async with paying(tmp_path, "paid", 10) as (client, headers):
        amounts = [await left(client, headers)]
        for seconds in (0.5, 60.0, 60.5):
            answer = await transcribe(client, {**headers, "Accept": accept}, longer(seconds))
            assert answer.status == 200
            amounts.append(await left(client, headers))

    assert [before - after for before, after in pairwise(amounts)] == [1, 1, 2]


async def test_every_channel_that_is_transcribed_by_itself_is_charged(tmp_path: Path) -> None:
    samples = 61 * 16_000
    call = wav_header(samples * 4, channels=2) + bytes(samples * 4)
    async with paying(tmp_path, "paid", 5) as (client, headers):
        amounts = [await left(client, headers)]
        for channels, status in (("mix", 200), ("separate", 200), ("separate", 402)):
            data = aiohttp.FormData({"file": io.BytesIO(call), "channels": channels})
            answer = await client.post("/v1/transcribe", data=data, headers=headers)
            assert answer.status == status, await answer.text()
            amounts.append(await left(client, headers))

    # 61 s are two minutes; 122 s are three, which are not left any more.
    assert [before - after for before, after in pairwise(amounts)] == [2, 3, 0]


async def test_what_a_recording_takes_beyond_the_credits_is_told(tmp_path: Path) -> None:
    mesh = FakeMesh()
    async with paying(tmp_path, "paid", 1, mesh) as (client, headers):
        answer = await transcribe(client, headers, longer(150))
        told = await answer.json()

        assert (answer.status, told["code"]) == (402, "no_credits")
        assert told["error"] == "This takes 3 credits, and there is 1 left for it."
        assert await left(client, headers) == 1
        assert (await transcribe(client, headers, longer(60))).status == 200
        assert await left(client, headers) == 0
    assert len(mesh.asr.configs) == 1


class CountingAsr(FakeAsr):
    """Keeps how much it was given to hear."""

    heard_bytes = 0

    async def Recognize(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async def counted() -> AsyncIterator[Any]:
            async for request in request_iterator:
                self.heard_bytes += len(request.audio)
                yield request

        async for response in super().Recognize(counted(), context):
            yield response


async def test_a_recording_that_is_longer_than_it_says_is_covered_as_it_is_decoded(
    tmp_path: Path, media: Callable[..., bytes]
) -> None:
    once = media("flac", "flac", rate=8000, spans=((0.0, 40.0),))
    asr = CountingAsr()
    async with paying(tmp_path, "paid", 3, FakeMesh(asr=asr)) as (client, headers):
        assert (await transcribe(client, headers, file_form(once * 2))).status == 200
        assert await left(client, headers) == 1
        assert asr.heard_bytes == 80 * 32_000

        asr.heard_bytes = 0
        refused = await transcribe(client, headers, file_form(once * 2))
        assert asr.heard_bytes <= 60 * 32_000
        events_ = await transcribe(client, {**headers, **EVENTS}, file_form(once * 2))
        assert (refused.status, (await refused.json())["code"]) == (402, "no_credits")
        assert events(await events_.text())[-1][1]["status"] == 402
        assert await left(client, headers) == 1
        outcomes = [(request["minutes"], request["outcome"]) for request in await used(client, headers)]

    assert outcomes == [(0, "failed"), (0, "failed"), (2, "answered")]


async def test_a_recording_that_says_that_it_is_a_little_longer_than_it_is_is_not_refused_for_that(
    tmp_path: Path, media: Callable[..., bytes]
) -> None:
    # Opus says 60.0065 seconds: with what its encoder puts before the sound.
    content = media("ogg", "libopus", rate=48_000, spans=((0.0, 60.0),))
    async with paying(tmp_path, "paid", 1) as (client, headers):
        answer = await transcribe(client, headers, file_form(content))

        assert (answer.status, (await answer.json())["duration"]) == (200, 60.0)
        assert await left(client, headers) == 0


async def test_what_is_reserved_by_one_is_not_there_for_another(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(hold=True))
    async with paying(tmp_path, "paid", 1, mesh) as (client, headers):
        first = asyncio.ensure_future(transcribe(client, headers))
        await asyncio.wait_for(mesh.asr.running.wait(), 10)
        second = await transcribe(client, headers)
        first.cancel()

        assert (second.status, (await second.json())["code"]) == (402, "no_credits")
        assert await left(client, headers) == 1


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_what_fails_costs_nothing(tmp_path: Path, accept: str) -> None:
    async with paying(tmp_path, "paid", 5, FakeMesh(asr=FakeAsr(failure=BROKEN))) as (client, headers):
        for data in (longer(90), file_form(b"nonsense" * 100), form(language="xx"), b"no form"):
            answer = await transcribe(client, {**headers, "Accept": accept}, data)
            assert answer.status != 200 or events(await answer.text())[-1][0] == "error"

        assert await left(client, headers) == 5
        assert {request["outcome"] for request in await used(client, headers)} == {"failed"}


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_who_leaves_pays_nothing(tmp_path: Path, accept: str) -> None:
    mesh = FakeMesh(asr=FakeAsr(hold=True))
    async with paying(tmp_path, "paid", 5, mesh) as (client, headers):
        posting = asyncio.ensure_future(transcribe(client, {**headers, "Accept": accept}, longer(90)))
        await asyncio.wait_for(mesh.asr.running.wait(), 10)
        posting.cancel()
        await asyncio.wait_for(mesh.asr.cancelled.wait(), 10)

        assert await left(client, headers) == 5
        (request,) = await used(client, headers)

    assert (request["minutes"], request["outcome"]) == (0, "cancelled")


async def test_who_leaves_in_the_middle_of_his_upload_pays_nothing(tmp_path: Path) -> None:
    async with paying(tmp_path, "paid", 5) as (client, headers):
        _, writer = await asyncio.open_connection(client.server.host, client.server.port)
        head = f"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\nAuthorization: {headers['Authorization']}\r\n"
        body = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9999\r\n\r\n--b\r\n"
        writer.write((head + body).encode())
        await running(client, headers, 1)
        writer.close()
        await writer.wait_closed()

        assert await left(client, headers) == 5


async def running(client: Client, headers: Headers | None, count: int) -> None:
    """Wait until so many requests of a caller run."""
    for _ in range(250):
        if (await (await client.get("/v1/account", headers=headers)).json())["running"] == count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"there are not {count} running")


# Allowances


@pytest.mark.parametrize("real", [False, True], ids=["small", "real"])
async def test_of_an_allowance_the_minute_after_the_last_is_refused(tmp_path: Path, real: bool) -> None:
    clock = Clock()
    mesh = FakeMesh(clock=clock, plans={} if real else {"free": {"amount": 2}})
    async with paying(tmp_path, "free", mesh=mesh) as (client, headers):
        if real:
            account = (await (await client.get("/v1/account", headers=headers)).json())["id"]
            await spend(mesh.settings["database_url"], account, 598, clock)
        amounts = [await left(client, headers)]
        for _ in range(2):
            assert (await transcribe(client, headers, longer(60))).status == 200
            amounts.append(await left(client, headers))
        refused = await transcribe(client, headers)
        told = await refused.json()

        assert amounts == [2, 1, 0]
        assert (refused.status, told["code"]) == (402, "allowance_used_up")
        amount = 600 if real else 2
        assert told["error"] == f"This takes 1 minute, and of the {amount} of this month there are 0 left for it."
        assert refused.headers["RateLimit-Remaining"] == "0"
        assert refused.headers["RateLimit-Reset"] == str(15 * 86_400 + 43_200)
        clock.set(datetime(2026, 12, 1, tzinfo=UTC))
        assert (await transcribe(client, headers)).status == 200
        assert await left(client, headers) == amount - 1


async def spend(url: str, holder: str, minutes: int, clock: Clock) -> None:
    store = Store(url)
    ledger = Ledger(store, edge="tests", lease_seconds=15, clock=clock)
    reservation = await ledger.open(Claim(holder, load_plans().get("free"), Work.FILE, "spent"))
    assert isinstance(reservation, Reservation)
    await ledger.settle(reservation, seconds=60.0 * minutes, model="base", delivered=True)
    await store.close()


async def test_a_recording_longer_than_what_is_left_of_a_month_is_refused_whole(tmp_path: Path) -> None:
    mesh = FakeMesh(plans={"free": {"amount": 2}})
    async with paying(tmp_path, "free", mesh=mesh) as (client, headers):
        refused = await transcribe(client, headers, longer(125))

        assert (refused.status, (await refused.json())["code"]) == (402, "allowance_used_up")
        assert await left(client, headers) == 2
    assert mesh.asr.configs == []


async def test_an_anonymous_callers_fourth_transcription_of_a_day_waits_for_midnight(tmp_path: Path) -> None:
    clock = Clock()
    async with anonymous(tmp_path, FakeMesh(clock=clock)) as client:
        # However long they are.
        for seconds in (1, 61, 1):
            assert (await transcribe(client, data=longer(seconds))).status == 200
            await prove(client)
        fourth = await transcribe(client)
        told = await fourth.json()

        assert (fourth.status, told["code"]) == (429, "allowance_used_up")
        assert "3 of this day" in told["error"]
        assert fourth.headers["Retry-After"] == "43200"
        assert fourth.headers["RateLimit-Limit"] == "3"
        assert fourth.headers["RateLimit-Remaining"] == "0"
        clock.set(datetime(2026, 11, 15, 23, 59, 59, 500_000, tzinfo=UTC))
        late = await transcribe(client)
        assert (late.status, late.headers["Retry-After"]) == (429, "1")
        clock.set(datetime(2026, 11, 16, tzinfo=UTC))
        assert (await transcribe(client)).status == 200
        assert await left(client) == 2


async def test_an_invented_address_is_no_fourth_transcription(tmp_path: Path) -> None:
    async with anonymous(tmp_path, FakeMesh(plans={"anonymous": {"amount": 1}})) as client:
        assert (await transcribe(client)).status == 200
        await prove(client)
        for header, value in [
            ("X-Forwarded-For", "203.0.113.7"),
            ("X-Forwarded-For", "203.0.113.7, 127.0.0.1"),
            ("Forwarded", "for=203.0.113.7"),
            ("X-Real-IP", "203.0.113.7"),
            ("True-Client-IP", "203.0.113.7"),
        ]:
            assert (await transcribe(client, {header: value})).status == 429


async def test_behind_a_proxy_each_address_has_a_day_of_its_own(tmp_path: Path) -> None:
    mesh = FakeMesh(plans={"anonymous": {"amount": 1}}, settings={"trusted_proxies": "127.0.0.0/8"})
    lines = ["203.0.113.7", "203.0.113.8", "6.6.6.6, 203.0.113.7", "2001:db8::1", "2001:db8::2"]
    statuses = []
    async with anonymous(tmp_path, mesh) as client:
        for line in lines:
            statuses.append((await transcribe(client, {"X-Forwarded-For": line})).status)
            await prove(client)

    assert statuses == [200, 200, 429, 200, 429]


async def test_what_an_anonymous_caller_is_refused_is_no_use(tmp_path: Path) -> None:
    async with anonymous(tmp_path, FakeMesh(asr=FakeAsr(failure=BROKEN))) as client:
        for data in (b"no form", longer(1), file_form(b"")):
            assert (await transcribe(client, data=data)).status >= 400
            assert await left(client) == 3


async def test_summaries_are_free(tmp_path: Path) -> None:
    async with paying(tmp_path, "paid", mesh=FakeMesh(plans={"anonymous": {"amount": 0}})) as (client, headers):
        for caller in (headers, None, AUTH):
            for _ in range(4):
                answer = await client.post("/v1/summarize", json={"text": "A long talk."}, headers=caller)
                assert answer.status == 200
                await prove(client)
        requests = await used(client, headers)

    assert [(request["work"], request["minutes"], request["outcome"]) for request in requests] == [
        ("summary", 0, "answered")
    ] * 4


# What runs at once


@pytest.mark.parametrize(("plan", "limit"), [("free", 2), ("paid", 5)])
async def test_one_too_many_at_once_is_429_at_once(tmp_path: Path, plan: str, limit: int) -> None:
    mesh = FakeMesh(asr=FakeAsr(hold=True))
    async with paying(tmp_path, plan, 100 if plan == "paid" else 0, mesh) as (client, headers):
        held = [asyncio.ensure_future(transcribe(client, headers)) for _ in range(limit)]
        await running(client, headers, limit)
        answer = await transcribe(client, headers)
        for one in held:
            one.cancel()
        told = await answer.json()

        assert (answer.status, told["code"]) == (429, "too_many_at_once")
        assert f"allows {limit} at the same time" in told["error"]
        assert int(answer.headers["Retry-After"]) >= 1
        assert f'"at-once";q={limit}' in answer.headers["RateLimit-Policy"]
        assert '"at-once";r=0' in answer.headers["RateLimit"]
        await prove(client)
        await running(client, headers, 0)


async def test_an_anonymous_address_has_one_at_once_and_a_summary_beside_it(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(hold=True), summarize=FakeSummarize(hold=True))
    async with anonymous(tmp_path, mesh) as client:
        held = asyncio.ensure_future(transcribe(client))
        await asyncio.wait_for(mesh.asr.running.wait(), 10)
        second = await transcribe(client)
        summary = asyncio.ensure_future(client.post("/v1/summarize", json={"text": "A long talk."}))
        await asyncio.wait_for(mesh.summarize.running.wait(), 10)
        other = await client.post("/v1/summarize", json={"text": "A long talk."})
        held.cancel()
        mesh.summarize.released.set()

        assert (second.status, (await second.json())["code"]) == (429, "too_many_at_once")
        assert (other.status, (await other.json())["code"]) == (429, "too_many_at_once")
        assert (await summary).status == 200
        assert await left(client) == 3


async def test_one_account_may_be_full_while_another_is_served(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(hold=True), plans={"free": {"at_once": 1}})
    async with paying(tmp_path, "free", mesh=mesh) as (client, headers):
        _, other = await key_of(mesh.settings["database_url"], "free")
        held = [asyncio.ensure_future(transcribe(client, caller)) for caller in (headers, other)]
        await running(client, headers, 1)
        await running(client, other, 1)
        assert [one.done() for one in held] == [False, False]
        for one in held:
            one.cancel()


async def test_how_a_caller_stands_is_told_with_every_answer(tmp_path: Path) -> None:
    async with paying(tmp_path, "free", mesh=FakeMesh(clock=Clock())) as (client, headers):
        minutes = await transcribe(client, headers, longer(61))
        told = await transcribe(client, {**headers, **EVENTS})
        free = await transcribe(client)
        unlimited = await transcribe(client, AUTH)

    reset = 15 * 86_400 + 43_200
    assert minutes.headers["RateLimit"] == f'"month";r=598;t={reset}, "at-once";r=2'
    assert minutes.headers["RateLimit-Policy"] == (
        '"month";q=600;w=2592000;qu="minutes", "at-once";q=2;qu="concurrent-requests"'
    )
    assert [minutes.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")] == [
        "600",
        "598",
        str(reset),
    ]
    # The head of events leaves before it is known what they cost: one minute at least, and the place.
    assert told.headers["RateLimit"] == f'"month";r=597;t={reset}, "at-once";r=1'
    assert (free.status, free.headers["RateLimit-Remaining"]) == (200, "2")
    assert not [name for name in unlimited.headers if name.startswith("RateLimit")]


# How large a file may be


async def test_a_file_over_the_plans_limit_is_413_before_it_is_sent(tmp_path: Path) -> None:
    mesh = FakeMesh(plans={"anonymous": {"max_file_bytes": 1000}, "free": {"max_file_bytes": 10_000_000}})
    async with paying(tmp_path, "free", mesh=mesh) as (client, headers):

        async def head(length: int, more: str = "") -> bytes:
            """Return the first line that is answered to a head alone, or nothing where the body is waited for."""
            reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
            form_type = "Content-Type: multipart/form-data; boundary=b\r\n"
            writer.write(
                f"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\n{more}{form_type}Content-Length: {length}\r\n\r\n".encode()
            )
            try:
                return await asyncio.wait_for(reader.readline(), 0.2)
            except TimeoutError:
                return b""
            finally:
                writer.close()
                await writer.wait_closed()

        key = f"Authorization: {headers['Authorization']}\r\n"
        assert b" 413 " in await head(9_000_000)
        assert await head(9_000_000, key) == b""
        assert b" 413 " in await head(20_000_000, key)
        assert await left(client) == 3
        assert await left(client, headers) == 600


@pytest.mark.parametrize("length_known", [True, False])
async def test_a_file_over_the_plans_limit_is_413_as_it_comes(tmp_path: Path, length_known: bool) -> None:
    mesh = FakeMesh(plans={"anonymous": {"max_file_bytes": len(tone(1))}})
    async with anonymous(tmp_path, mesh) as client:

        async def pieces(content: bytes) -> AsyncIterator[bytes]:
            yield content[:1000]
            yield content[1000:]

        for content, status in [(tone(1), 200), (tone(1) + b"\0", 413)]:
            answer = await transcribe(client, data=file_form(content if length_known else pieces(content)))
            assert answer.status == status
            await prove(client)

        assert (await answer.json())["code"] == "file_too_large"
        assert await left(client) == 2
        data = file_form(tone(1) + b"\0" if length_known else pieces(tone(1) + b"\0"))
        assert (await transcribe(client, AUTH, data)).status == 200


# Live streams


def stream_settings(folder: Path, url: str, **plans: dict[str, Any]) -> dict[str, Any]:
    return {"spool": folder, "database_url": url, "plans_file": plans_file(folder, **plans)}


async def stream(client: Client, pcm: bytes, headers: Headers | None = None) -> tuple[list[dict[str, Any]], int | None]:
    """Return what a stream is told, and how it is closed."""
    async with client.ws_connect("/v1/stream?language=en", headers=headers) as socket:
        with contextlib.suppress(ConnectionError):
            await talk(socket, pcm, 50_000)
            await socket.send_bytes(b"")
        return await rest(socket), socket.close_code


@pytest.mark.parametrize(("samples", "cost"), [(8000, 1), (960_000, 1), (960_001, 2)])
async def test_a_stream_is_metered_as_a_file_is(tmp_path: Path, samples: int, cost: int) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "paid", 5)
    async with live_edge(Asr(), **stream_settings(tmp_path, url)) as client:
        _, code = await stream(client, bytes(2 * samples), headers)

        assert code == 1000
        assert await left(client, headers) == 5 - cost
        (request,) = await used(client, headers)

    assert (request["work"], request["minutes"], request["outcome"]) == ("stream", cost, "answered")
    assert (request["seconds"], request["model"]) == (round(samples / 16_000, 3), "fake")


async def test_a_stream_that_has_used_up_its_credits_ends_with_all_that_was_said(tmp_path: Path) -> None:
    audio = speech((70.0, 9000))
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "paid", 1)
    async with live_edge(Asr(), **stream_settings(tmp_path, url)) as client:
        messages, code = await stream(client, audio.tobytes(), headers)

        assert code == 4402
        assert (messages[-1]["type"], messages[-1]["code"]) == ("error", "no_credits")
        paid = captions(np.ascontiguousarray(audio[: 60 * 16_000])).text
        assert text(messages) == messages[-1]["transcript"] == paid
        assert await left(client, headers) == 0
        (request,) = await used(client, headers)

    assert (request["seconds"], request["minutes"]) == (60.0, 1)


async def test_a_stream_whose_key_is_revoked_ends_at_its_next_minute(tmp_path: Path) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "paid", 5)
    async with live_edge(Asr(), **stream_settings(tmp_path, url)) as client:
        async with client.ws_connect("/v1/stream?language=en", headers=headers) as socket:
            await talk(socket, speech((59.0, 9000)).tobytes(), 50_000)
            (key,) = (await (await client.get("/v1/keys", headers=headers)).json())["keys"]
            assert (await client.delete(f"/v1/keys/{key['id']}", headers=headers)).status == 200
            await talk(socket, speech((2.0, 9000)).tobytes(), 50_000)
            messages = await rest(socket)
            code = socket.close_code
        await prove(client)

    assert (messages[-1]["code"], code) == ("invalid_api_key", 4401)
    assert "word" in messages[-1]["transcript"]


async def test_credits_of_just_a_minute_are_a_stream_of_just_a_minute(tmp_path: Path) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "paid", 1)
    async with live_edge(Asr(), **stream_settings(tmp_path, url)) as client:
        messages, code = await stream(client, bytes(60 * 32_000), headers)

        assert (code, messages[-1]["duration"]) == (1000, 60.0)
        assert await left(client, headers) == 0


async def heard_more_than_a_minute(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Wait for more words than a minute has, two a second."""
    words = 0
    while words <= 125:
        words += (await socket.receive_json())["text"].count("word")


async def test_without_credits_a_stream_is_refused_at_once(tmp_path: Path) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "paid")
    async with live_edge(Asr(), **stream_settings(tmp_path, url)) as client:
        messages, code = await stream(client, SHORT, headers)
        await prove(client)

    assert [message["code"] for message in messages] == ["no_credits"]
    assert code == 4402


async def test_an_anonymous_stream_is_a_use_and_the_fourth_is_refused(tmp_path: Path) -> None:
    async with live_edge(Asr(), **stream_settings(tmp_path, await new_database(tmp_path))) as client:
        for remaining in (2, 1, 0):
            messages, code = await stream(client, SHORT)
            assert (code, text(messages)) == (1000, SHORT_WORDS)
            assert await left(client) == remaining
        messages, code = await stream(client, SHORT)
        await prove(client)

    assert (code, messages[-1]["code"]) == (4429, "allowance_used_up")
    assert isinstance(messages[-1]["retry_after"], int)
    assert 1 <= messages[-1]["retry_after"] <= 86_400


async def test_an_anonymous_stream_is_as_long_as_it_likes(tmp_path: Path) -> None:
    async with live_edge(Asr(), **stream_settings(tmp_path, await new_database(tmp_path))) as client:
        messages, code = await stream(client, bytes(130 * 32_000))

        assert (code, messages[-1]["duration"]) == (1000, 130.0)
        assert await left(client) == 2


async def test_a_stream_without_audio_costs_nothing(tmp_path: Path) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "paid", 1)
    async with live_edge(Asr(), **stream_settings(tmp_path, url)) as client:
        for caller in (headers, None):
            assert (await stream(client, b"", caller))[1] == 1000
            async with client.ws_connect("/v1/stream", headers=caller) as socket:
                await socket.send_json({"model": "nope"})
                assert (await rest(socket))[-1]["field"] == "model"
            async with client.ws_connect("/v1/stream", headers=caller):
                pass
            await prove(client)

        assert [await left(client, headers), await left(client)] == [1, 3]


async def test_who_vanishes_pays_for_what_was_heard(tmp_path: Path) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "paid", 5)
    async with live_edge(Asr(), **stream_settings(tmp_path, url)) as client:
        async with client.ws_connect("/v1/stream?language=en", headers=headers) as socket:
            await talk(socket, speech((90.0, 9000)).tobytes(), 50_000)
            await heard_more_than_a_minute(socket)
            assert socket._response.connection is not None
            assert socket._response.connection.transport is not None
            socket._response.connection.transport.abort()

        assert await left(client, headers) == 3


async def test_a_stream_that_we_end_is_paid_for_in_whole_minutes(tmp_path: Path) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "paid", 5)
    async with live_edge(Asr(), **stream_settings(tmp_path, url)) as client:
        async with client.ws_connect("/v1/stream?language=en", headers=headers) as socket:
            await talk(socket, speech((90.0, 9000)).tobytes(), 50_000)
            await heard_more_than_a_minute(socket)
            await client.app.shutdown()
            assert (await rest(socket))[-1]["code"] == "draining"
        assert socket.close_code == 1013

        assert await left(client, headers) == 4


async def test_a_stream_whose_asr_is_lost_at_once_costs_nothing(tmp_path: Path) -> None:
    async with live_edge(spool=tmp_path, database_url=await new_database(tmp_path), tier_wait_seconds=0.1) as client:
        messages, code = await stream(client, SHORT)

        assert (code, messages[-1]["code"]) == (1013, "asr_unavailable")
        assert await left(client) == 3


async def test_a_stream_takes_the_place_of_a_transcription(tmp_path: Path) -> None:
    async with live_edge(Asr(), **stream_settings(tmp_path, await new_database(tmp_path))) as client:
        async with client.ws_connect("/v1/stream?language=en") as socket:
            assert (await socket.receive_json())["status"] == "ready"
            messages, code = await stream(client, SHORT)
            file = await transcribe(client)

        assert (code, messages[-1]["code"]) == (4429, "too_many_at_once")
        assert isinstance(messages[-1]["retry_after"], int)
        assert (file.status, (await file.json())["code"]) == (429, "too_many_at_once")
        assert await left(client) == 3


async def test_the_model_of_a_stream_is_in_its_usage_by_the_name_that_it_has_here(tmp_path: Path) -> None:
    url = await new_database(tmp_path)
    _, headers = await key_of(url, "free")
    async with live_edge(Asr(FakeEngine("tiny")), **stream_settings(tmp_path, url)) as client:
        await stream(client, SHORT, headers)
        (request,) = await used(client, headers)

    assert request["model"] == "tiny"


# The same request again


def repeat(key: str, headers: Headers | None = None) -> Headers:
    return {**(headers or {}), "Idempotency-Key": key}


async def test_a_repeated_request_gets_the_same_answer_and_is_not_charged_again(tmp_path: Path) -> None:
    mesh = FakeMesh()
    async with paying(tmp_path, "paid", 5, mesh) as (client, headers):
        first = await transcribe(client, repeat("one", headers))
        assert await left(client, headers) == 4
        second = await transcribe(client, repeat("one", headers))

        assert [first.status, second.status] == [200, 200]
        assert await first.read() == await second.read()
        assert "Idempotency-Replayed" not in first.headers
        assert second.headers["Idempotency-Replayed"] == "true"
        assert second.headers["X-Request-Id"] != first.headers["X-Request-Id"]
        assert await left(client, headers) == 4
        assert len(await used(client, headers)) == 1
        other = await transcribe(client, repeat("two", headers))
        assert "Idempotency-Replayed" not in other.headers
        assert await left(client, headers) == 3
    assert len(mesh.asr.configs) == 2


async def test_a_repeated_request_is_answered_even_where_nothing_is_left(tmp_path: Path) -> None:
    async with anonymous(tmp_path, FakeMesh(plans={"anonymous": {"amount": 1}})) as client:
        first = await transcribe(client, repeat("one"))
        second = await transcribe(client, repeat("one"))

        assert [first.status, second.status] == [200, 200]
        assert await left(client) == 0


@pytest.mark.parametrize(
    "other",
    [
        longer(2),
        form(diarize="true"),
        form(diarize="false", response_format="srt"),
        form(diarize="false", language="de"),
    ],
    ids=["another file", "another value", "another format", "another field"],
)
async def test_a_key_of_another_request_is_refused(tmp_path: Path, other: aiohttp.FormData) -> None:
    async with paying(tmp_path, "paid", 5) as (client, headers):
        assert (await transcribe(client, repeat("one", headers))).status == 200
        refused = await transcribe(client, repeat("one", headers), other)

        assert (refused.status, (await refused.json())["code"]) == (400, "idempotency_key_reused")
        assert "Idempotency-Replayed" not in refused.headers
        assert await left(client, headers) == 4
        assert (await transcribe(client, repeat("one", headers))).headers["Idempotency-Replayed"] == "true"


async def test_ten_clients_with_one_key_are_one_transcription(tmp_path: Path) -> None:
    mesh = FakeMesh()
    async with paying(tmp_path, "paid", 5, mesh) as (client, headers):
        answers = await asyncio.gather(*(transcribe(client, repeat("one", headers)) for _ in range(10)))

        assert [answer.status for answer in answers] == [200] * 10
        assert len({await answer.read() for answer in answers}) == 1
        assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 9
        assert await left(client, headers) == 4
        assert len(await used(client, headers)) == 1
    assert len(mesh.asr.configs) == 1


async def test_one_key_in_two_hands_is_two_requests(tmp_path: Path) -> None:
    mesh = FakeMesh()
    async with paying(tmp_path, "paid", 5, mesh) as (client, headers):
        answers = [await transcribe(client, repeat("one", caller)) for caller in (headers, AUTH, None)]

        assert not any("Idempotency-Replayed" in answer.headers for answer in answers)
    assert len(mesh.asr.configs) == 3


async def test_what_has_failed_may_be_sent_again(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(failure=MeshError(Fault.UNAVAILABLE, "Away.")))
    async with paying(tmp_path, "paid", 5, mesh) as (client, headers):
        failed = await transcribe(client, repeat("one", headers))
        mesh.asr._failure = None
        again = await transcribe(client, repeat("one", headers))

        assert [failed.status, again.status] == [503, 200]
        assert "Idempotency-Replayed" not in again.headers
        assert await left(client, headers) == 4


async def test_who_leaves_and_comes_back_with_his_key_is_served(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(hold=True))
    async with paying(tmp_path, "paid", 5, mesh) as (client, headers):
        posting = asyncio.ensure_future(transcribe(client, repeat("one", headers)))
        await asyncio.wait_for(mesh.asr.running.wait(), 10)
        waiting = asyncio.ensure_future(transcribe(client, repeat("one", headers)))
        await asyncio.sleep(0.1)
        mesh.asr._hold = False
        posting.cancel()
        answer = await waiting

        assert answer.status == 200
        assert "Idempotency-Replayed" not in answer.headers
        assert await left(client, headers) == 4
    assert len(mesh.asr.configs) == 2


@pytest.mark.parametrize("response_format", ["json", "verbose_json", "srt", "vtt", "txt"])
async def test_an_answer_is_repeated_in_the_form_that_is_asked_for(tmp_path: Path, response_format: str) -> None:
    mesh = FakeMesh()
    async with anonymous(tmp_path, mesh) as client:

        async def ask(key: str | None, **headers: str) -> tuple[str, str]:
            """Return content type and body."""
            own = {**AUTH, **headers, **({"Idempotency-Key": key} if key else {})}
            answer = await transcribe(client, own, form(response_format=response_format))
            assert answer.status == 200
            return answer.headers["Content-Type"], await answer.text()

        for number, first in enumerate(({}, EVENTS, {"Accept": "application/json"})):
            await ask(f"key-{number}", **first)
            for again in ({}, {"Accept": "application/json"}, {"User-Agent": "stt-ai-python/0.1.0"}):
                assert await ask(f"key-{number}", **again) == await ask(None, **again)
            told = events((await ask(f"key-{number}", **EVENTS))[1])
            assert told[-1] == events((await ask(None, **EVENTS))[1])[-1]
            assert told[-1][0] == "result"


async def test_a_repeated_answer_in_events_says_that_it_is_one(tmp_path: Path) -> None:
    async with anonymous(tmp_path) as client:
        answers = [await transcribe(client, repeat("one", {**AUTH, **EVENTS})) for _ in range(2)]

    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"]
    assert events(await answers[1].text())[-1] == events(await answers[0].text())[-1]


async def test_fields_in_another_order_are_the_same_request(tmp_path: Path) -> None:
    async with anonymous(tmp_path) as client:
        for order in (("language", "diarize"), ("diarize", "language")):
            data = file_form(tone(1), **{name: {"language": "en", "diarize": "false"}[name] for name in order})
            answer = await transcribe(client, repeat("one", AUTH), data)

    assert answer.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("path", ["/v1/transcribe", "/v1/summarize"])
@pytest.mark.parametrize("keys", [[""], [" "], ["x" * 256], ["two words"], ["Schlüssel"], ["one", "one"], ["a", ""]])
async def test_a_key_that_is_none_is_refused(tmp_path: Path, path: str, keys: list[str]) -> None:
    async with anonymous(tmp_path, FakeMesh(down=NO_SERVICES)) as client:
        headers = CIMultiDict([*AUTH.items(), *(("Idempotency-Key", key) for key in keys)])
        answer = await client.post(path, headers=headers)

        assert answer.status == 400
        assert (await answer.json())["field"] == "Idempotency-Key"
        assert await used(client, AUTH) == []


@pytest.mark.parametrize("key", ["x", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~;,="])
async def test_a_key_is_any_visible_ascii(tmp_path: Path, key: str) -> None:
    async with anonymous(tmp_path) as client:
        answers = [await transcribe(client, repeat(key, AUTH)) for _ in range(2)]

    assert answers[1].headers["Idempotency-Replayed"] == "true"


async def test_a_repeated_summary_is_not_written_again(tmp_path: Path) -> None:
    mesh = FakeMesh()
    async with anonymous(tmp_path, mesh) as client:
        answers = [
            await client.post("/v1/summarize", json={"text": text_}, headers={**repeat("one"), **accept})
            for text_, accept in [("A talk.", {}), ("A talk.", {}), ("A talk.", EVENTS), ("Another.", {})]
        ]
        bodies = [await answer.text() for answer in answers]

    assert [answer.status for answer in answers] == [200, 200, 200, 400]
    assert bodies[0] == bodies[1]
    assert events(bodies[2])[-1] == ("result", json.loads(bodies[0]))
    assert json.loads(bodies[3])["code"] == "idempotency_key_reused"
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true", "true", None]
    assert len(mesh.summarize.requests) == 1


async def test_a_key_of_a_transcription_is_none_of_a_summary(tmp_path: Path) -> None:
    async with anonymous(tmp_path) as client:
        assert (await transcribe(client, repeat("one", AUTH))).status == 200
        answer = await client.post("/v1/summarize", json={"text": "A talk."}, headers=repeat("one", AUTH))

        assert (answer.status, (await answer.json())["code"]) == (400, "idempotency_key_reused")


async def test_an_answer_is_kept_for_a_day(tmp_path: Path) -> None:
    clock = Clock()
    async with paying(tmp_path, "paid", 5, FakeMesh(clock=clock)) as (client, headers):
        replayed = []
        for seconds in (0, 86_399, 1):
            clock.move(seconds)
            answer = await transcribe(client, repeat("one", headers))
            replayed.append("Idempotency-Replayed" in answer.headers)

        assert replayed == [False, True, False]
        assert await left(client, headers) == 3
