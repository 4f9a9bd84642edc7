"""What the head of an upload tells before its body is read: what it is, how large, and that it is none."""

from aiohttp import web

from services.edge.body import receive_body
from services.edge.form import FIELDS
from services.edge.spool import too_large
from services.runtime.errors import Fault, MeshError, invalid_field

CHARSET = "_charset_"
"""The field with which a browser says that the rest is UTF-8 (RFC 7578, 4.6); nothing is made of it."""

FORM_FIELDS = {**FIELDS, CHARSET: 64}
"""The fields of a form beside `file`, as `FIELDS`."""

FRAME_BYTES = 16 * 1024
"""What may surround the values of a form: boundaries, heads of parts, what stands before the first and after the last.
All that we know of write less than two hundred bytes for a part, and then a file's name."""

FORM_BYTES = FRAME_BYTES + sum(FORM_FIELDS.values())
"""What boundaries, part headers and the other fields may add to the file itself."""

ADDRESS_FIELDS = frozenset({"url", "uri", "link", "audio_url", "file_url", "media_url", "remote_url", "source_url"})
"""What people call a field for the address of a recording."""

HOW = "Send multipart/form-data with the recording in the field 'file', such as curl -F file=@meeting.mp3."
_HOW_ALONE = (
    "Or send the recording alone, as audio/* or application/octet-stream, with the other fields in the address: "
    "curl --data-binary @meeting.mp3 -H 'Content-Type: application/octet-stream' '…/v1/transcribe?language=en'."
)

_FORM = "multipart/form-data"
_STRINGIFIED = "[object FormData]"
# What is none of these may be a recording: its content decides, not what it is called.
_OTHER_TYPES = frozenset({"application/json", "application/x-www-form-urlencoded"})
_OTHER_KINDS = ("multipart/", "text/")
_PACKINGS = frozenset({"br", "compress", "deflate", "gzip", "x-compress", "x-gzip", "zstd"})


def most_body_bytes(request: web.Request, max_bytes: int) -> int:
    """Return how large a body may be that has a recording of up to `max_bytes` in it."""
    return max_bytes + (FORM_BYTES if is_form(request) else 0)


def refuse_announced_size(request: web.Request, max_bytes: int) -> None:
    """Raise MeshError (TOO_LARGE) when the head already tells that the upload is too large."""
    if request.content_length is not None and request.content_length > most_body_bytes(request, max_bytes):
        raise too_large(max_bytes)


def refuse_other_heads(request: web.Request) -> None:
    """Raise MeshError (INVALID) when the head tells that this is no upload."""
    if _PACKINGS & {coding.strip().lower() for coding in request.headers.get("Content-Encoding", "").split(",")}:
        message = "Send the recording as it is: no Content-Encoding is taken, for sound is packed already."
        raise MeshError(Fault.INVALID, message, code="bad_request", field="file")
    if is_form(request):
        for name in request.query:
            if name in FIELDS or name in ADDRESS_FIELDS:
                raise invalid_field(name, f"Send the field '{name}' in the form, not in the address.")
    elif not _is_alone(request) and not _may_be_stringified(request):
        about = " Recordings are not fetched from addresses." if request.content_type == "application/json" else ""
        message = f"The body is neither a form nor a recording.{about} {HOW} {_HOW_ALONE}"
        raise MeshError(Fault.INVALID, message, code="not_a_form", field="file")
    elif "Content-Type" not in request.headers and not request.can_read_body:
        raise missing()


async def refuse_stringified_form(request: web.Request, stall_seconds: float) -> None:
    """Raise MeshError (INVALID) when a very short body is what JavaScript makes of a form that is taken for a text.

    Args:
        request: its other heads were looked at; nothing of its body has been read.
        stall_seconds: longest pause of the sender; one that stops is refused as well.
    """
    if not _may_be_stringified(request):
        return
    if b"[object" in await receive_body(request, len(_STRINGIFIED), stall_seconds):
        raise MeshError(
            Fault.INVALID,
            "The body is the text '[object FormData]': Node's fetch does not know the 'form-data' package. "
            "Use the built-in FormData (form.append('file', await fs.openAsBlob(path), 'name.mp3')) "
            "or node-fetch 2.",
            code="not_a_form",
            field="file",
        )
    if not is_form(request):
        message = f"The body is neither a form nor a recording. {HOW} {_HOW_ALONE}"
        raise MeshError(Fault.INVALID, message, code="not_a_form", field="file")


def _may_be_stringified(request: web.Request) -> bool:
    length = request.content_length
    return length is not None and length <= len(_STRINGIFIED) and not _is_alone(request)


def is_form(request: web.Request) -> bool:
    """Say whether the recording comes in a form."""
    return request.content_type == _FORM


def _is_alone(request: web.Request) -> bool:
    return request.content_type not in _OTHER_TYPES and not request.content_type.startswith(_OTHER_KINDS)


def missing() -> MeshError:
    """Return the error for an upload without a recording."""
    return invalid_field("file", f"The field 'file' is missing. {HOW}")
