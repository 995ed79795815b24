"""One network a file, each with its frozen config. They take noisy pictures and say what they say; `Denoiser`s are made of them."""
