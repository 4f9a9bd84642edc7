"""An upload: the recording to the spool byte by byte, the other fields to text.

It comes as a form, or as the bytes of the file alone with its fields in the query of the address.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from services.edge.form import FIELDS
from services.edge.pace import Pace
from services.edge.patience import Patience
from services.edge.spool import SpoolFile
from services.edge.upload_body import UploadBody
from services.edge.upload_head import (
    ADDRESS_FIELDS,
    CHARSET,
    FORM_BYTES,
    FORM_FIELDS,
    HOW,
    is_form,
    missing,
    most_body_bytes,
)
from services.runtime.errors import Fault, MeshError, invalid_field

OpenFile = Callable[[int], SpoolFile]
"""Returns an empty file that takes so many bytes at most."""

_CHUNK_BYTES = 256 * 1024
_VALUE_CHUNK_BYTES = 1024

_ADDRESS = re.compile(rb"\s*[a-z][a-z0-9+.-]{1,15}://", re.IGNORECASE)

# How aiohttp says that a body is not what it claims to be.
_MALFORMED = (ValueError, AssertionError, RuntimeError, HttpProcessingError, web.RequestPayloadError)


@dataclass(frozen=True)
class UploadRules:
    """What holds for all uploads."""

    stall_seconds: float
    """Longest pause of a sender."""
    pace: Pace
    """How fast they may be, together."""


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
    request: web.Request, open_file: OpenFile, max_bytes: int, rules: UploadRules, *, fingerprint: bool = False
) -> Upload:
    """Read the recording and the fields of `request`; those of a form may come in any order.

    Args:
        request: its head was looked at (`upload_head`), nothing of its body has been read.
        open_file: returns where the recording goes.
        max_bytes: largest recording that is taken.
        rules: for all uploads.
        fingerprint: whether to make one; it costs a second of processor time for each gigabyte or two.

    Raises:
        MeshError: INVALID for anything that is not such an upload, TOO_LARGE as soon as that is known, UNAVAILABLE
            where there is no room for it.
    """
    receiving = _Receiving(request, open_file, max_bytes, rules, fingerprint=fingerprint)
    try:
        if is_form(request):
            await receiving.receive_form()
        else:
            await receiving.receive_alone()
        return receiving.upload()
    except BaseException as error:
        if receiving.file is not None:
            receiving.file.close()
        if isinstance(error, TimeoutError):
            raise _stalled() from error
        if isinstance(error, _MALFORMED):
            raise _malformed(request) from error
        raise


@dataclass(frozen=True)
class _Part:
    """A part of a form."""

    name: str
    """Of its field."""
    is_file: bool
    """Whether it has a file's name of its own, whatever that is, or is said to be sound or bytes."""
    reader: BodyPartReader


class _FormReader(MultipartReader):
    """Reads a form; what its parts are called is read here.

    aiohttp warns of heads that it cannot read, such as curl makes of a quotation mark before a semicolon: the warning
    has the file's name in it, which is nothing for a log, and the field has no name any more.
    """

    disposition = ""
    """The head of the part that came last."""

    async def fetch_next_part(self) -> MultipartReader | BodyPartReader:
        """Return the next part, without the head that tells its name."""
        part = await super().fetch_next_part()
        self.disposition = part.headers.get("Content-Disposition", "")
        headers = CIMultiDict(part.headers)
        headers.pop("Content-Disposition", None)
        part.headers = CIMultiDictProxy(headers)
        return part

    async def next_part(self) -> _Part | None:
        """Return the next part; None at the end.

        Raises:
            ValueError: it is a form in the form.
        """
        part = await self.next()
        if part is None:
            return None
        if not isinstance(part, BodyPartReader):
            raise ValueError("a form in the form")
        head = Message()
        head["Content-Disposition"] = self.disposition
        head["Content-Type"] = part.headers.get("Content-Type", "")
        parameters = {name.lower(): value for name, value in head.get_params([], "content-disposition")}
        name = parameters.get("name", "")
        # Of a name with a character set and a language (RFC 2231) only the text counts.
        name = name[2] if isinstance(name, tuple) else name
        # Python's requests names no file where it is given bytes and a type only.
        is_file = "filename" in parameters or "filename*" in parameters or _is_media(head.get_content_type())
        return _Part(name, is_file, part)


def _is_media(content_type: str) -> bool:
    return content_type.startswith(("audio/", "video/")) or content_type == "application/octet-stream"


class _Receiving:
    """One upload on its way in."""

    def __init__(
        self, request: web.Request, open_file: OpenFile, max_bytes: int, rules: UploadRules, *, fingerprint: bool
    ) -> None:
        self._request = request
        self._open_file = open_file
        self._max_bytes = max_bytes
        self._body = UploadBody(
            request.content, most_body_bytes(request, max_bytes), max_bytes, Patience(rules.stall_seconds), rules.pace
        )
        self._most_of_fields = FORM_FIELDS if is_form(request) else FIELDS
        self._content = hashlib.sha256() if fingerprint else None
        self._fields: dict[str, str] = {}
        self.file: SpoolFile | None = None

    def upload(self) -> Upload:
        """Return what came."""
        if self.file is None:
            raise missing()
        return Upload(self.file, self._fields, self._fingerprint())

    async def receive_form(self) -> None:
        form = _FormReader(self._request.headers, cast(StreamReader, self._body))
        while (part := await form.next_part()) is not None:
            if part.name == "file":
                await self._take_file(part)
            else:
                self._refuse_name(part.name)
                self._fields[part.name] = await self._value(part)
        self._fields.pop(CHARSET, None)
        while await self._body.readline():
            pass  # what stands after the last part

    async def receive_alone(self) -> None:
        for name, value in self._request.query.items():
            self._refuse_name(name)
            if len(value.encode(errors="replace")) > self._most_of_fields[name]:
                raise _too_long(name)
            self._fields[name] = value
        file = await self._begin_file()
        while chunk := await self._body.readany():
            await self._keep(file, chunk)
        await file.flush()

    def _refuse_name(self, name: str) -> None:
        shown = name[:64]
        if name in ADDRESS_FIELDS:
            raise _address(shown)
        if name not in self._most_of_fields:
            allowed = ", ".join([*(["file"] if is_form(self._request) else []), *FIELDS])
            raise invalid_field(shown, f"There is no field {shown!r}; the fields are: {allowed}.")
        if name in self._fields:
            raise invalid_field(name, f"The field '{name}' came twice.")

    async def _take_file(self, part: _Part) -> None:
        if self.file is not None:
            raise invalid_field("file", "Send one file a request; the field 'file' came twice.")
        if not part.is_file:
            if _ADDRESS.match(await part.reader.read_chunk(_VALUE_CHUNK_BYTES)):
                raise _address("file")
            raise invalid_field("file", f"The field 'file' holds text instead of a file. {HOW}")
        if part.reader.headers.get("Content-Transfer-Encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
            raise invalid_field("file", "Send the file's bytes as they are, without a Content-Transfer-Encoding.")
        file = await self._begin_file()
        while chunk := await part.reader.read_chunk(_CHUNK_BYTES):
            await self._keep(file, chunk)
        await file.flush()

    async def _begin_file(self) -> SpoolFile:
        self.file = self._open_file(self._max_bytes)
        announced = self._request.content_length or 0
        await self.file.expect(max(0, announced - (FORM_BYTES if is_form(self._request) else 0)))
        return self.file

    async def _keep(self, file: SpoolFile, chunk: bytes | bytearray) -> None:
        if self._content is not None:
            self._content.update(chunk)
        await file.write(chunk)

    async def _value(self, part: _Part) -> str:
        value = bytearray()
        while chunk := await part.reader.read_chunk(_VALUE_CHUNK_BYTES):
            value += chunk
            if len(value) > self._most_of_fields[part.name]:
                raise _too_long(part.name)
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise invalid_field(part.name, f"The field '{part.name}' is not UTF-8 text.") from None

    def _fingerprint(self) -> bytes:
        """Return what tells this upload from others, in whatever order its fields came."""
        if self._content is None:
            return b""
        self._content.update(json.dumps(sorted(self._fields.items())).encode())
        return self._content.digest()


def _too_long(name: str) -> MeshError:
    return invalid_field(name, f"The field '{name}' is longer than any value that is allowed.")


def _address(field: str) -> MeshError:
    return MeshError(
        Fault.INVALID,
        "Recordings are not fetched from addresses (URLs): send the recording itself in the field 'file'.",
        code="url_not_supported",
        field=field,
    )


def _stalled() -> MeshError:
    return MeshError(Fault.INVALID, "The upload stopped before its end.", code="upload_stalled", field="file")


def _malformed(request: web.Request) -> MeshError:
    if not is_form(request):
        message = "The upload ended before its end, or is not what its head says."
        return MeshError(Fault.INVALID, message, code="malformed_body", field="file")
    return MeshError(Fault.INVALID, f"The form is malformed. {HOW}", code="malformed_form", field="file")
