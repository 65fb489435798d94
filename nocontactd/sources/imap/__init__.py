"""A mailbox as a Source. Nothing outside this folder knows that there is such a thing as IMAP."""

from nocontactd.sources.imap.inbox import Inbox
from nocontactd.sources.imap.mailbox import Mailbox

__all__ = ["Inbox", "Mailbox"]
