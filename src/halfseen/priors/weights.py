"""Trained priors as folders: model.safetensors (half precision), config.json and a model card, README.md. Nothing in them is executed.

A name means a folder that came with the package; then a path; then OWNER/NAME of a repository on the Hugging Face hub, of which these
three files alone are fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfseen.common.errors import UserError, quote
from halfseen.common.files import new_folder, sha256, write_text
from halfseen.common.jsonfile import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor, nn

MODEL, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
PACKAGED = Path(__file__).parent / "shipped"
SCHEMA = 1
# What may be a repository on the hub.
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
# What is fetched of, and found in, folders of Difix's published weights: no code.
DIFIX_FILES = (
    "vae/config.json", "vae/diffusion_pytorch_model.safetensors", "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors", "prompt.safetensors", "tokenizer/*.json", "tokenizer/*.txt",
    "text_encoder/config.json", "text_encoder/model.safetensors", "model_index.json",
)  # fmt: skip
_NEEDED = 4
_DIFIX = ("nvidia/difix", "nvidia/difix_ref")
# Checkpoints of Difix's released trainer; they lie in the folder that they were trained from.
CHECKPOINT = ".pkl"
# A prior of others comes as one file instead of a folder.
FOREIGN = (".pt", ".pth")


@dataclass(frozen=True)
class Stored:
    """What a folder of weights holds."""

    folder: Path
    config: Mapping[str, Any]  # name, role, recipe, recipe's config, step, samples
    weights: Mapping[str, Tensor]  # network.parameter, in half precision


def save(folder: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any], card: str) -> None:
    """Write a folder, whole or not at all, in half precision."""
    from safetensors.torch import save_file

    half = {k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in weights.items()}
    with new_folder(folder) as partial:
        save_file(half, str(partial / MODEL))
        write_json(partial / CONFIG, {"schema": SCHEMA, **config})
        write_text(partial / CARD, card)


def load(name_or_path: str | Path) -> Stored:
    """Read a folder by the name of a shipped prior or by path."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = find(name_or_path)
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("schema") != SCHEMA or not isinstance(config.get("recipe"), str):
        raise UserError(
            f"{quote(str(folder / CONFIG))} does not describe a prior",
            got=f"schema {config.get('schema')!r}" if isinstance(config, dict) else "no object",
            accepted=f"schema {SCHEMA} with a recipe, as halfseen prior train writes it",
            do="Give a folder of a trained prior.",
        )
    try:
        weights = load_file(str(folder / MODEL))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"weights {quote(str(folder / MODEL))} cannot be read",
            got=str(error),
            accepted="a whole safetensors file",
            do="Copy or train the prior again.",
        ) from error
    return Stored(folder, config, weights)


def load_for(name_or_path: str | Path, role: str) -> Stored:
    """`load`, of a prior that has this role."""
    stored = load(name_or_path)
    if stored.config.get("role") != role:
        raise UserError(
            f"{quote(str(name_or_path))} is a prior of another role",
            got=f"role {stored.config.get('role')!r}",
            accepted=f"a prior of role {role!r}",
            do="Give another prior.",
        )
    return stored


def fill(networks: Mapping[str, nn.Module], stored: Stored) -> None:
    """Put weights into networks that are only used from here on."""
    for name, net in networks.items():
        own = {k.removeprefix(f"{name}."): v.float() for k, v in stored.weights.items() if k.startswith(f"{name}.")}
        try:
            net.load_state_dict(own)
        except RuntimeError as error:
            raise UserError(
                f"the weights in {quote(str(stored.folder))} do not fit their own description",
                got=str(error).splitlines()[0],
                accepted="weights of the network that config.json describes",
                do="Copy or train the prior again.",
            ) from error
        net.train(False).requires_grad_(requires_grad=False)


def find(name_or_path: str | Path) -> Path:
    """The folder of a shipped prior's name, of a path, or of a repository on the hub."""
    shipped = shipped_names()
    if str(name_or_path) in shipped:
        return PACKAGED / str(name_or_path)
    folder = Path(name_or_path)
    if (folder / CONFIG).is_file():
        return folder
    if _HUB_ID.fullmatch(str(name_or_path)) and not folder.exists():
        return fetched(str(name_or_path), [CONFIG, MODEL, CARD])
    raise UserError(
        f"no prior {quote(str(name_or_path))} is here",
        got="neither the name of a shipped prior nor a folder with config.json",
        accepted=", ".join(shipped) or "a folder written by halfseen prior train",
        do="Correct the name, or train one with halfseen prior train.",
    )


def difix_folder(name_or_path: str | Path) -> Path | None:
    """The folder of weights in Difix's layout that a name or path means: itself, the one that a checkpoint of the released trainer lies
    in, or one of Difix's repositories, which is fetched. None for anything else."""
    path = Path(name_or_path)
    if str(name_or_path) in _DIFIX and not path.exists():
        return fetched(str(name_or_path), DIFIX_FILES)
    folder = path.parent if path.suffix == CHECKPOINT else path
    return folder if all((folder / name).is_file() for name in DIFIX_FILES[:_NEEDED]) else None


def fetched(repository: str, files: Sequence[str]) -> Path:
    """The folder of a repository on the hub, of which these files are fetched once into the hub's own cache. No code is among them."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        folder = Path(snapshot_download(repository, allow_patterns=list(files)))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise UserError(
            f"no prior {quote(repository)} is here, and it cannot be fetched",
            got=str(error).splitlines()[0],
            accepted="a shipped prior, a folder, or OWNER/NAME of a repository on the Hugging Face hub that can be reached",
            do="Correct the name, or fetch the repository elsewhere and give its folder.",
        ) from error
    if not (folder / files[0]).is_file():
        raise UserError(
            f"the repository {quote(repository)} holds no prior",
            got=f"no {files[0]}",
            accepted=", ".join(files),
            do="Name another one.",
        )
    return folder


def file_of(name_or_path: str | Path) -> Path:
    """The file that holds a prior's weights."""
    path = Path(name_or_path)
    difix = difix_folder(name_or_path)
    if difix is not None:
        return path if path.suffix == CHECKPOINT else difix / DIFIX_FILES[_NEEDED - 1]
    if path.suffix not in FOREIGN:
        return find(name_or_path) / MODEL
    if not path.is_file():
        raise UserError(
            f"no prior {quote(str(name_or_path))} is here",
            got="no such file",
            accepted="a file",
            do="Correct the path.",
        )
    return path


def told(names: Sequence[str | Path]) -> list[dict[str, str]]:
    """Priors to the byte, as provenance tells them."""
    return [{"name": Path(name).name, "sha256": sha256(file_of(name))} for name in names]


def shipped_names() -> tuple[str, ...]:
    """Names of the priors that came with the package."""
    return tuple(sorted(p.parent.name for p in PACKAGED.glob(f"*/{CONFIG}")))
