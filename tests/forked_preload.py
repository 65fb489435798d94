"""Imported once by the server that tests/forked.py forks from."""

import nocontactd.archive.seal
import nocontactd.cli.poll
import nocontactd.number
import nocontactd.sources.imap
import nocontactd.sources.twilio

nocontactd.number.keys("+14155550100", None)  # loads the numbering plans
