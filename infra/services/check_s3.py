"""Make buckets and prove that S3 works: write, read and delete with both of our clients.

boto3 carries shards and checkpoints, pyarrow carries Ray's own files; each has refused to work
with some service while the other did. Leases and journals need a service that refuses to write
over an object when told so.
"""

import os
import sys
from urllib.parse import urlsplit

import boto3
import pyarrow.fs
from botocore.exceptions import ClientError

_TEXT = b"written by check_s3.py"


def main(buckets: list[str]) -> int:
    """Make the buckets, then try the first."""
    client = boto3.client("s3")
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
    _check_boto3(client, buckets[0])
    _check_pyarrow(buckets[0])
    return 0


def _check_boto3(client: object, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="check/boto3", Body=_TEXT)
    try:
        client.put_object(Bucket=bucket, Key="check/boto3", Body=b"other", IfNoneMatch="*")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
            raise
    else:
        raise SystemExit("S3 wrote over an object although told not to (If-None-Match: *)")
    got = client.get_object(Bucket=bucket, Key="check/boto3")["Body"].read()
    client.delete_object(Bucket=bucket, Key="check/boto3")
    if got != _TEXT:
        raise SystemExit(f"S3 gave back {got!r}, written was {_TEXT!r}")


def _check_pyarrow(bucket: str) -> None:
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    filesystem = pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint.netloc, scheme=endpoint.scheme, background_writes=False
    )
    path = f"{bucket}/check/pyarrow"
    with filesystem.open_output_stream(path) as stream:
        stream.write(_TEXT)
    with filesystem.open_input_stream(path) as stream:
        got = stream.read()
    filesystem.delete_file(path)
    if got != _TEXT:
        raise SystemExit(f"S3 gave pyarrow {got!r}, written was {_TEXT!r}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
