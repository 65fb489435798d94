"""Fuzz targets, each with its invariant; `make soak` runs them."""
