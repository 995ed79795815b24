"""`halfseen data make | render`: captures of worlds and of users' meshes, written in any format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from halfseen.cli.progress import Progress
from halfseen.common.errors import UserError, quote
from halfseen.common.threads import one_thread

if TYPE_CHECKING:
    from halfseen.data.capture import Capture
    from halfseen.worlds.mesh import Mesh

_MAX_SIZE = 4096
# Degrees and stops: beyond this nothing can be made of a capture.
_MAX_NOISE = 10


@dataclass(frozen=True)
class DataMake:
    """Make captures of worlds: one folder for each member of a family."""

    family: tyro.conf.Positional[str]
    """cars, chairs, tabletop, clevr, rooms or outdoor."""
    out: Path
    """A folder for the captures; members that are there already are kept."""
    objects: int = 1
    """How many members."""
    size: int = 128
    """Width of the pictures; rooms, streets and clevr are 4:3."""
    views: int = 50
    """Pictures of each member."""
    cameras: str | None = None
    """orbit, sphere, hemisphere, srn-test, wide, forward, walk-a, walk-b or drive (default: the family's own)."""
    layout: str = "transforms"
    """The format: transforms, srn, colmap, colmap-text, llff, rgbd."""
    purpose: Literal["train", "validation", "claims"] = "train"
    """Which seeds; the ranges never overlap."""
    first: int = 0
    """Number of the first member."""
    pose_noise: float = 0.0
    """Standard deviation of errors in the stated poses, in degrees (and hundredths of a unit)."""
    exposure: float = 0.0
    """Standard deviation of brightness between pictures, in stops."""
    mesh: bool = False
    """Also write the true surface, mesh.ply."""
    workers: int | None = None
    """Processes (default: one for each core)."""

    def run(self) -> None:
        from halfseen.worlds import families, layouts, seeds

        family = families.by_name(self.family)
        _check(self.size, self.views, self.cameras, layouts.LAYOUTS)
        if family.background != "white" and self.cameras in layouts.AROUND_OBJECTS:
            raise UserError(
                f"{family.name} has a ground, below which these cameras would stand",
                got=self.cameras or "",
                accepted=", ".join(sorted(set(layouts.LAYOUTS) - layouts.AROUND_OBJECTS)),
                do="Choose one of these.",
            )
        _check_range("--pose-noise", self.pose_noise, 0, _MAX_NOISE)
        _check_range("--exposure", self.exposure, 0, _MAX_NOISE)
        _check_range("--objects", self.objects, 1, seeds.RANGES[self.purpose][1])
        _check_range("--first", self.first, 0, seeds.RANGES[self.purpose][1] - self.objects)
        seed_of = partial(seeds.seed_of, self.purpose)
        jobs = {f"{family.name}-{seed_of(self.first + i):010d}": seed_of(self.first + i) for i in range(self.objects)}
        work = partial(_make_one, family.name, self.cameras, self.views, self.size, self.pose_noise, self.exposure)
        _run(work, jobs, self.out, self.layout, self.mesh, self.workers)


@dataclass(frozen=True)
class DataRender:
    """Render your own meshes (.glb .gltf .obj .ply .stl, or scene.json with placements) as captures."""

    meshes: tyro.conf.Positional[Path]
    """A mesh file, or a folder of meshes or scenes."""
    out: Path
    """A folder for the captures; objects that are there already are kept."""
    views: int = 50
    """Pictures of each object."""
    size: int = 128
    """Width and height of the pictures."""
    cameras: str = "sphere"
    """orbit, sphere, hemisphere, srn-test, wide or forward."""
    layout: str = "srn"
    """The format: srn, transforms, colmap, colmap-text, llff, rgbd."""
    up: Literal["auto", "y", "z"] = "auto"
    """Which axis points up (auto: y for glTF and OBJ, z for PLY and STL)."""
    seed: int = 0
    """Seed of the cameras."""
    mesh: bool = False
    """Also write the surface as it was rendered, mesh.ply."""
    workers: int | None = None
    """Processes (default: one for each core)."""

    def run(self) -> None:
        from halfseen.worlds import layouts, user_meshes

        _check(self.size, self.views, self.cameras, layouts.LAYOUTS)
        files = user_meshes.find(self.meshes) if self.meshes.exists() else []
        if not files:
            accepted = ", ".join(user_meshes.SUFFIXES) + " or scene.json"
            raise UserError("no mesh found", got=quote(str(self.meshes)), accepted=accepted, do="Check the path.")
        root = self.meshes if self.meshes.is_dir() else self.meshes.parent
        names = [_job_name(path, root) for path in files]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise UserError(
                "two meshes would be written to one folder",
                got=quote(twice[0]),
                accepted="one name each",
                do="Rename one.",
            )
        jobs = dict(zip(names, files, strict=True))
        work = partial(_render_one, self.up, self.cameras, self.views, self.size, self.seed)
        _run(work, jobs, self.out, self.layout, self.mesh, self.workers)


def _job_name(path: Path, root: Path) -> str:
    name = (
        path.resolve().parent.name if path.name == "scene.json" else path.relative_to(root).with_suffix("").as_posix()
    )
    return name.replace("/", "-")


def _check(size: int, views: int, cameras: str | None, known: Mapping[str, object]) -> None:
    if cameras is not None and cameras not in known:
        raise UserError(
            "the camera layout is not known", got=quote(cameras), accepted=", ".join(known), do="Choose one of these."
        )
    if not 8 <= size <= _MAX_SIZE or views < 1:
        raise UserError(
            "--size or --views is out of range",
            got=f"{size}, {views}",
            accepted=f"8 to {_MAX_SIZE}, 1 or more",
            do="Change it.",
        )


def _check_range(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UserError(f"{option} is out of range", got=str(value), accepted=f"{low} to {high}", do="Change it.")


def _make_one(
    family: str, cameras: str | None, views: int, size: int, pose_noise: float, exposure: float, seed: int
) -> tuple[Capture, Mesh]:
    from halfseen.worlds import families, sample

    chosen = families.by_name(family)
    shape = (size, size) if chosen.background == "white" else (size, round(0.75 * size))
    flaws = sample.Imperfect(pose_noise, pose_noise / 100, exposure)
    capture = sample.capture(chosen, seed, layout=cameras, views=views, size=shape, imperfect=flaws)
    return capture, chosen.make(seed).mesh


def _render_one(
    up: Literal["auto", "y", "z"], cameras: str, views: int, size: int, seed: int, path: Path
) -> tuple[Capture, Mesh]:
    from halfseen.common.rng import derive_seed
    from halfseen.worlds import sample, user_meshes

    model = user_meshes.load(path, up).model
    # Each object has cameras of its own, the same in every run.
    return sample.capture_of(model, cameras, views, (size, size), derive_seed(seed, path.stem)), model.mesh


def _write_one(
    work: Callable[..., tuple[Capture, Mesh]], job: object, folder: Path, layout: str, mesh: bool
) -> list[str]:
    """Make one capture and write it, and say what the format could not hold; runs in workers."""
    from halfseen.common.files import new_folder
    from halfseen.data import formats
    from halfseen.worlds import mesh_file

    capture, surface = work(job)
    with new_folder(folder) as partial_folder:
        lost = formats.by_name(layout).write(capture, partial_folder)
        if mesh:
            mesh_file.write(surface, partial_folder / "mesh.ply")
    return lost


def _run(
    work: Callable[..., tuple[Capture, Mesh]],
    jobs: Mapping[str, object],
    out: Path,
    layout: str,
    mesh: bool,
    workers: int | None,
) -> None:
    """Do all jobs that are not done yet, in as many processes as there are cores."""
    from halfseen.data import formats

    formats.by_name(layout)
    waiting = {name: job for name, job in jobs.items() if not (out / name).exists()}
    progress = Progress("making captures")
    lost: dict[str, None] = {}
    for done, sentences in enumerate(_each(work, waiting, out, layout, mesh, workers), 1):
        lost.update(dict.fromkeys(sentences))
        progress.update(done, len(waiting))
    kept = len(jobs) - len(waiting)
    print(f"{len(waiting)} captures in {out} as {layout}" + (f"; {kept} were there already" if kept else ""))
    for sentence in lost:
        print(f"  lost: {sentence}")


def _each(
    work: Callable[..., tuple[Capture, Mesh]],
    waiting: Mapping[str, object],
    out: Path,
    layout: str,
    mesh: bool,
    workers: int | None,
) -> Iterator[list[str]]:
    count = min(workers if workers is not None else os.cpu_count() or 1, len(waiting))
    if count <= 1:
        for name, job in waiting.items():
            yield _write_one(work, job, out / name, layout, mesh)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        futures = [pool.submit(_write_one, work, job, out / name, layout, mesh) for name, job in waiting.items()]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
