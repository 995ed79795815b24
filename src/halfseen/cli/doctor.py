"""`halfseen doctor`: the environment, a small speed test, and what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import time
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("torch", "numpy", "numba", "pillow", "safetensors", "tyro", "imageio-ffmpeg")
_OPTIONAL = (("pillow_heif", "HEIC photos: pip install pillow-heif"),)
# What works only with files that the user names.
_BY_PATH = (("LPIPS", "weights of AlexNet or VGG16 and of its heads"), ("FID, KID", "weights of Inception"))
_POLICY = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "NUMBA_THREADING_LAYER")
_MATRIX, _REPEATS = 1024, 5
_ROW = "  {:<22} {}"


@dataclass(frozen=True)
class Doctor:
    """Print the environment, a small speed test, and what is missing for which feature."""

    def run(self) -> None:
        import torch

        from halfseen import __version__
        from halfseen.bench.speed import bandwidth
        from halfseen.common import jit
        from halfseen.common.processor import bf16_is_fast

        print(_ROW.format("halfseen", __version__))
        print(_ROW.format("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"))
        for name in _PACKAGES:
            print(_ROW.format(name, metadata.version(name)))
        print(_ROW.format("cores, torch threads", f"{os.cpu_count()}, {torch.get_num_threads()}"))
        print(
            _ROW.format(
                "bfloat16 on this CPU", "fast" if bf16_is_fast(torch.device("cpu")) else "slow (float32 is used)"
            )
        )
        print(
            _ROW.format("GPU", torch.cuda.get_device_name() if torch.cuda.is_available() else "none; the CPU is used")
        )
        print(_ROW.format("thread policy", ", ".join(f"{n}={os.environ.get(n, 'not set')}" for n in _POLICY)))
        print(_ROW.format("free disk here", f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB"))
        print(_ROW.format("matrix product", f"{_speed():.0f} GFLOP/s"))
        print(_ROW.format("memory", f"{bandwidth() / 1e9:.0f} GB/s read and written"))
        state = "empty; the first fit compiles them" if jit.is_cold() else "filled"
        print(_ROW.format("compiled kernels", f"{jit.cache_folder()} ({state})"))
        for name, what in _BY_PATH:
            print(_ROW.format(name, f"not shipped; needs {what} by path (halfseen.metrics)"))
        for module, what in _OPTIONAL:
            print(_ROW.format(module, "installed" if find_spec(module) else f"missing; {what}"))


def _speed() -> float:
    import torch

    a = torch.ones(_MATRIX, _MATRIX)
    a @ a
    start = time.perf_counter()
    for _ in range(_REPEATS):
        a @ a
    return 2 * _MATRIX**3 * _REPEATS / (time.perf_counter() - start) / 1e9
