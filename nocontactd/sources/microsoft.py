"""A token for a mailbox at Microsoft: by the device flow once, then by a refresh token that changes with each use.

Whatever msal says or logs may quote an account or a token: none of it is repeated. A new refresh
token is written down before the access token that came with it is used.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nocontactd.errors import CredentialError, UnreachableError

if TYPE_CHECKING:
    import msal
    import requests

SCOPE = "https://outlook.office.com/IMAP.AccessAsUser.All"
PATIENCE = 30.0
"""Seconds for one answer of the identity provider."""
WITHDRAWN = frozenset(
    {"invalid_grant", "interaction_required", "consent_required", "login_required", "access_denied", "expired_token"}
    | {"authorization_declined", "authorization_pending", "bad_verification_code"}
)
"""Errors (RFC 6749, 5.2; RFC 8628, 3.5; OpenID Connect Core, 3.1.2.6) that a new login by the owner cures."""
UNKNOWN_CLIENT = frozenset({"invalid_client", "unauthorized_client", "invalid_scope", "invalid_request"})
"""Errors of the registration."""


class Store(Protocol):
    """Where the tokens of one source lie."""

    def held(self) -> AbstractContextManager[None]: ...
    def read(self) -> str: ...
    def write(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Registration:
    """The owner's own application, as Microsoft knows it."""

    source: str
    """The label of the source, for messages."""
    client_id: str
    tenant: str
    authority: str
    again: str
    """How to log in again, for the hint."""
    ca_file: Path | None = None
    """Certificates (PEM) that vouch for the authority; None: the system's."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the owner is to do in a browser, on whatever machine."""

    address: str
    code: str
    minutes: int


class Account:
    """The login of one source; its tokens are in the store, and nowhere else."""

    def __init__(self, registration: Registration, store: Store) -> None:
        self._registration, self._store = registration, store
        self._app: msal.PublicClientApplication | None = None
        self._unwritten: str | None = None
        """Tokens that could not be written down: the old ones may be worth nothing any more."""

    def token(self) -> str:
        """An access token that should hold. CredentialError: a new login is needed; UnreachableError."""
        return self._token(force=False)

    def renewed(self) -> str:
        """Another access token, as the server refused the one it was given."""
        return self._token(force=True)

    def log_in(self, show: Callable[[Invitation], None]) -> None:
        """Have the owner log in, and keep the tokens. CredentialError: declined or too late; UnreachableError."""
        with self._asking():
            app = self._application()
            flow = app.initiate_device_flow([SCOPE])
            if "user_code" not in flow:
                raise self._refused(flow)
            show(Invitation(str(flow["verification_uri"]), str(flow["user_code"]), int(flow["expires_in"]) // 60))
            self._accessed(app.acquire_token_by_device_flow(flow))
        with self._store.held():
            self._keep(app.token_cache.serialize())

    def _token(self, *, force: bool) -> str:
        with self._store.held(), self._asking():
            if self._unwritten is not None:
                self._keep(self._unwritten)
            tokens = self._store.read()
            if not tokens:
                raise CredentialError(
                    f"{self._registration.source}: nobody has logged in with Microsoft yet; nothing was looked at",
                    self._registration.again,
                )
            app = self._application()
            app.token_cache.deserialize(tokens)
            account = next(iter(app.get_accounts()), None)
            result = app.acquire_token_silent_with_error([SCOPE], account, force_refresh=force)
            if app.token_cache.has_state_changed:
                self._keep(app.token_cache.serialize())
            return self._accessed(result or {"error": "login_required"})

    def _keep(self, tokens: str) -> None:
        self._unwritten = tokens
        self._store.write(tokens)
        self._unwritten = None

    def _accessed(self, result: dict[str, Any]) -> str:
        if "access_token" not in result:
            raise self._refused(result)
        return str(result["access_token"])

    def _refused(self, result: dict[str, Any]) -> CredentialError | UnreachableError:
        source, error = self._registration.source, result.get("error")
        if error in WITHDRAWN:
            return CredentialError(
                f"{source}: the login with Microsoft was declined, withdrawn or has run out; nothing was looked at",
                self._registration.again,
            )
        if error in UNKNOWN_CLIENT:
            return CredentialError(
                f"{source}: Microsoft does not take this registration; nothing was looked at",
                "check client_id and tenant; public client flows and IMAP.AccessAsUser.All must be allowed",
            )
        return UnreachableError(f"{source}: Microsoft gives no token just now")

    def _application(self) -> "msal.PublicClientApplication":
        """Made once: it asks the authority for its addresses."""
        if self._app is None:
            import msal

            logging.getLogger("msal").setLevel(logging.CRITICAL + 1)  # it logs answers whole, tokens and all
            self._app = msal.PublicClientApplication(
                self._registration.client_id,
                authority=f"{self._registration.authority}/{self._registration.tenant}",
                token_cache=msal.SerializableTokenCache(),
                http_client=_session(self._registration.ca_file),
                instance_discovery=False,  # one host more that would learn of each start; the authority is configured
            )
        return self._app

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """msal's and requests' errors, in ours."""
        source = self._registration.source
        try:
            from msal.exceptions import MsalError
            from requests.exceptions import RequestException
        except ModuleNotFoundError:
            raise CredentialError(
                f"{source}: a login with Microsoft needs the library msal; nothing was looked at",
                "pip install 'nocontactd[microsoft]'",
            ) from None
        try:
            yield
        except ValueError:  # msal: the authority answers 4xx, or no JSON
            raise UnreachableError(
                f"{source}: Microsoft's login answered what cannot be read", "is the tenant right?"
            ) from None
        except (MsalError, RequestException, RuntimeError, LookupError, TypeError, AttributeError):
            raise UnreachableError(f"{source}: Microsoft's login cannot be reached, or is out of order") from None


def _session(ca_file: Path | None) -> "requests.Session":
    """requests waits for ever unless told at each request, and takes REQUESTS_CA_BUNDLE over what a session says."""
    import requests

    session = requests.Session()
    always = {"timeout": PATIENCE} | ({"verify": str(ca_file)} if ca_file else {})
    session.request = partial(session.request, **always)  # type: ignore[method-assign,arg-type]
    return session
