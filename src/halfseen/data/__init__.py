"""Captures: views, bounds, splits. One file per format, each reading and writing; `formats` is the table of them."""
