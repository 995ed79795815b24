"""Pictures: files to float32 RGB in [0, 1] as [H, W, C] and back, colour, resizing, resampling. Knows no cameras."""
