"""Data that we make ourselves: exact cameras, depth and masks, endless by seed. Nothing outside is needed or shipped."""
