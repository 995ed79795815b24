"""What leaves: rendered frames, videos, contact sheets. Everything is in the user's own frame and scale."""
