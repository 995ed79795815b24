"""Where the cameras of a few photos stood: the only door to COLMAP.

Two photos are placed by the essential matrix of their matches (five points, RANSAC), and what both show is triangulated; each further photo
by three points that it knows; then all is adjusted together. COLMAP's own limits expect dozens of photos: these are for a few.
A focal length that nobody knows is tried at several values: what places most photos, then most points, is kept.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfseen.common.signals import untouched

with untouched():
    import pycolmap

_DATABASE, _TRIED = "features.db", "tried.db"
_CPU = pycolmap.Device.cpu
# COLMAP says nothing below this level.
_FATAL = 3
# With more, features and sums come in another order every time, and the same photos get other cameras.
_THREADS = 1
# Of the points by which a photo is placed, the share that has to agree.
_RIGHT = 0.1
# Photos from which on they refine focal lengths: of two a length is not told from depth.
_REFINED = 3
# So many times as many observations another focal length has to have: the first is the likeliest.
_MORE = 1.1


@dataclass(frozen=True)
class Effort:
    """How hard it is tried."""

    features: int  # of a photo at most,
    peak: float  # and the least contrast of one
    affine: bool  # whether patches are told by their affine shape: wider baselines, three times the time
    ratio: float  # how much nearer the best match must be than the second
    matches: int  # of a pair that count at all, once they agree with one geometry
    first: int  # of the first pair,
    angle: float  # with this angle between its rays (degrees)
    known: int  # points by which a photo is placed
    thin: float  # least angle of a point (degrees)


EFFORTS = (
    Effort(4096, 0.0067, False, 0.8, 15, 40, 6.0, 15, 1.5),
    Effort(8192, 0.003, True, 0.85, 10, 16, 2.0, 8, 0.7),
)


@dataclass(frozen=True)
class Placed:
    """What came of some photos, by their numbers. The frame and its scale are COLMAP's own."""

    c2w: dict[int, np.ndarray]  # [4, 4] of those that could be placed
    focal: dict[int, float]  # in pixels of the pictures that were looked at
    xyz: np.ndarray  # [N, 3] points that two photos show
    seen: dict[int, np.ndarray]  # numbers of the points that each photo shows
    error: float  # mean distance of points from where they are seen, in pixels
    angle: float  # median over points of the widest angle between their rays, in degrees
    matches: np.ndarray  # [K, K] of pairs, that agree with one geometry
    doubt: float = math.inf  # rotations between photos differ by so much from those of the next best try, in degrees


def place(
    pictures: Sequence[Path], focals: Sequence[Sequence[float]], *, alike: bool, work: Path, seed: int
) -> Placed | None:
    """Place photos that lie in one folder. `focals` are tried one after the other: lengths (pixels) of each photo. `alike`: one camera took
    all of them. `work` is a folder for what lies between. None: not even two could be placed."""
    pycolmap.logging.minloglevel = _FATAL
    best, tries = None, []
    for number, effort in enumerate(EFFORTS):
        folder = work / str(number)
        folder.mkdir()
        _match(pictures, effort, alike, folder, seed)
        # A length that is known is tried twice, from other first pairs: tries that agree are worth more than one.
        for more, focal in enumerate(focals if len(focals) > 1 else [focals[0]] * 2):
            found = _placed(pictures, effort, focal, len(pictures) >= _REFINED, folder, seed + more)
            tries += [found] if found is not None else []
            best = _better(best, found)
        if best is not None and len(best.c2w) == len(pictures):
            break
    return None if best is None else replace(best, doubt=_doubt(best, tries))


def _doubt(best: Placed, tries: Sequence[Placed]) -> float:
    """What the rotations between photos differ by from those of the next best of the tries with as many photos, at the worst."""
    others = [t for t in tries if t is not best and set(t.c2w) == set(best.c2w)]
    if not others:
        return math.inf
    other = max(others, key=_observations)
    order = sorted(best.c2w)
    apart = []
    for n, i in enumerate(order):
        for j in order[n + 1 :]:
            a, b = (p.c2w[i][:3, :3].T @ p.c2w[j][:3, :3] for p in (best, other))
            apart.append(math.degrees(math.acos(min(1.0, max(-1.0, (np.trace(a.T @ b) - 1) / 2)))))
    return max(apart)


def _better(a: Placed | None, b: Placed | None) -> Placed | None:
    """The one with more photos, then with clearly more observations."""
    if a is None or b is None:
        return a or b
    if len(a.c2w) != len(b.c2w):
        return max(a, b, key=lambda p: len(p.c2w))
    return b if _observations(b) > _MORE * _observations(a) else a


def _observations(placed: Placed) -> int:
    return sum(map(len, placed.seen.values()))


def _match(pictures: Sequence[Path], effort: Effort, alike: bool, folder: Path, seed: int) -> None:
    """Features of all photos, and matches of all pairs."""
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.use_gpu, extraction.num_threads = False, _THREADS
    extraction.sift.max_num_features, extraction.sift.peak_threshold = effort.features, effort.peak
    extraction.sift.estimate_affine_shape = effort.affine
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "SIMPLE_PINHOLE"
    mode = pycolmap.CameraMode.SINGLE if alike else pycolmap.CameraMode.PER_IMAGE
    pycolmap.extract_features(
        folder / _DATABASE, pictures[0].parent, [p.name for p in pictures], mode, reader, extraction, _CPU
    )
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu, matching.num_threads, matching.guided_matching = False, _THREADS, True
    matching.sift.max_ratio = effort.ratio
    pycolmap.match_exhaustive(
        folder / _DATABASE, matching_options=matching, verification_options=_verification(effort, seed), device=_CPU
    )


def _verification(effort: Effort, seed: int) -> pycolmap.TwoViewGeometryOptions:
    out = pycolmap.TwoViewGeometryOptions()
    out.min_num_inliers, out.ransac.random_seed = effort.matches, seed
    return out


def _placed(
    pictures: Sequence[Path], effort: Effort, focal: Sequence[float], refines: bool, folder: Path, seed: int
) -> Placed | None:
    """The largest model with these focal lengths to begin with."""
    tried = folder / _TRIED
    shutil.copyfile(folder / _DATABASE, tried)
    length = dict(zip((p.name for p in pictures), focal, strict=True))
    with pycolmap.Database.open(tried) as database:
        for image in database.read_all_images():
            camera = database.read_camera(image.camera_id)
            camera.focal_length, camera.has_prior_focal_length = length[image.name], True
            database.update_camera(camera)
    verifier = pycolmap.GeometricVerifierOptions()
    verifier.num_threads = _THREADS
    pycolmap.geometric_verification(tried, verifier, two_view_geometry_options=_verification(effort, seed))
    models = folder / "models"
    models.mkdir(exist_ok=True)
    pycolmap.set_random_seed(seed)
    found = pycolmap.incremental_mapping(tried, pictures[0].parent, models, _mapping(effort, refines, seed))
    with pycolmap.Database.open(tried) as database:
        matches = _matches(database, pictures)
    models_found = [m for m in found.values() if m.num_reg_images() > 1]
    if not models_found:
        return None
    largest = max(models_found, key=lambda m: (m.num_reg_images(), m.num_points3D()))
    return _read(largest, pictures, matches)


def _mapping(effort: Effort, refines: bool, seed: int) -> pycolmap.IncrementalPipelineOptions:
    out = pycolmap.IncrementalPipelineOptions()
    out.min_model_size, out.multiple_models, out.extract_colors = 2, False, False
    out.min_num_matches, out.num_threads, out.random_seed = effort.matches, _THREADS, seed
    out.ba_refine_focal_length, out.ba_refine_extra_params = refines, False
    out.mapper.init_min_num_inliers, out.mapper.init_min_tri_angle = effort.first, effort.angle
    out.mapper.abs_pose_min_num_inliers, out.mapper.abs_pose_min_inlier_ratio = effort.known, _RIGHT
    out.mapper.abs_pose_refine_focal_length = False
    out.mapper.filter_min_tri_angle = out.triangulation.min_angle = effort.thin
    # Of few photos most points are seen by two.
    out.triangulation.ignore_two_view_tracks = False
    return out


def _matches(database: pycolmap.Database, pictures: Sequence[Path]) -> np.ndarray:
    number = {p.name: i for i, p in enumerate(pictures)}
    place = {image.image_id: number[image.name] for image in database.read_all_images()}
    out = np.zeros((len(pictures), len(pictures)), np.int64)
    for a, i in place.items():
        for b, j in place.items():
            if a < b and database.exists_two_view_geometry(a, b):
                out[i, j] = out[j, i] = len(database.read_two_view_geometry(a, b).inlier_matches)
    return out


def _read(model: pycolmap.Reconstruction, pictures: Sequence[Path], matches: np.ndarray) -> Placed:
    number = {p.name: i for i, p in enumerate(pictures)}
    points = sorted(model.points3D)
    at = {p: k for k, p in enumerate(points)}
    c2w, focal, seen = {}, {}, {}
    for image in model.images.values():
        if image.has_pose:
            i = number[image.name]
            c2w[i] = np.vstack([image.cam_from_world().inverse().matrix(), [0.0, 0.0, 0.0, 1.0]])
            focal[i] = float(model.cameras[image.camera_id].focal_length)
            seen[i] = np.unique([at[p.point3D_id] for p in image.points2D if p.has_point3D()]).astype(np.int64)
    xyz = np.array([model.points3D[p].xyz for p in points]).reshape(-1, 3)
    return Placed(c2w, focal, xyz, seen, model.compute_mean_reprojection_error(), _angle(c2w, xyz, seen), matches)


def _angle(c2w: dict[int, np.ndarray], xyz: np.ndarray, seen: dict[int, np.ndarray]) -> float:
    """Median over points of the widest angle between the rays that see them, in degrees."""
    least = np.ones(len(xyz))
    rays = {}
    for i, pose in c2w.items():
        away = xyz - pose[:3, 3]
        rays[i] = away / np.linalg.norm(away, axis=1, keepdims=True)
    order = sorted(c2w)
    for n, i in enumerate(order):
        for j in order[n + 1 :]:
            both = np.intersect1d(seen[i], seen[j])
            least[both] = np.minimum(least[both], (rays[i][both] * rays[j][both]).sum(1))
    return float(np.degrees(np.median(np.arccos(np.clip(least, -1, 1))))) if len(xyz) else 0.0
