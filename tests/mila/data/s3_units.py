"""An S3 for units and a link to it that breaks; neither proves anything about keys or integrity."""

import socket
import socketserver

from mila.data.storage import S3Options, Storage, open_storage

QUICK = 3.0


def s3(port: int, prefix: str, **options) -> Storage:
    endpoint = f"http://127.0.0.1:{port}"
    options = {"patience_s": QUICK, "timeout_s": 2.0, **options}
    return open_storage(f"s3://shards/{prefix}", S3Options(endpoint, **options))


class Proxy(socketserver.ThreadingTCPServer):
    """Passes bytes to the service and spoils some answers."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: int, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Pass)
        self.target = ("127.0.0.1", target)
        self.connections = 0
        self.cut_after: list[int] = []
        """For each of the next connections: bytes of the answer before it is cut."""
        self.answers: list[bytes] = []
        """Sent instead of asking the service, one for each of the next connections."""
        self.lose_answers = 0
        """The service does its work, the client never hears of it: so many times."""
        self.requests: list[bytes] = []


class _Pass(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        server.connections += 1
        request = self._read_request()
        server.requests.append(request)
        if server.answers:
            self.request.sendall(server.answers.pop(0))
            return
        with socket.create_connection(server.target, timeout=10) as target:
            target.sendall(request.replace(b"Connection: keep-alive", b"Connection: close"))
            budget = server.cut_after.pop(0) if server.cut_after else None
            lost = server.lose_answers > 0
            server.lose_answers -= lost
            target.settimeout(2)
            try:
                while data := target.recv(65536):
                    if budget is not None:
                        data = data[:budget]
                        budget -= len(data)
                    if not lost:
                        self.request.sendall(data)
                    if budget == 0:
                        return
            except TimeoutError:
                return

    def _read_request(self) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.request.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if b"100-continue" in head.lower():
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(body) < length:
            body += self.request.recv(65536)
        lines = [
            x for x in head.split(b"\r\n") if not x.lower().startswith((b"expect:", b"connec"))
        ]
        return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body
