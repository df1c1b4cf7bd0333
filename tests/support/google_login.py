"""A service account made for a test: its key file, and the server that gives a token to whoever signs with the key."""

from __future__ import annotations

import json
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Login:
    """A key file, the middle of its key, and the token that is given for it."""

    file: Path
    secret: str
    token: str


@contextmanager
def google_login() -> Iterator[Login]:
    """A login for as long as the block lasts."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, form, plain).decode()
    token = f"token-{secrets.token_hex(16)}"
    with ThreadingHTTPServer(("127.0.0.1", 0), _giving(token)) as server, tempfile.TemporaryDirectory() as folder:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = {
            "type": "service_account",
            "project_id": "test",
            "private_key_id": "test",
            "private_key": pem,
            "client_email": "test@test.invalid",
            "token_uri": f"http://127.0.0.1:{server.server_address[1]}/token",
        }
        file = Path(folder) / "key.json"
        file.write_text(json.dumps(account))
        yield Login(file, pem.splitlines()[5], token)
        server.shutdown()


def _giving(token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            data = json.dumps({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
