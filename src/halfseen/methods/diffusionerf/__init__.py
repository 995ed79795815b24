"""DiffusioNeRF (Wynn and Turmukhambetov, CVPR 2023): few views, pulled by the score of a patch diffusion prior."""
