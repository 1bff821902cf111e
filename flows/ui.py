#!/usr/bin/env python3
"""Verb: MLflow's page over the runs of this folder."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from mila.config import Params
from mila.overrides import Verb

_HOST = "127.0.0.1"

VERB = Verb(
    name="python flows/ui.py",
    summary="Show runs, metrics and models in MLflow's page, on this machine only, until Ctrl-C.",
    example="python flows/ui.py port=5000",
    arguments={"port": "where to listen on 127.0.0.1 (5000)"},
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; replaced by the server when all is well, 2 = bad input."""
    return VERB.run(argv, _body)


def _body(_: Params, own: dict[str, str]) -> None:
    from flows.cluster import base_folder
    from flows.tracking_address import artifact_root, tracking_uri

    port = _free_port(own.get("port", "5000"))
    uri = tracking_uri(base_folder())
    if uri.startswith("http"):
        raise ValueError(f"MLFLOW_TRACKING_URI is a server with a page of its own: {uri}")
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():
        raise ValueError(
            f"{database}: no runs were recorded here; expected `make demo` to have run"
        )
    print(f"runs of {database}: http://{_HOST}:{port}")
    print('(choose "Model training" at the top left; Ctrl-C ends it)', flush=True)
    _become_server(port, uri, artifact_root(uri))


def _free_port(text: str) -> int:
    try:
        port = int(text)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_HOST, port))
    except OSError:
        raise ValueError(f"port={text} is in use: expected a free one, e.g. port=5001") from None
    except (ValueError, OverflowError):
        raise ValueError(f"port={text}: expected a number in 1..65535") from None
    return port


def _become_server(port: int, uri: str, artifacts: str | None) -> None:
    """One server process, with no job workers: it only reads."""
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port)]
    command += ["-w", "1", "--backend-store-uri", uri]
    command += ["--default-artifact-root", artifacts] if artifacts else []
    os.execv(sys.executable, command)


if __name__ == "__main__":
    sys.exit(main())
