"""What the project set itself: (words, row, the row it is compared with, number, least difference); compared with none, the number itself.

Of numbers that are better when they are smaller, a difference is to be at most the one that is named.
"""

from __future__ import annotations

_SCENES = (
    ("classic over basic at 3 views, PSNR in dB", "plain classic", "plain basic", "psnr", 2.0),
    ("geometric + prior over plain basic, PSNR in dB", "geometric + prior", "plain basic", "psnr", 3.0),
    ("geometric + prior over geometric, PSNR in dB", "geometric + prior", "geometric", "psnr", 0.5),
    ("classic + prior over plain basic, PSNR in dB", "classic + prior", "plain basic", "psnr", 3.0),
    ("classic + prior over geometric, PSNR in dB", "classic + prior", "geometric", "psnr", 0.5),
    ("classic + prior over plain classic, PSNR in dB", "classic + prior", "plain classic", "psnr", 0.0),
    ("geometric + prior over geometric, PSNR in dB, objects alone", "geometric + prior", "geometric", "psnr of objects", 0.5),
    ("geometric + prior over geometric, PSNR in dB, scenes alone", "geometric + prior", "geometric", "psnr of scenes", 0.5),
    ("geometric + prior, depth error as a share of geometric's", "geometric + prior", "", "depth_of_base", 0.8),
    ("classic + prior over the tuned unsharp mask, normalised SWD", "classic + prior", "tuned unsharp mask", "swd_normalised", 0.0),
    ("classic + prior over matched noise, normalised SWD", "classic + prior", "matched noise", "swd_normalised", 0.0),
    *(
        aim
        for kind in ("hashgrid", "gaussians")
        for aim in (
            (f"Difix3D+ over its base, {kind}, PSNR in dB", f"plus, {kind}", f"base, {kind}", "psnr", 1.0),
            (f"Difix3D+ over its base before the same colour, {kind}, PSNR in dB", f"plus, {kind}", f"filled, {kind}", "psnr", 1.0),
            (f"Difix3D+, {kind}, SWD beyond the floor as a share of its base's", f"plus, {kind}", "", "swd_of_base", 0.5),
            (f"Difix3D+ over its base with the tuned unsharp mask, {kind}, SWD", f"plus, {kind}", f"tuned unsharp mask of base, {kind}", "swd", 0.0),
            (f"Difix3D+ over its base with matched noise, {kind}, SWD", f"plus, {kind}", f"matched noise of base, {kind}", "swd", 0.0),
            (f"progressive over at once, {kind}, PSNR in dB", f"progressive, {kind}", f"at-once, {kind}", "psnr", 0.0),
            (f"progressive over renders only, {kind}, colour error between views", f"progressive, {kind}", f"renders-only, {kind}", "reprojection_colour_error", 0.0),
            (f"Difix3D+ over renders only, {kind}, colour error between views", f"plus, {kind}", f"renders-only, {kind}", "reprojection_colour_error", 0.0),
        )
    ),
)  # fmt: skip
# Objects from one photo.
_ONE_PHOTO = (
    ("NGD, SWD beyond the floor as a share of feed-forward's", "ngd", "", "swd_of_base", 0.4),
    ("NGD, FLIP as a share of feed-forward's", "ngd", "", "flip_of_base", 0.9),
    ("NGD beside feed-forward, PSNR in dB", "ngd", "feedforward", "psnr", -0.3),
    ("NGD over feed-forward with the tuned unsharp mask, SWD", "ngd", "tuned unsharp mask of feedforward", "swd", 0.0),
    ("NGD over feed-forward with matched noise, SWD", "ngd", "matched noise of feedforward", "swd", 0.0),
    ("NGD over pixelNeRF, PSNR in dB, cars", "ngd", "pixelnerf", "psnr of cars", 0.5),
    ("NGD over pixelNeRF, PSNR in dB, chairs", "ngd", "pixelnerf", "psnr of chairs", 1.0),
    ("feed-forward over pixelNeRF, PSNR in dB, cars", "feedforward", "pixelnerf", "psnr of cars", 0.5),
    ("feed-forward over pixelNeRF, PSNR in dB, chairs", "feedforward", "pixelnerf", "psnr of chairs", 1.0),
    ("NGD, what views differ in from the field as a share of sample-then-fit's", "ngd", "", "residual_of_apart", 1 / 3),
)
# Objects from a few photos.
_FEW_PHOTOS = (
    ("SparseFusion over EFT, PSNR in dB", "sparsefusion", "eft", "psnr", 0.5),
    ("SparseFusion over VLDM, PSNR in dB", "sparsefusion", "vldm", "psnr", 1.8),
    ("SparseFusion over pixelNeRF, PSNR in dB", "sparsefusion", "pixelnerf", "psnr", 1.8),
    ("SparseFusion over plain classic, PSNR in dB", "sparsefusion", "plain classic", "psnr", 0.0),
    *((f"SparseFusion over {row}, FLIP", "sparsefusion", row, "flip", 0.0) for row in ("eft", "vldm", "pixelnerf", "plain classic")),
    ("SparseFusion over VLDM, colour error between views", "sparsefusion", "vldm", "reprojection_colour_error", 0.0),
    ("SparseFusion over the paper's full schedule, PSNR in dB", "sparsefusion", "paper's schedule", "psnr", 0.0),
)  # fmt: skip
# By the number of photos that they are of.
AIMS = {3: _SCENES, 1: _ONE_PHOTO, 2: _FEW_PHOTOS}
