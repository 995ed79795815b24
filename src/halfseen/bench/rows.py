"""What is compared: rows of claims, each a method with a variant, settings and a field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from halfseen.common.config import apply_overrides
from halfseen.common.errors import UserError, quote
from halfseen.methods.contract import Method
from halfseen.methods.diffusionerf.algorithm import METHOD as DIFFUSIONERF
from halfseen.methods.difix3d.algorithm import METHOD as DIFIX3D
from halfseen.methods.nerfdiff.algorithm import METHOD as NERFDIFF
from halfseen.methods.plain.algorithm import METHOD as PLAIN
from halfseen.methods.sparsefusion.algorithm import METHOD as SPARSEFUSION

METHODS: dict[str, Method] = {m.name: m for m in (PLAIN, DIFFUSIONERF, DIFIX3D, NERFDIFF, SPARSEFUSION)}


@dataclass(frozen=True)
class Row:
    """One way to rebuild a scene."""

    name: str
    method: str
    variant: str
    settings: tuple[str, ...] = ()  # as --set takes them
    field: str = ""  # empty: the method's first
    base: str = ""  # the row that it is to be read beside
    also: str = ""  # the row of the same fit, shown without the last pass: one fit serves both


PLAIN_ROWS = (Row("plain basic", "plain", "basic"), Row("plain classic", "plain", "classic"))
# The stages of Difix3D+ (table 4 of the paper), each with the one that is had from the same fit, for both kinds of field.
_STAGES = {"filled": "base", "base": "", "renders-only": "", "at-once": "", "plus": "progressive", "progressive": ""}
_DIFIX3D = tuple(
    Row(
        f"{stage}, {kind}",
        "difix3d",
        stage,
        field=kind,
        base="" if stage == "base" else f"base, {kind}",
        also=also and f"{also}, {kind}",
    )
    for kind in ("gaussians", "hashgrid")
    for stage, also in _STAGES.items()
)
# One photo at 64 px: what is distilled, without the refinement at the photo's own size, which is the same here.
_ALONE = ("refine=0",)
_NERFDIFF = (
    Row("pixelnerf", "nerfdiff", "pixelnerf"),
    Row("feedforward", "nerfdiff", "feedforward", base="pixelnerf"),
    *(Row(v, "nerfdiff", v, _ALONE, base="feedforward") for v in ("sample-then-fit", "sds", "ngd")),
)
_SPARSEFUSION = (
    Row("pixelnerf", "sparsefusion", "pixelnerf"),
    Row("eft", "sparsefusion", "eft", base="pixelnerf"),
    Row("vldm", "sparsefusion", "vldm", base="eft"),
    Row("sparsefusion", "sparsefusion", "distilled", base="eft"),
)
# Which of plain's rows are beside a method's. Nothing is fitted to one photo alone; without a prior two photos take all the help that there is.
_BESIDE = {"nerfdiff": (), "sparsefusion": PLAIN_ROWS[1:]}
# The rows of each method's claims, beside plain's.
ROWS: dict[str, tuple[Row, ...]] = {
    "plain": (),
    "diffusionerf": (
        Row("geometric", "diffusionerf", "geometric"),
        Row("geometric + prior", "diffusionerf", "geometric-prior", base="geometric"),
        Row("classic + prior", "diffusionerf", "prior"),
    ),
    "difix3d": _DIFIX3D,
    "nerfdiff": _NERFDIFF,
    "sparsefusion": _SPARSEFUSION,
}
_BASE = "geometric + prior"
_FOURFOLD = 4 * DIFFUSIONERF.variants["geometric-prior"].score.weight


def _changed(name: str, setting: str) -> Row:
    """The paper's method with one thing changed."""
    return Row(name, "diffusionerf", "geometric-prior", (setting,), base=_BASE)


def _guided(name: str, *settings: str) -> Row:
    """NGD with its guidance changed."""
    return Row(name, "nerfdiff", "ngd", (*_ALONE, *settings), base="ngd")


def _imagined(name: str, *settings: str) -> Row:
    """SparseFusion with its imagining changed."""
    return Row(name, "sparsefusion", "distilled", settings, base="sparsefusion")


# The released code's schedule: 1,000 steps on what the transformer shows, 2,000 views, each imagined from a time of its own.
_PAPERS = (
    "steps=3000",
    "bootstrap=0.3334",
    "refine=0",
    "imagining.schedule=fresh",
    "imagining.views=82",
    "imagining.first=0.99",
    "imagining.last=0",
    "imagining.sampler=ancestral-plms",
    "imagining.ground=black",
)
# What happens when one thing is changed.
ABLATIONS: dict[str, tuple[Row, ...]] = {
    "plain": (),
    "difix3d": (
        Row("per-step, gaussians", "difix3d", "per-step", field="gaussians", base="base, gaussians"),
        Row("per-step, hashgrid", "difix3d", "per-step", field="hashgrid", base="base, hashgrid"),
        # What asking at every step costs with a sampler of ten steps, which several of the paper's rivals have.
        Row("per-step of ten, gaussians", "difix3d", "per-step", ("passes=10",), "gaussians", base="plus, gaussians"),
    ),
    "nerfdiff": (
        _guided("no guidance (gamma 0)", "guidance.blend=0"),
        _guided("order pre, blend 0.9", "guidance.blend=0.9", "guidance.order=pre"),
        _guided("order literal, blend 0.9", "guidance.blend=0.9", "guidance.order=literal"),
        _guided("blend by gamma 10", "guidance.gamma=10"),
        _guided("whole noise (temperature 1)", "guidance.temperature=1"),
        _guided("noise of each view", "guidance.shared_noise=false"),
        _guided("photo not pinned", "guidance.pin_source=false"),
        Row("diffusion only", "nerfdiff", "diffusion-only", base="feedforward"),
        Row("ngd, gaussians", "nerfdiff", "ngd", field="gaussians", base="ngd"),
        Row("ngd, hashgrid", "nerfdiff", "ngd", field="hashgrid", base="ngd"),
    ),
    "sparsefusion": (
        Row("paper's schedule", "sparsefusion", "distilled", _PAPERS, base="sparsefusion"),
        _imagined("views over black", "imagining.ground=black"),
        _imagined("fine levels from the start", "fit.hashgrid.coarse_to_fine=0"),
        _imagined("in latents", "imagining.space=latent"),
        _imagined("no bootstrap", "bootstrap=0"),
        _imagined("rounds without a last word", "refine=0"),
        _imagined("guided twice as much", "imagining.guidance=2"),
        Row("sparsefusion, gaussians", "sparsefusion", "distilled", field="gaussians", base="sparsefusion"),
        Row("sparsefusion, triplane", "sparsefusion", "distilled", field="triplane", base="sparsefusion"),
    ),
    "diffusionerf": (
        _changed("pulled at colours only", "pulls=colour"),
        _changed("patches of 48", "patches.side=48"),
        _changed("pulled four times as hard", f"score.weight={_FOURFOLD}"),
        _changed("no patches of photos", "patches.from_photos=0"),
        _changed("tau 0 throughout", "score.tau=0"),
        Row("plain classic, gaussians", "plain", "classic", field="gaussians", base="plain classic"),
        Row("geometric, gaussians", "diffusionerf", "geometric", field="gaussians"),
        Row(
            "geometric + prior, gaussians",
            "diffusionerf",
            "geometric-prior",
            field="gaussians",
            base="geometric, gaussians",
        ),
        Row("classic + prior, gaussians", "diffusionerf", "prior", field="gaussians", base="plain classic, gaussians"),
    ),
}


def of_method(method: str) -> tuple[Row, ...]:
    """The rows of a method's claims: plain's, and its own."""
    own = ROWS[known(method)]
    return _BESIDE.get(method, PLAIN_ROWS) + own


def also_of(row: Row) -> Row | None:
    """The other row that a row's fit serves."""
    return {r.name: r for r in ROWS[row.method]}[row.also] if row.also else None


def known(method: str) -> str:
    """The name of a method that has claims."""
    if method not in METHODS:
        raise UserError(
            "no claims of this method", got=quote(method), accepted=", ".join(METHODS), do="Change --method."
        )
    return method


def parse(text: str) -> Row:
    """A user's own row: NAME=METHOD/VARIANT[/FIELD][,SETTING=VALUE ...]."""
    name, _, what = text.partition("=")
    way, *settings = what.split(",")
    method, variant, field = [*way.split("/"), "", ""][:3]
    if not name or method not in METHODS or variant not in METHODS[method].variants or way.count("/") > 2:
        accepted = "; ".join(f"NAME={m.name}/{v}" for m in METHODS.values() for v in m.variants)
        raise UserError(
            "--row cannot be read", got=quote(text), accepted=f"{accepted}, then commas and settings", do="Correct it."
        )
    if field and field not in METHODS[method].fields:
        accepted = ", ".join(METHODS[method].fields)
        raise UserError("--row names no field", got=quote(field), accepted=accepted, do="Correct it.")
    row = Row(name, method, variant, tuple(settings), field, base=PLAIN_ROWS[-1].name)
    config_of(row, 1)
    return row


def config_of(row: Row, steps: int) -> Any:
    """The config of a row, with so many steps."""
    variants = METHODS[row.method].variants
    return apply_overrides(replace(variants[row.variant], steps=steps), row.settings)


def field_of(row: Row) -> str:
    """The kind of field that a row fits."""
    return row.field or METHODS[row.method].fields[0]
