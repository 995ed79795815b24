"""Radiance fields and how they are drawn. Fields live in the box of `data.normalise` and know no diffusion."""
