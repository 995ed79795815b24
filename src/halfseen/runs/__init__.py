"""The folder of one reconstruction: configuration, inputs, events, checkpoints, and how to resume it."""
