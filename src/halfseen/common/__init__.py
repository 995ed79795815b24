"""Ground floor: errors, files, configuration, checkpoints, randomness, threads. Knows nothing of cameras or diffusion."""
