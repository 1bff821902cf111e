"""The one pyarrow filesystem handed to Ray.

Ray keeps its own small files there; checkpoints, journal and lease go through `mila.data.storage`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import pyarrow.fs


@dataclass(frozen=True)
class RayStorage:
    """A filesystem and a path on it, as `ray.train.RunConfig` takes them."""

    filesystem: pyarrow.fs.FileSystem
    path: str


def ray_storage(url: str) -> RayStorage:
    """The filesystem of a local folder or an `s3://bucket/prefix` URL.

    Keys come from the usual AWS variables and files, never from the URL; the endpoint from
    AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
    """
    if not url.startswith("s3://"):
        return RayStorage(pyarrow.fs.LocalFileSystem(), url)
    options: dict[str, str] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        parts = urlsplit(endpoint)
        options = {"endpoint_override": parts.netloc, "scheme": parts.scheme}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    filesystem = pyarrow.fs.S3FileSystem(
        **options, **({"region": region} if region else {}), background_writes=False
    )
    return RayStorage(filesystem, url.removeprefix("s3://"))
