"""What photos alone tell about space: where cameras stood, and how deep the scene is where several of them agree."""
