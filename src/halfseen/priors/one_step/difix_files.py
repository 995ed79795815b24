"""Difix's published folders (nvidia/difix, nvidia/difix_ref) and checkpoints of its trainer: read as tensors, executing nothing in them.

FOLDER/vae/{config.json, diffusion_pytorch_model.safetensors}      338 tensors, 43 additions folded in
FOLDER/unet/{config.json, diffusion_pytorch_model.safetensors}     686 tensors
FOLDER/prompt.safetensors                                          the prompt's embedding, or tokenizer/ and text_encoder/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import read_json
from halfseen.common.log import logger
from halfseen.priors.one_step import difix_unet, difix_vae
from halfseen.priors.one_step.difix import PROMPT, Difix

CONFIG, WEIGHTS, EMBEDDING = "config.json", "diffusion_pytorch_model.safetensors", "prompt.safetensors"
WORDS = "remove degradation"
# How many tensors there are, and additions that are folded.
VAE_TENSORS, FOLDS, UNET_TENSORS = 338, 43, 686
_NOTICE = (
    "%s: weights of others. Difix's are NVIDIA's, for research and evaluation only, on top of Stability AI's SD-Turbo "
    "(Stability AI Community License). Powered by Stability AI. Nothing of halfseen's licence covers them"
)
_KEY = "prompt"


def load(folder: Path) -> Difix:
    """The graph of a folder with all its weights, only to be used."""
    logger.warning(_NOTICE, folder.name)
    vae, unet = _graph(folder)
    tensors = _tensors(folder / "vae" / WEIGHTS)
    folded, folds = difix_vae.fold(tensors)
    wanted = len(difix_vae.adapted_names(vae))
    _expect(folder / "vae" / WEIGHTS, folds, wanted, "low-rank additions")
    _fill(vae, folded, folder / "vae" / WEIGHTS)
    _fill(unet, _tensors(folder / "unet" / WEIGHTS), folder / "unet" / WEIGHTS)
    return Difix(vae, unet, prompt(folder)).train(False).requires_grad_(requires_grad=False)


def takes_photos(folder: Path) -> bool:
    """Whether the weights were trained with photos beside the rendering: their list of parts names a U-Net of several views. Without
    such a list they are taken to be."""
    index = folder / "model_index.json"
    if not index.is_file():
        return True
    unet = read_json(index).get("unet", [])
    return bool(unet) and unet[0] != "diffusers"


def load_base(folder: Path) -> Difix:
    """The graph to be trained from a folder: SD-Turbo's (skips are new), or Difix's own, whose additions are folded in first."""
    logger.warning(_NOTICE, folder.name)
    vae, unet = _graph(folder)
    tensors, _ = difix_vae.fold(_tensors(folder / "vae" / WEIGHTS))
    new = {k: v for k, v in vae.state_dict().items() if k not in tensors and ".skip_conv_" in k}
    _fill(vae, {**tensors, **new}, folder / "vae" / WEIGHTS)
    _fill(unet, _tensors(folder / "unet" / WEIGHTS), folder / "unet" / WEIGHTS)
    return Difix(difix_vae.adapt(vae), unet, prompt(folder))


def untrained(narrow: int) -> Difix:
    """The graph with random weights and a random prompt, widths divided by `narrow`."""
    groups = {"norm_num_groups": max(1, difix_vae.CONFIG["norm_num_groups"] // narrow)}
    vae_wide, unet_wide = (_narrowed(c, "block_out_channels", narrow, 8) for c in (difix_vae.CONFIG, difix_unet.CONFIG))
    heads = _narrowed(difix_unet.CONFIG, "attention_head_dim", narrow, 1)
    text = max(8, PROMPT[1] // narrow)
    vae = difix_vae.build({**difix_vae.CONFIG, **vae_wide, **groups})
    unet = difix_unet.build({**difix_unet.CONFIG, **unet_wide, **heads, **groups, "cross_attention_dim": text})
    return Difix(difix_vae.adapt(vae), unet, torch.randn(PROMPT[0], text))


def _narrowed(config: Mapping[str, Any], key: str, narrow: int, least: int) -> dict[str, Any]:
    return {key: tuple(max(least, w // narrow) for w in config[key])}


def save(net: Difix, folder: Path) -> None:
    """Write a graph, whose autoencoder is adapted, in the published layout."""
    for name, part in (("vae", net.vae), ("unet", net.unet)):
        (folder / name).mkdir(parents=True)
        part.save_config(folder / name)
        save_file({k: v.contiguous() for k, v in part.state_dict().items()}, str(folder / name / WEIGHTS))
    assert isinstance(net.prompt, Tensor)
    save_file({_KEY: net.prompt.contiguous()}, str(folder / EMBEDDING))


def load_checkpoint(path: Path, base: Path) -> Difix:
    """The graph of a checkpoint of the released trainer (.pkl) over the folder of SD-Turbo that it began from."""
    logger.warning(_NOTICE, path.name)
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
        unet_tensors, vae_tensors = stored["state_dict_unet"], stored["state_dict_vae"]
    except Exception as error:
        raise UserError(
            f"{quote(str(path))} is no checkpoint of Difix's trainer",
            got=str(error).splitlines()[0],
            accepted="a .pkl with state_dict_unet and state_dict_vae, and nothing but tensors and names in it",
            do="Name another file, or a folder in the published layout.",
        ) from error
    vae, unet = _graph(base)
    plain = _tensors(base / "vae" / WEIGHTS)
    _fill(vae, {**plain, **{k: v for k, v in vae.state_dict().items() if k not in plain}}, base / "vae" / WEIGHTS)
    adapted = difix_vae.adapt(vae)
    _fill(adapted, {**adapted.state_dict(), **vae_tensors}, path)
    folded, _ = _graph(base)
    _fill(folded, difix_vae.fold(adapted.state_dict())[0], path)
    _fill(unet, unet_tensors, path)
    return Difix(folded, unet, prompt(base)).train(False).requires_grad_(requires_grad=False)


def prompt(folder: Path) -> Tensor:
    """The embedding [77, 1024] of the constant prompt: kept beside the weights, else made once by the folder's own text encoder."""
    path = folder / EMBEDDING
    if path.is_file():
        found = _tensors(path).get(_KEY)
        if found is None:
            raise UserError(
                f"{quote(str(path))} holds no embedding", got="no tensor " + _KEY, accepted="one", do="Remove the file."
            )
        return found.float()
    try:
        from transformers import CLIPTextModel, CLIPTokenizer
    except ImportError as error:
        raise UserError(
            f"the prompt of {quote(str(folder))} has to be embedded once",
            got=f"no {EMBEDDING}, and no package transformers",
            accepted="either of them",
            do="Run 'pip install halfseen[hub]'; the embedding is then kept beside the weights.",
        ) from error
    tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer")(
        WORDS, padding="max_length", max_length=PROMPT[0], truncation=True, return_tensors="pt"
    )
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", use_safetensors=True)
    with torch.no_grad():
        found = encoder(tokens.input_ids)[0][0].float().contiguous()
    try:
        save_file({_KEY: found}, str(path))
    except OSError:
        logger.info("the prompt's embedding cannot be kept in %s", folder)
    return found


def _graph(folder: Path) -> tuple[AutoencoderKL, UNet2DConditionModel]:
    """The graph that a folder describes, without its weights."""
    return (
        difix_vae.build(_config(folder / "vae", difix_vae.KNOWN)),
        difix_unet.build(_config(folder / "unet", difix_unet.KNOWN)),
    )


def _config(folder: Path, known: frozenset[str]) -> dict[str, Any]:
    """What our graph takes of a folder's config.json; classes that it names are not looked for."""
    stored = read_json(folder / CONFIG)
    for key, wanted in difix_vae.MEANT.items():
        if stored.get(key, wanted) != wanted:
            raise UserError(
                f"{quote(str(folder / CONFIG))} describes another graph than Difix's",
                got=f"{key} {stored[key]}",
                accepted=f"{key} {wanted}",
                do="Give a folder in the layout of nvidia/difix or nvidia/difix_ref.",
            )
    return {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items() if k in known and v is not None}


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"weights {quote(str(path))} cannot be read",
            got=str(error),
            accepted="a whole safetensors file",
            do="Fetch the folder again.",
        ) from error


def _fill(part: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Strictly: nothing missing, nothing left over, every shape as it must be."""
    own = part.state_dict()
    missing, more = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    unlike = [k for k in own if k in tensors and own[k].shape != tensors[k].shape]
    if missing or more or unlike:
        told = [
            f"{len(n)} {w} ({n[0]}, ...)"
            for n, w in ((missing, "missing"), (more, "unknown"), (unlike, "of another shape"))
            if n
        ]
        raise UserError(
            f"{quote(str(path))} does not hold what its config.json describes",
            got=", ".join(told),
            accepted=f"{len(own)} tensors of Difix's graph",
            do="Fetch the folder again.",
        )
    part.load_state_dict({k: v.float() for k, v in tensors.items()})


def _expect(path: Path, found: int, wanted: int, what: str) -> None:
    if found != wanted:
        raise UserError(
            f"{quote(str(path))} is no autoencoder of Difix",
            got=f"{found} {what}",
            accepted=str(wanted),
            do="Give a folder in the layout of nvidia/difix or nvidia/difix_ref.",
        )
