"""`halfseen data make | render`: captures of worlds and of users' meshes, written in any format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from halfseen.cli import making
from halfseen.common.errors import UserError, quote
from halfseen.common.files import sha256

if TYPE_CHECKING:
    from halfseen.cli.making import Made
    from halfseen.worlds.sample import Imperfect

_MAX_SIZE = 4096
# Degrees and stops: beyond this nothing can be made of a capture.
_MAX_NOISE = 10
_VIEWS = 50
# Views that a layout has by its nature.
_FIXED_VIEWS = {"srn-test": 251}


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
    views: int | None = None
    """Pictures of each member (default: 50; the 251 of srn-test)."""
    cameras: str | None = None
    """orbit (a level circle), sphere and hemisphere (random directions), srn-test (SRN's spiral), wide (few, far apart), forward
    (side by side, looking one way), walk-a and walk-b (two ways through one place), drive (a rig of three along a street);
    default: the family's own."""
    layout: str = "transforms"
    """The format: transforms, srn, colmap, colmap-text, llff, rgbd, co3d, photos, video."""
    purpose: Literal["train", "validation", "claims"] = "train"
    """Which seeds; the ranges never overlap."""
    first: int = 0
    """Number of the first member."""
    pose_noise: float = 0.0
    """Standard deviation of errors in the stated poses, in degrees (and hundredths of a unit)."""
    exposure: float = 0.0
    """Standard deviation of brightness between pictures, in stops."""
    photo_like: bool = False
    """Pictures as a phone would take them: white balance, tone curve, defocus, noise, JPEG."""
    mesh: bool = False
    """Also write the true surface, mesh.ply."""
    visibility: bool = False
    """Also write visibility/000.png ...: for each pixel of each view, how many of the views see that point (16 bits)."""
    workers: int | None = None
    """Processes (default: one for each core)."""

    def run(self) -> None:
        from halfseen.worlds import families, layouts, seeds

        family = families.by_name(self.family)
        views = _views(self.views, self.cameras, layouts.LAYOUTS)
        _check_range("--size", self.size, 8, _MAX_SIZE)
        if family.background == "white":
            _check_object_cameras(self.cameras)
        elif self.cameras in layouts.AROUND_OBJECTS:
            raise UserError(
                f"{family.name} has a ground, below which these cameras would stand",
                got=self.cameras or "",
                accepted=", ".join(sorted(set(layouts.LAYOUTS) - layouts.AROUND_OBJECTS)),
                do="Choose one of these.",
            )
        _check_range("--objects", self.objects, 1, seeds.RANGES[self.purpose][1])
        _check_range("--first", self.first, 0, seeds.RANGES[self.purpose][1] - self.objects)
        flaws = _flaws(self.pose_noise, self.exposure, self.photo_like)
        members = [seeds.seed_of(self.purpose, self.first + i) for i in range(self.objects)]
        jobs = {f"{family.name}-{seed:010d}": seed for seed in members}
        work = partial(_make_one, family.name, self.cameras, views, self.size, flaws)
        asked = {"views": views, "size": self.size, "cameras": self.cameras or family.layout, **_flaw_facts(flaws)}
        making.run(work, jobs, making.Order(self.out, self.layout, self.mesh, self.visibility, self.workers, asked))


@dataclass(frozen=True)
class DataRender:
    """Render your own meshes (.glb .gltf .obj .ply .stl, or scene.json with placements) as captures."""

    meshes: tyro.conf.Positional[Path]
    """A mesh file, or a folder of meshes or scenes."""
    out: Path
    """A folder for the captures; objects that are there already are kept."""
    views: int | None = None
    """Pictures of each object (default: 50; the 251 of srn-test)."""
    size: int = 128
    """Width and height of the pictures."""
    cameras: str = "sphere"
    """orbit, sphere, hemisphere, srn-test, wide or forward."""
    layout: str = "srn"
    """The format: srn, transforms, colmap, colmap-text, llff, rgbd, co3d, photos, video."""
    up: Literal["auto", "y", "z"] = "auto"
    """Which axis points up (auto: y for glTF and OBJ, z for PLY and STL)."""
    seed: int = 0
    """Seed of the cameras."""
    pose_noise: float = 0.0
    """Standard deviation of errors in the stated poses, in degrees (and hundredths of a unit)."""
    exposure: float = 0.0
    """Standard deviation of brightness between pictures, in stops."""
    photo_like: bool = False
    """Pictures as a phone would take them: white balance, tone curve, defocus, noise, JPEG."""
    mesh: bool = False
    """Also write the surface as it was rendered, mesh.ply."""
    visibility: bool = False
    """Also write visibility/000.png ...: for each pixel of each view, how many of the views see that point (16 bits)."""
    workers: int | None = None
    """Processes (default: one for each core)."""

    def run(self) -> None:
        from halfseen.worlds import layouts

        views = _views(self.views, self.cameras, layouts.LAYOUTS)
        _check_object_cameras(self.cameras)
        _check_range("--size", self.size, 8, _MAX_SIZE)
        flaws = _flaws(self.pose_noise, self.exposure, self.photo_like)
        jobs = _mesh_jobs(self.meshes)
        work = partial(_render_one, self.up, self.cameras, views, self.size, flaws, self.seed)
        asked = {"views": views, "size": self.size, "cameras": self.cameras, "up": self.up, "seed": self.seed}
        asked |= _flaw_facts(flaws)
        making.run(
            work, jobs, making.Order(self.out, self.layout, self.mesh, self.visibility, self.workers, asked, _source)
        )


def _source(job: tuple[str, Path]) -> dict[str, object]:
    return {"source_sha256": sha256(job[1])}


def _mesh_jobs(meshes: Path) -> dict[str, tuple[str, Path]]:
    """A name for each mesh or scene below a path."""
    from halfseen.worlds import mesh_reader, user_meshes

    files = user_meshes.find(meshes) if meshes.exists() else []
    if not files:
        accepted = ", ".join(mesh_reader.SUFFIXES) + " or scene.json"
        raise UserError("no mesh found", got=quote(str(meshes)), accepted=accepted, do="Check the path.")
    root = meshes if meshes.is_dir() else meshes.parent
    names = [_job_name(path, root) for path in files]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UserError(
            "two meshes would be written to one folder",
            got=quote(twice[0]),
            accepted="one name each",
            do="Rename one.",
        )
    if meshes.is_dir() and files[0].name == user_meshes.SCENE:
        beside = len(user_meshes.loose(meshes))
        print(
            f"{len(files)} scenes are rendered; the {beside} mesh files here are taken as their parts, not one by one"
        )
    return {name: (name, path) for name, path in zip(names, files, strict=True)}


def _job_name(path: Path, root: Path) -> str:
    from halfseen.worlds.user_meshes import SCENE

    name = path.resolve().parent.name if path.name == SCENE else path.relative_to(root).with_suffix("").as_posix()
    return name.replace("/", "-")


def _views(views: int | None, cameras: str | None, known: Mapping[str, object]) -> int:
    """The number of pictures, once it and the camera layout are possible."""
    if cameras is not None and cameras not in known:
        raise UserError(
            "the camera layout is not known", got=quote(cameras), accepted=", ".join(known), do="Choose one of these."
        )
    fixed = _FIXED_VIEWS.get(cameras or "")
    if views is None:
        return fixed or _VIEWS
    _check_range("--views", views, 1, fixed or float("inf"))
    return views


def _check_object_cameras(cameras: str | None) -> None:
    from halfseen.worlds import layouts

    if cameras in layouts.TOGETHER:
        raise UserError(
            "an object alone on white cannot be driven through",
            got=cameras or "",
            accepted=", ".join(sorted(set(layouts.LAYOUTS) - set(layouts.TOGETHER))),
            do="Choose one of these.",
        )


def _check_range(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        accepted = f"{low} to {high}" if high < float("inf") else f"{low} or more"
        raise UserError(f"{option} is out of range", got=str(value), accepted=accepted, do="Change it.")


def _flaws(pose_noise: float, exposure: float, photo_like: bool) -> Imperfect:
    from halfseen.worlds.corrupt import Camera
    from halfseen.worlds.sample import Imperfect

    _check_range("--pose-noise", pose_noise, 0, _MAX_NOISE)
    _check_range("--exposure", exposure, 0, _MAX_NOISE)
    return Imperfect(pose_noise, pose_noise / 100, exposure, Camera() if photo_like else None)


def _flaw_facts(flaws: Imperfect) -> dict[str, object]:
    return {
        "pose_noise_degrees": flaws.pose_degrees,
        "pose_noise_units": flaws.pose_distance,
        "exposure_stops": flaws.exposure,
        "photo_like": None if flaws.photo is None else asdict(flaws.photo),
    }


def _make_one(family: str, cameras: str | None, views: int, size: int, flaws: Imperfect, seed: int) -> Made:
    from halfseen.worlds import families, sample

    chosen = families.by_name(family)
    shape = (size, size) if chosen.background == "white" else (size, round(0.75 * size))
    shot = sample.shoot(chosen, seed, layout=cameras, views=views, size=shape, imperfect=flaws)
    facts = {
        "family": family,
        "seed": seed,
        "cameras": cameras or chosen.layout,
        "background": chosen.background,
        **_flaw_facts(flaws),
    }
    return making.Made(shot, facts)


def _render_one(
    up: Literal["auto", "y", "z"],
    cameras: str,
    views: int,
    size: int,
    flaws: Imperfect,
    seed: int,
    job: tuple[str, Path],
) -> Made:
    from halfseen.common.rng import derive_seed
    from halfseen.worlds import sample, user_meshes

    name, path = job
    loaded = user_meshes.load(path, up)
    # Each object has cameras of its own, the same in every run.
    own_seed = derive_seed(seed, name)
    facts = {
        "source": path.name,
        "up_in_file": up,
        "frame": "z up; x = scale * (x_of_the_file_turned_upright - centre)",
        "centre": list(loaded.centre),
        "scale": loaded.scale,
        "cameras": cameras,
        "seed": seed,
        "camera_seed": own_seed,
        **_flaw_facts(flaws),
    }
    shot = sample.shoot_model(loaded.model, cameras, views, (size, size), own_seed, flaws)
    return making.Made(shot, facts, tuple(loaded.notes))
