"""Keeps a cut contact cut: what a listed person sends is sealed away and shown to nobody."""

__version__ = "0.1.0"
