"""Compiled loops of the fields (numba). Each has a slow twin of the same name in `fields/reference` and a parity test."""
