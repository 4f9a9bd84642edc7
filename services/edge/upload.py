"""A multipart upload: the file to the spool byte by byte, the other fields to text."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from services.edge.form import FIELDS
from services.edge.spool import SpoolFile, too_large
from services.runtime.errors import Fault, MeshError, invalid_field

T = TypeVar("T")

OpenFile = Callable[[int], SpoolFile]
"""Returns an empty file that takes so many bytes at most."""

_CHUNK_BYTES = 256 * 1024
_VALUE_CHUNK_BYTES = 1024
# What boundaries, part headers and the other fields may add to the file itself.
_FORM_BYTES = 64 * 1024 + sum(FIELDS.values())

# How aiohttp says that a body is not what it claims to be.
_MALFORMED = (ValueError, AssertionError, RuntimeError, HttpProcessingError, web.RequestPayloadError)

_HOW = "Send multipart/form-data with the recording in the field 'file', such as curl -F file=@meeting.mp3."


@dataclass(frozen=True)
class Upload:
    """What came in."""

    file: SpoolFile
    """The recording; whoever holds the upload closes it."""
    fields: dict[str, str]
    """The other fields as they were sent."""
    fingerprint: bytes
    """SHA-256 of all of it; empty unless it was asked for."""


async def receive_upload(
    request: web.Request, open_file: OpenFile, max_bytes: int, stall_seconds: float, *, fingerprint: bool = False
) -> Upload:
    """Read the form of `request`; fields may come in any order.

    Args:
        request: nothing of its body has been read.
        open_file: returns where the recording goes.
        max_bytes: largest recording that is taken.
        stall_seconds: longest pause of the sender.
        fingerprint: whether to make one; it costs a second of processor time for each gigabyte or two.

    Raises:
        MeshError: INVALID for anything that is not such a form, TOO_LARGE as soon as that is known.
    """
    refuse_announced_size(request, max_bytes)
    await refuse_other_bodies(request)
    file: SpoolFile | None = None
    fields: dict[str, str] = {}
    content = hashlib.sha256() if fingerprint else None
    try:
        parts = await request.multipart()
        while (part := await _in_time(parts.next(), stall_seconds)) is not None:
            if not isinstance(part, BodyPartReader):
                raise _malformed()
            name = _name(part)
            if name == "file":
                if file is not None:
                    raise invalid_field("file", "Send one file a request; the field 'file' came twice.")
                file = await _receive_file(part, open_file(max_bytes), stall_seconds, content)
            elif name in fields:
                raise invalid_field(name, f"The field '{name}' came twice.")
            else:
                fields[name] = await _receive_value(name, part, stall_seconds)
        if file is None:
            raise invalid_field("file", f"The field 'file' is missing. {_HOW}")
    except BaseException as error:
        if file is not None:
            file.close()
        if isinstance(error, TimeoutError):
            raise _stalled() from error
        if isinstance(error, _MALFORMED):
            raise _malformed() from error
        raise
    return Upload(file, fields, _fingerprint(content, fields) if content else b"")


def refuse_announced_size(request: web.Request, max_bytes: int) -> None:
    """Raise MeshError (TOO_LARGE) when the head already tells that the upload is too large."""
    if request.content_length is not None and request.content_length > max_bytes + _FORM_BYTES:
        raise too_large(max_bytes)


async def refuse_other_bodies(request: web.Request) -> None:
    """Raise MeshError (INVALID) when the head, or a very short body, tells that this is no form."""
    if request.content_type != "multipart/form-data":
        raise MeshError(Fault.INVALID, f"The body is not a form. {_HOW}", code="not_a_form", field="file")
    length = request.content_length
    if length is not None and length < len("[object FormData]") + 1 and b"[object" in await request.read():
        raise MeshError(
            Fault.INVALID,
            "The body is the text '[object FormData]': Node's fetch does not know the 'form-data' package. "
            "Use the built-in FormData (form.append('file', await fs.openAsBlob(path), 'name.mp3')) "
            "or node-fetch 2.",
            code="not_a_form",
            field="file",
        )


def _name(part: BodyPartReader) -> str:
    name = part.name or ""
    if name != "file" and name not in FIELDS:
        allowed = ", ".join(["file", *FIELDS])
        raise invalid_field(name[:64], f"There is no field {name[:64]!r}; the fields are: {allowed}.")
    return name


async def _receive_file(
    part: BodyPartReader, file: SpoolFile, stall_seconds: float, content: "hashlib._Hash | None"
) -> SpoolFile:
    try:
        if part.filename is None:
            raise invalid_field("file", f"The field 'file' holds text instead of a file. {_HOW}")
        while chunk := await _in_time(part.read_chunk(_CHUNK_BYTES), stall_seconds):
            if content is not None:
                content.update(chunk)
            await file.write(chunk)
        await file.flush()
    except BaseException:
        file.close()
        raise
    return file


async def _receive_value(name: str, part: BodyPartReader, stall_seconds: float) -> str:
    value = bytearray()
    while chunk := await _in_time(part.read_chunk(_VALUE_CHUNK_BYTES), stall_seconds):
        value += chunk
        if len(value) > FIELDS[name]:
            raise invalid_field(name, f"The field '{name}' is longer than any value that is allowed.")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise invalid_field(name, f"The field '{name}' is not UTF-8 text.") from None


def _fingerprint(content: "hashlib._Hash", fields: dict[str, str]) -> bytes:
    """Return what tells this upload from others, in whatever order its fields came."""
    content.update(json.dumps(sorted(fields.items())).encode())
    return content.digest()


async def _in_time(reading: Awaitable[T], seconds: float) -> T:
    async with asyncio.timeout(seconds):
        return await reading


def _stalled() -> MeshError:
    return MeshError(Fault.INVALID, "The upload stopped before its end.", code="upload_stalled", field="file")


def _malformed() -> MeshError:
    return MeshError(Fault.INVALID, f"The form is malformed. {_HOW}", code="malformed_form", field="file")
