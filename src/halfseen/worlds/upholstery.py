"""What chairs are made of and covered with."""

from __future__ import annotations

from halfseen.worlds import materials as M
from halfseen.worlds.draw import Draw
from halfseen.worlds.materials import Material


def chair_materials(draw: Draw) -> list[Material]:
    """Frame, seat, back, metal, pillow, rubber: in the order of `chair_parts`."""
    wood = draw.pick("wood", M.WOODS)
    painted = draw.chance("painted", 0.3)
    paint = draw.vary("paint", draw.pick("paint", M.GLAZES))
    frame = (
        Material(paint, gloss=0.3, sharpness=40, mirror=0.03, wear=0.2, seed=draw.texture_seed("f"))
        if painted
        else wooden(wood, draw, "frame")
    )
    return [
        frame,
        cover(draw.below("seat"), wood),
        cover(draw.below("seat" if draw.chance("same", 0.6) else "back"), wood),
        Material(draw.vary("metal", draw.pick("metal", M.METALS), 0.04), gloss=0.7, sharpness=60, mirror=0.22, grain=0.03),
        Material(draw.pick("pillow", M.CLOTHS), M.STRIPES, draw.pick("pillow b", M.CLOTHS), scale=0.07, p1=0.3, p2=1.0, p3=0.5, gloss=0.02),
        Material((0.06, 0.06, 0.065), gloss=0.1),
    ]  # fmt: skip


def wooden(wood: tuple[M.Rgb, M.Rgb], draw: Draw, name: str) -> Material:
    """A wood, a little different each time."""
    return Material(draw.vary(f"{name} a", wood[0], 0.05), M.WOOD, draw.vary(f"{name} b", wood[1], 0.04), scale=draw.number(f"{name} s", 0.08, 0.2), gloss=draw.number(f"{name} g", 0.1, 0.4), sharpness=35, mirror=0.02, grain=0.08, grain_scale=0.01, seed=draw.texture_seed(name), wear=draw.number(f"{name} w", 0, 0.3))  # fmt: skip


def cover(draw: Draw, wood: tuple[M.Rgb, M.Rgb]) -> Material:
    """Seat and back: cloth of several weaves, leather, wood, plastic."""
    kind = draw.pick("kind", ("weave", "weave", "leather", "wood", "stripes", "checks", "dots", "plastic", "knit"))
    a, b = draw.vary("a", draw.pick("a", M.CLOTHS)), draw.vary("b", draw.pick("b", M.CLOTHS))
    near = M.scaled(a, 0.8)
    seed = draw.texture_seed("s")
    match kind:
        case "weave":
            return Material(
                a,
                M.WEAVE,
                near,
                scale=draw.number("scale", 0.008, 0.02),
                gloss=0.02,
                grain=0.1,
                seed=seed,
            )
        case "leather":
            return Material(
                M.scaled(a, 0.7),
                M.SPECKLE,
                M.scaled(a, 0.6),
                M.scaled(a, 0.66),
                scale=0.006,
                gloss=0.35,
                sharpness=25,
                mirror=0.02,
                wear=0.3,
                seed=seed,
            )
        case "wood":
            return wooden(wood, draw, "board")
        case "stripes":
            return Material(
                a,
                M.STRIPES,
                b,
                scale=draw.number("scale", 0.03, 0.1),
                p1=draw.pick("x", (0.0, 1.0)),
                p2=draw.pick("y", (1.0, 0.4)),
                p3=draw.number("share", 0.2, 0.6),
                gloss=0.02,
                seed=seed,
            )
        case "checks":
            return Material(a, M.CHECKS, b, scale=draw.number("scale", 0.025, 0.08), gloss=0.02, grain=0.1, seed=seed)
        case "dots":
            return Material(a, M.DOTS, b, scale=draw.number("scale", 0.03, 0.08), gloss=0.02, seed=seed)
        case "knit":
            return Material(a, M.KNIT, b, scale=0.012, gloss=0.01, seed=seed)
        case _:
            return Material(
                draw.vary("plastic", draw.pick("plastic", M.GLAZES)),
                gloss=0.5,
                sharpness=70,
                mirror=0.04,
                grain=0.01,
                seed=seed,
            )
