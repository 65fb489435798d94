"""What to say of a certificate that is not to be trusted: why, and its fingerprint.

That is asked for over a connection of its own, which knows no secret and ends here: nothing that comes over it is
believed.
"""

import ssl
from dataclasses import replace

from imapclient.exceptions import IMAPClientError

from nocontactd.sources.imap.client import Client, Server
from nocontactd.sources.imap.wire import fingerprint

_ADVICE = {  # by OpenSSL's X509_V_ERR_…
    9: "it is not valid yet: is this machine's clock right?",
    10: "it has expired; the provider must renew it",
    62: "it is for another host: is host right?",
    64: "it is for another host: is host right?",
}
_UNKNOWN = "no known authority vouches for it; if it is your own server's, name its authority, or itself, in ca_file"


def advice(server: Server, error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with it, and by what the owner can compare it with the server's own."""
    return _ADVICE.get(error.verify_code, _UNKNOWN) + _shown(server)


def _shown(server: Server) -> str:
    """The fingerprint of what the server shows to anybody; "" where it shows nothing now."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    patience = replace(server.patience, read=server.patience.connect, command=server.patience.connect)  # it is a hint
    try:
        client = Client(replace(server, patience=patience), anybody)
        try:
            if server.security == "starttls":
                client.starttls(anybody)
            shown = fingerprint(client._imap.sock).upper()
        finally:
            client._imap.shutdown()
    except (OSError, IMAPClientError, ValueError, TypeError, LookupError):
        return ""
    return f"; the server shows SHA-256 {':'.join(shown[at : at + 2] for at in range(0, len(shown), 2))}"
