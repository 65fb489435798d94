"""A passphrase is its characters, not its octets: what Linux and a Mac send for the same keys must be one secret."""

import unicodedata


def normal(phrase: str) -> str:
    """NFC (Unicode UAX 15), and nothing else: capitals, spaces and the order of words count as they were typed."""
    return unicodedata.normalize("NFC", phrase)
