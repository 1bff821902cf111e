"""Bytes under a name, in a local folder or under an s3:// prefix, through one interface.

Every call on S3 has a time-out; what may pass by itself (no connection, a broken one, 5xx, slow
down) is tried again with growing pauses for a bounded time. A broken read goes on where it broke.
"""

import base64
import hashlib
import os
import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mila.data.local_storage import Entry, LocalStorage, checked_name

_READ_PIECE = 1 << 20
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_PASSING_CODES = {"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "Throttling"}

T = TypeVar("T")


class StorageError(OSError, ValueError):
    """A storage call failed for good: refused, or still failing after all tries."""


class Storage(Protocol):
    """Named bytes below one URL; names are relative and use forward slashes.

    A missing name raises FileNotFoundError, everything else that fails StorageError.
    """

    @property
    def url(self) -> str:
        """The folder or prefix, for messages."""
        ...

    def read(self, name: str) -> bytes:
        """All bytes of an object."""
        ...

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; fewer only where the object ends before."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write an object; readers see the old one or the new one, never a part."""
        ...

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one; of several writers exactly one gets True."""
        ...

    def list(self, prefix: str = "") -> list[Entry]:
        """Objects whose name starts with `prefix`, sorted by name."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; no error if there is none."""
        ...


@dataclass(frozen=True)
class S3Options:
    """How to reach S3; what is None comes from the usual AWS variables and files."""

    endpoint_url: str | None = None
    region: str | None = None
    patience_s: float = 120.0
    """How long one call is tried again before it fails, seconds."""
    timeout_s: float = 20.0
    """Longest wait for a connection or for the next bytes, seconds."""


def open_storage(url: str | Path, options: S3Options | None = None) -> Storage:
    """The storage at a local path or an `s3://bucket/prefix` URL; nothing is contacted yet.

    Raises:
        ValueError: For another scheme or a bucket name S3 cannot have.
    """
    text = str(url)
    scheme, sign, rest = text.partition("://")
    if not sign:
        return LocalStorage(Path(text))
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3":
        raise ValueError(f"storage {text}: expected a local path or s3://bucket/prefix")
    if len(bucket) < 3:
        raise ValueError(f"storage {text}: a bucket name has three letters or more")
    return S3Storage(bucket, prefix.strip("/"), options or S3Options())


class S3Storage:
    """A prefix of an S3 bucket; may be pickled and forked, each process makes its own client."""

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._options = options
        self._client: Any = None
        self._client_pid = -1

    def __getstate__(self) -> dict[str, Any]:
        """The client stays behind."""
        return {**self.__dict__, "_client": None, "_client_pid": -1}

    @property
    def url(self) -> str:
        """The prefix as s3:// URL, without secrets."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def read(self, name: str) -> bytes:
        """All bytes of an object."""
        return self._read(name, 0, None)

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; fewer only where the object ends before."""
        return self._read(name, offset, size) if size else b""

    def put(self, name: str, data: bytes) -> None:
        """Write an object; the service checks the MD5."""
        call = {"Body": data, "ContentMD5": _md5(data)}
        self._retry(f"write {name}", lambda: self._call("put_object", name, **call))

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write an object with `If-None-Match: *`; of several writers exactly one gets True."""
        call = {"Body": data, "ContentMD5": _md5(data), "IfNoneMatch": "*"}
        tries = 0

        def attempt() -> bool:
            nonlocal tries
            tries += 1
            try:
                self._call("put_object", name, **call)
            except _client_error() as error:
                if _status(error) != 412:
                    raise
                return False
            return True

        written = self._retry(f"write {name}", attempt)
        # The answer to an earlier try may have been lost although the write was done.
        return written or (tries > 1 and self.read(name) == data)

    def list(self, prefix: str = "") -> list[Entry]:
        """Objects whose name starts with `prefix`, sorted by name."""
        start = self._key(prefix) if prefix else (f"{self._prefix}/" if self._prefix else "")
        skip = len(self._prefix) + 1 if self._prefix else 0

        def attempt() -> list[Entry]:
            pages = self._own_client().get_paginator("list_objects_v2")
            found = []
            for page in pages.paginate(Bucket=self._bucket, Prefix=start):
                objects = [o for o in page.get("Contents", []) if not _is_folder_mark(o)]
                found += [Entry(o["Key"][skip:], o["Size"]) for o in objects]
            return sorted(found, key=lambda entry: entry.name)

        return self._retry(f"list {prefix or '(all)'}", attempt)

    def delete(self, name: str) -> None:
        """Remove an object; no error if there is none."""
        self._retry(f"delete {name}", lambda: self._call("delete_object", name))

    def _read(self, name: str, offset: int, size: int | None) -> bytes:
        """Read from `offset` on; after a break only the rest is asked for."""
        got = bytearray()

        def attempt() -> bytes:
            first = offset + len(got)
            last = "" if size is None else offset + size - 1
            try:
                answer = self._call("get_object", name, Range=f"bytes={first}-{last}")
            except _client_error() as error:
                if _status(error) == 416:  # begins at or after the end of the object
                    return bytes(got)
                raise
            with closing(answer["Body"]) as body:
                for piece in iter(lambda: body.read(_READ_PIECE), b""):
                    got.extend(piece)
            # The client library may end a body that was cut short as if it were whole.
            if len(got) < first - offset + answer["ContentLength"]:
                raise ConnectionError("the connection was closed in the middle of an answer")
            return bytes(got)

        return self._retry(f"read {name}", attempt, progress=lambda: len(got))

    def _retry(
        self, what: str, attempt: Callable[[], T], progress: Callable[[], int] = lambda: 0
    ) -> T:
        """Call until it works, fails for good, or the patience ends without any progress."""
        pause, done = _FIRST_PAUSE_S, progress()
        deadline = time.monotonic() + self._options.patience_s
        while True:
            try:
                return attempt()
            except _all_errors() as error:
                self._refuse_final(what, error)
                if progress() > done:
                    pause, done = _FIRST_PAUSE_S, progress()
                    deadline = time.monotonic() + self._options.patience_s
                left = deadline - time.monotonic()
                if left <= 0:
                    tried = f"tried for {self._options.patience_s:g} s"
                    raise StorageError(f"{self.url}: cannot {what}, {tried}: {error}") from error
                time.sleep(min(pause * random.uniform(0.5, 1.0), left))  # writers spread out
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _refuse_final(self, what: str, error: Exception) -> None:
        """Raise at once for what another try would not change."""
        if not isinstance(error, _client_error()):
            if isinstance(error, _passing_errors()):
                return
            raise StorageError(f"{self.url}: cannot {what}: {error}") from error
        status, code = _status(error), _code(error)
        if code == "NoSuchBucket":
            raise StorageError(f"{self.url}: no bucket {self._bucket}") from error
        if status == 404:
            raise FileNotFoundError(f"{self.url}: nothing to {what}") from error
        if status < 500 and status != 429 and code not in _PASSING_CODES:
            raise StorageError(f"{self.url}: cannot {what}: {error}") from error

    def _call(self, operation: str, name: str, **words: Any) -> Any:
        return getattr(self._own_client(), operation)(
            Bucket=self._bucket, Key=self._key(name), **words
        )

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{checked_name(name)}" if self._prefix else checked_name(name)

    def _own_client(self) -> Any:
        """The client of this process: connections must not be shared over a fork."""
        if self._client is None or self._client_pid != os.getpid():
            self._client, self._client_pid = _new_client(self._options), os.getpid()
        return self._client


def _is_folder_mark(found: dict[str, Any]) -> bool:
    """Whether a listed object is empty and stands for a folder, as consoles and pyarrow write."""
    return bool(found["Key"].endswith("/") and found["Size"] == 0)


def _new_client(options: S3Options) -> Any:
    import boto3  # needed for s3:// only
    from botocore.config import Config

    config = Config(
        connect_timeout=options.timeout_s,
        read_timeout=options.timeout_s,
        retries={"mode": "standard", "total_max_attempts": 1},  # `_retry` is the only one
        s3={"addressing_style": "path"},
        # Trailing checksums are refused by some services; the digests are our own.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region,
        config=config,
    )


def _client_error() -> type[Exception]:
    from botocore.exceptions import ClientError

    error: type[Exception] = ClientError
    return error


def _all_errors() -> tuple[type[Exception], ...]:
    """What a call on S3 may raise."""
    from botocore.exceptions import BotoCoreError

    return (_client_error(), BotoCoreError, *_passing_errors())


def _passing_errors() -> tuple[type[Exception], ...]:
    """Trouble on the way to the service, which may pass by itself."""
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import HTTPClientError, IncompleteReadError
    from urllib3.exceptions import HTTPError

    return (NoConnection, HTTPClientError, IncompleteReadError, HTTPError, OSError)


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
