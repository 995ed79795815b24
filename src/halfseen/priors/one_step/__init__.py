"""Fixers: networks that repair a rendering in one step, given photos of the same scene."""
