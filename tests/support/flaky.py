"""A reverse proxy on loopback that lets an S3 server look sick: refuses, throttles, cuts connections, loses answers."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

#: What may happen to a request. `lost`: it is done, but its answer never arrives. `half`: the body ends in the middle.
Fault = Literal["500", "503", "403", "cut", "lost", "half"]
#: (method, path with query) → what happens to this request.
Plan = Callable[[str, str], Fault | None]

_ERRORS = {
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "403": (403, "AccessDenied", "Access Denied"),
}


class FlakyProxy(ThreadingHTTPServer):
    """Forwards to `backend` what `plan` does not spoil, and counts what it spoiled."""

    daemon_threads = True

    def __init__(self, backend: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend = backend
        self.plan: Plan = lambda method, path: None
        self.spoiled: Counter[str] = Counter()
        self.credential = ""  # what the authorisation of each request must hold
        self.requests: Counter[str] = Counter()
        self.transferred = 0  # bytes of bodies, both ways
        self.latency_s = 0.0  # before each request is forwarded, as a network between machines
        self.at_once = self.most_at_once = 0  # requests at work: now, and at most
        self.lock = threading.Lock()
        self.writing = threading.Lock()  # a store's condition and its write are one step; moto's are two

    @property
    def url(self) -> str:
        """Endpoint for clients."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self, method: str, path: str) -> Fault | None:
        """Ask the plan, one request at a time."""
        with self.lock:
            self.requests[method] += 1
            fault = self.plan(method, path)
            if fault:
                self.spoiled[fault] += 1
            return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FlakyProxy

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _handle(self) -> None:
        body = self._read_body()
        if self.server.credential not in self.headers.get("Authorization", ""):
            return self._refuse("403")
        fault = self.server.fault(self.command, self.path)
        if fault == "cut":
            return self._hang_up()
        if fault in _ERRORS:
            return self._refuse(fault)
        self._travel()
        with self.server.writing if self.command in ("PUT", "POST", "DELETE") else contextlib.nullcontext():
            status, headers, data = self._forward(body)
        with self.server.lock:
            self.server.transferred += len(body) + len(data)
        if fault == "lost":
            return self._hang_up()
        self._answer(status, headers, data, half=fault == "half")
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def _travel(self) -> None:
        """Take the time of a network, and count who else is on the way."""
        if not self.server.latency_s:
            return
        with self.server.lock:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(self.server.latency_s)
        with self.server.lock:
            self.server.at_once -= 1

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.server.backend, timeout=1200)
        dropped = ("expect", "transfer-encoding", "content-length", "connection")
        headers = {key: value for key, value in self.headers.items() if key.lower() not in dropped}
        connection.request(self.command, self.path, body=body, headers={**headers, "Content-Length": str(len(body))})
        answer = connection.getresponse()
        data = answer.read()
        kept = [(key, value) for key, value in answer.getheaders() if key.lower() not in dropped]
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        connection.close()
        return answer.status, [*kept, ("Content-Length", length or "0")], data

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, half: bool) -> None:
        self.send_response_only(status)
        for key, value in headers:
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        if half:
            self._hang_up()

    def _refuse(self, fault: Fault) -> None:
        status, code, message = _ERRORS[fault]
        data = (
            b""
            if self.command == "HEAD"
            else f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        )
        self._answer(
            status, [("Content-Type", "application/xml"), ("Content-Length", str(len(data)))], data, half=False
        )

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def flaky_s3() -> Iterator[FlakyProxy]:
    """An S3 server in this process with a bucket named `bucket`, and the proxy before it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    proxy = FlakyProxy((host, port))
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        connection = http.client.HTTPConnection(host, port, timeout=1200)
        # moto keeps buckets for the life of the process: another suite's would be there still.
        for method, path in (("POST", "/moto-api/reset"), ("PUT", "/bucket")):
            connection.request(method, path)
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()
        connection.close()
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        server.stop()


def client_environment(proxy: FlakyProxy, attempts: int) -> dict[str, str]:
    """How a client is told of the endpoint: by environment variables alone.

    Args:
        attempts: tries of the S3 client itself, below ours.
    """
    return {
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_ACCESS_KEY_ID": "test-key-id",
        "AWS_SECRET_ACCESS_KEY": "test-secret-never-shown",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": str(attempts),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
