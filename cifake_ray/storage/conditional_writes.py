"""Conditional writes to object storage: an object is replaced only while no other process has written it.

S3 compares and writes in one step: a new object with `If-None-Match: *`, a later one with `If-Match` and the ETag that
was read last (AWS since 2024, MinIO, Ceph, R2). Arrow's file systems have no such write, so botocore, AWS's own client,
is used. Elsewhere (`gs://`, an S3 server that answers 501) the object is read, compared and written: of two processes
that write within the same moment the later one wins, and the next write of the other one fails.
"""

import hashlib
from functools import lru_cache
from typing import Any

from cifake_ray.storage import mirror

_SECONDS = 10  # for a server to answer; twice that is much less than a claim holds
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")  # 412, 409 (written just now), 404


class Changed(Exception):
    """Another process has written the object since the last reading, or made one where none was."""


def read_tagged(url: str) -> tuple[bytes, str | None]:
    """The object at `url` and its tag, which every write changes; (b"", None) when there is none.

    Raises StorageError.
    """
    if _has_conditions(url):
        return _get(url)
    data = mirror.read_bytes(url)
    return (b"", None) if data is None else (data, hashlib.sha256(data).hexdigest())


def write_tagged(url: str, data: bytes, tag: str | None) -> str:
    """Replace the object that has this tag, or (None) make one where none is; return the new tag.

    Raises Changed when the object has another tag now, StorageError when the storage cannot be written.
    """
    if _has_conditions(url):
        return _put(url, data, tag)
    _compare(url, tag)
    mirror.write_bytes(url, data)
    return hashlib.sha256(data).hexdigest()


def _has_conditions(url: str) -> bool:
    return url.startswith("s3://")


def _compare(url: str, tag: str | None) -> None:
    if read_tagged(url)[1] != tag:
        raise Changed(url)


def _get(url: str) -> tuple[bytes, str | None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = _client().get_object(**_place(url))
        return found["Body"].read(), found["ETag"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return b"", None
        raise mirror.refused(url, error) from error
    except (BotoCoreError, OSError) as error:
        raise mirror.refused(url, error) from error


def _put(url: str, data: bytes, tag: str | None) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
    try:
        try:
            return str(_client().put_object(**_place(url), Body=data, **condition)["ETag"])
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _CHANGED:
                raise Changed(url) from error
            if code != "NotImplemented":
                raise
        _compare(url, tag)
        return str(_client().put_object(**_place(url), Body=data)["ETag"])
    except (BotoCoreError, ClientError, OSError) as error:
        raise mirror.refused(url, error) from error


def _place(url: str) -> dict[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


@lru_cache
def _client() -> Any:
    """A client that finds server, region and credentials where the mirror's file system finds them."""
    from botocore.config import Config
    from botocore.session import Session

    endpoint = mirror.s3_endpoint()
    return Session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=mirror.s3_region(),
        config=Config(
            connect_timeout=_SECONDS,
            read_timeout=_SECONDS,
            retries={"total_max_attempts": 2},
            s3={"addressing_style": "path" if endpoint else "auto"},
            request_checksum_calculation="when_required",  # not every S3 server knows the newer ones
            response_checksum_validation="when_required",
        ),
    )
