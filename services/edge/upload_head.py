"""What the head of an upload tells before its body is read: what it is, how large, and that it is none."""

from aiohttp import web

from services.edge.form import FIELDS
from services.edge.spool import too_large
from services.runtime.errors import Fault, MeshError, invalid_field

FORM_BYTES = 64 * 1024 + sum(FIELDS.values())
"""What boundaries, part headers and the other fields may add to the file itself."""

ADDRESS_FIELDS = frozenset({"url", "uri", "link", "audio_url", "file_url", "media_url", "remote_url", "source_url"})
"""What people call a field for the address of a recording."""

HOW = "Send multipart/form-data with the recording in the field 'file', such as curl -F file=@meeting.mp3."
_HOW_ALONE = (
    "Or send the recording alone, as audio/* or application/octet-stream, with the other fields in the address: "
    "curl --data-binary @meeting.mp3 -H 'Content-Type: application/octet-stream' '…/v1/transcribe?language=en'."
)

_FORM = "multipart/form-data"
# What is none of these may be a recording: its content decides, not what it is called.
_OTHER_TYPES = frozenset({"application/json", "application/x-www-form-urlencoded"})
_OTHER_KINDS = ("multipart/", "text/")
_PACKINGS = frozenset({"br", "compress", "deflate", "gzip", "x-compress", "x-gzip", "zstd"})


def refuse_announced_size(request: web.Request, max_bytes: int) -> None:
    """Raise MeshError (TOO_LARGE) when the head already tells that the upload is too large."""
    around = FORM_BYTES if is_form(request) else 0
    if request.content_length is not None and request.content_length > max_bytes + around:
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


async def refuse_stringified_form(request: web.Request) -> None:
    """Raise MeshError (INVALID) when a very short body is what JavaScript makes of a form that is taken for a text."""
    if not _may_be_stringified(request):
        return
    if b"[object" in await request.read():
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
    return length is not None and length <= len("[object FormData]") and not _is_alone(request)


def is_form(request: web.Request) -> bool:
    """Say whether the recording comes in a form."""
    return request.content_type == _FORM


def _is_alone(request: web.Request) -> bool:
    return request.content_type not in _OTHER_TYPES and not request.content_type.startswith(_OTHER_KINDS)


def missing() -> MeshError:
    """Return the error for an upload without a recording."""
    return invalid_field("file", f"The field 'file' is missing. {HOW}")
