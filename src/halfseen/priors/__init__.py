"""Learned priors: what a denoiser is, noise schedules, samplers, networks, the training loop and weights in folders.

Images here are [B, C, H, W] in [-1, 1]. Nothing here knows fields, and nothing needs a renderer: tensors in, tensors out.
"""
