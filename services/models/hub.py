"""Weights from the Hugging Face hub, at the revision that the catalogue pins.

The hub's own client does the download: it takes `HF_TOKEN`, proxies and mirrors (`HF_ENDPOINT`) from the
environment, and tries again when a connection breaks. Its `hf_hub_download` is not used, because it deletes
half files when it ends (huggingface_hub pull request 4228: other processes might be writing them); ours are
guarded by the pull's lock, so the next pull goes on with them.
"""

import errno
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from services.models.catalogue import HubRepository, Model, ModelFile
from services.models.manifest import sha256_of
from services.models.progress import Counter, Phase, Progress, Report, watching
from services.models.staging import Staging, wrong_hash
from services.runtime.errors import Fault, MeshError

# What writing to our own disk may fail with.
_DISK_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE}
)


def fetch_from_hub(
    model: Model, files: Sequence[ModelFile], staging: Staging, report: Report, endpoint: str | None = None
) -> None:
    """Put `files` of `model` into `staging.files`, verified; half files of an earlier pull are continued.

    Args:
        model: the model; it has a hub repository.
        files: those of its files that are not there yet.
        staging: the model's partial folder.
        report: hears of every step.
        endpoint: the hub's address, if not the usual one.

    Raises:
        MeshError: UNAVAILABLE if the hub does not give a file, INVALID if it is not what the catalogue says.
        OSError: it cannot be written.
    """
    if model.hub is None:
        raise ValueError(f"{model.id} is not on the hub")
    total = sum(file.bytes for file in files)
    with watching((staging.hub,), Progress(model.id, Phase.DOWNLOADING, 0, total), report):
        paths = [_download(model.hub, file, staging.hub, endpoint) for file in files]
    counter = Counter(report, model.id, Phase.VERIFYING, total)
    for file, path in zip(files, paths, strict=True):
        found = sha256_of(path, counter.add)
        if found != file.sha256:
            path.unlink()
            raise wrong_hash(model.id, file.record, found, f"{model.hub.repo}@{model.hub.revision}")
        target = staging.files / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _download(hub: HubRepository, file: ModelFile, folder: Path, endpoint: str | None) -> Path:
    # Imported here: it takes a third of a second, and only a pull from the hub needs it.
    from huggingface_hub.errors import GatedRepoError

    path = folder / file.sha256
    try:
        _continue_download(hub, file, path, endpoint)
    except GatedRepoError as error:
        raise MeshError(
            Fault.UNAUTHENTICATED,
            f"The publisher of {hub.repo} asks for consent: accept the conditions at "
            f"https://huggingface.co/{hub.repo} and set HF_TOKEN to a token of that account.",
            code="gated",
        ) from error
    except Exception as error:  # The client lets its HTTP library's own exceptions through.
        # The client's errors are OSErrors too, and have no number.
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise MeshError(
            Fault.UNAVAILABLE,
            f"The hub did not give {file.path} of {hub.repo}: {reason[0]}",
            code="download_failed",
        ) from error
    return path


def _continue_download(hub: HubRepository, file: ModelFile, path: Path, endpoint: str | None) -> None:
    """Append to `path` what is missing of the file; a whole one is not asked for again."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils.tqdm import disable_progress_bars

    with path.open("ab") as out:
        if out.tell() == file.bytes:
            return
        if out.tell() > file.bytes:
            out.seek(0)
            out.truncate()
        disable_progress_bars()
        url = hf_hub_url(hub.repo, file.path, revision=hub.revision, endpoint=endpoint)
        location = get_hf_file_metadata(url).location
        token = get_token()
        # Large files lie with a storage provider, who has no business with the token.
        at_the_hub = urlsplit(location).netloc == urlsplit(url).netloc
        headers = {"Authorization": f"Bearer {token}"} if token and at_the_hub else {}
        http_get(location, out, resume_size=out.tell(), headers=headers, expected_size=file.bytes)
