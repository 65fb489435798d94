"""An identity provider as Microsoft's: discovery, device codes (RFC 8628), and refresh tokens that work once.

Over real HTTPS on loopback, with a certificate of the tests' own authority. What the owner does in
the browser is `granted`; what the provider does to the login later is the other attributes.
"""

import base64
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

from tests.peers.authority import Certificate

CLIENT = "11111111-2222-3333-4444-555555555555"
TENANT = "consumers"


class IdentityProvider:
    """The provider; one owner, one client."""

    def __init__(self, certificate: Certificate) -> None:
        self.answers: list[str | dict[str, object]] = []
        """What polls for the device code are answered with, in turn; after them, with tokens."""
        self.requests: list[dict[str, str]] = []
        self.newest = 0
        self.lifetime = 3600
        self.code_lifetime = 900
        self.interval = 1
        self.withdrawn = ""
        """The error that each refresh is answered with."""
        self.status = 200
        self.spoilt: bytes | None = None
        """What every request for a token is answered with instead."""
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def access(self) -> str:
        """The access token that was given out last."""
        return f"canary-access-{self.newest}"

    def close(self) -> None:
        """Be offline from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def discovery(self) -> dict[str, object]:
        there = f"{self.url}/{TENANT}/oauth2/v2.0"
        return {
            "issuer": f"{self.url}/{TENANT}/v2.0",
            "authorization_endpoint": f"{there}/authorize",
            "token_endpoint": f"{there}/token",
            "device_authorization_endpoint": f"{there}/devicecode",
        }

    def device(self, asked: dict[str, str]) -> tuple[int, dict[str, object]]:
        if asked["client_id"] != CLIENT:
            return 400, {"error": "unauthorized_client", "error_description": f"canary {asked['client_id']}"}
        return 200, {
            "device_code": "canary-device",
            "user_code": "ABCD-1234",
            "verification_uri": "https://microsoft.com/devicelogin",
            "expires_in": self.code_lifetime,
            "interval": self.interval,
        }

    def token(self, asked: dict[str, str]) -> tuple[int, dict[str, object]]:
        self.requests.append(asked)
        if asked["grant_type"] == "refresh_token":
            wrong = self.withdrawn or ("" if asked["refresh_token"] == self._refresh else "invalid_grant")
        else:
            said = self.answers.pop(0) if self.answers else ""
            wrong = str(said)
        if wrong:
            return 400, {"error": wrong, "error_description": "canary-description me@outlook.example"}
        self.newest += 1
        return 200, {
            "token_type": "Bearer",
            "scope": "https://outlook.office.com/IMAP.AccessAsUser.All",
            "expires_in": self.lifetime,
            "access_token": self.access,
            "refresh_token": self._refresh,
            "client_info": _encoded({"uid": "owner", "utid": "tenant"}),
            "id_token": ".".join([_encoded({"alg": "none"}), _encoded(self._claims()), ""]),
        }

    @property
    def _refresh(self) -> str:
        return f"canary-refresh-{self.newest}"

    def _claims(self) -> dict[str, object]:
        now = int(time.time())
        return {
            "iss": f"{self.url}/{TENANT}/v2.0",
            "aud": CLIENT,
            "sub": "owner",
            "exp": now + 3600,
            "iat": now,
            "preferred_username": "me@outlook.example",
        }


def _encoded(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@contextmanager
def identity_provider(certificate: Certificate) -> Iterator[IdentityProvider]:
    """Run one."""
    provider = IdentityProvider(certificate)
    try:
        yield provider
    finally:
        provider.close()


class _Handler(BaseHTTPRequestHandler):
    provider: IdentityProvider

    def do_GET(self) -> None:
        known = self.path == f"/{TENANT}/v2.0/.well-known/openid-configuration"
        self._say(200, self.provider.discovery()) if known else self._say(400, {"error": "invalid_tenant"})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = {key: values[0] for key, values in form.items()}
        act = self.provider.device if self.path.endswith("/devicecode") else self.provider.token
        status, said = act(asked)
        self._say(status if self.provider.status == 200 else self.provider.status, said)

    def _say(self, status: int, said: dict[str, object]) -> None:
        octets = (
            self.provider.spoilt
            if self.command == "POST" and self.provider.spoilt is not None
            else json.dumps(said).encode()
        )
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_words: object) -> None:
        pass
