"""What each of two processes runs in a test of training together; not a test by itself."""

import sys
from pathlib import Path

from test_prior_training import TinyTask, tiny_config

from halfseen.priors import training

if __name__ == "__main__":
    config = tiny_config()
    for _ in training.train(TinyTask(config), config.loop, Path(sys.argv[1]), accel=training.accelerator("cpu")):
        pass
