"""The slow twins of `fields/kernels` in plain torch: what the fast ones must agree with, and what runs on other devices."""
