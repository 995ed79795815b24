"""What every fit to photos is made of: rays and whole pictures, losses, depth from stereo, its state, its cost. Methods add to it."""
