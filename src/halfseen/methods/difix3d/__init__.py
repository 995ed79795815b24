"""Difix3D+ (Wu et al., CVPR 2025): a network that repairs renderings in one step, and teaches the repair back to the scene."""
