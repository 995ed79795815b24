"""Cameras, rays, similarities and camera paths. OpenCV axes inside; `convert` is the only module that flips them."""
