"""Measures: tensors in, numbers out. Every number is named by what it is."""
