"""The paper's graph: its full shapes on the meta device, and everything it does on a copy of reduced width."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from halfseen.api import taus
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.images import io
from halfseen.methods.difix3d import perceptual, training_paper
from halfseen.metrics import lpips
from halfseen.priors.one_step import difix, difix_files, difix_unet, difix_vae
from halfseen.priors.one_step.difix import Difix, DifixFixer
from halfseen.priors.schedules import scaled_linear
from halfseen.priors.training import LoopConfig, accelerator, train

VAE: dict[str, Any] = {**difix_vae.CONFIG, "block_out_channels": (8, 16, 32, 32), "norm_num_groups": 4}
UNET: dict[str, Any] = {
    **difix_unet.CONFIG, "block_out_channels": (16, 32, 64, 64), "attention_head_dim": (1, 2, 4, 4),
    "cross_attention_dim": 24, "norm_num_groups": 8,
}  # fmt: skip


def filled(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """With weights that all matter."""
    rng = generator(seed, "test/difix")
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=rng) * (0.05 if p.ndim > 1 else 0.02) + (p.ndim == 1)
    return module.requires_grad_(requires_grad=False)


def reduced(seed: int = 0) -> Difix:
    vae, unet = difix_vae.build(VAE), difix_unet.build(UNET)
    prompt = torch.randn(77, 24, generator=generator(seed, "test/prompt"))
    net = Difix(vae, unet, prompt)
    filled(net.vae, seed)
    filled(net.unet, seed + 1)
    return net.train(False)


def views(count: int, batch: int = 1, size: tuple[int, int] = (32, 48)) -> Tensor:
    return torch.rand(batch, count, 3, *size, generator=generator(0, "test/views")) * 2 - 1


def test_the_schedule_has_the_values_of_the_specification_and_one_step_of_ddpm_is_ours() -> None:
    bar = scaled_linear().alpha_bar
    for t, wanted in ((199, 0.755238), (200, 0.753692), (250, 0.673792), (999, 0.004660)):
        assert float(bar[t]) == pytest.approx(wanted, abs=1e-6)
    ddpm = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="epsilon",
        clip_sample=False, timestep_spacing="trailing", steps_offset=1,
    )  # fmt: skip
    ddpm.set_timesteps(timesteps=[difix.TAU])
    z, eps = (torch.randn(1, 4, 8, 8, generator=generator(i, "test/ddpm")) for i in (0, 1))
    level = scaled_linear().level(torch.tensor([difix.TAU]))
    ours = (z - level.sigma * eps) / level.alpha
    theirs = ddpm.step(eps, difix.TAU, z).pred_original_sample
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-6


def test_full_shapes_on_the_meta_device() -> None:
    with torch.device("meta"):
        vae, unet = difix_vae.build(), difix_unet.build()
        assert len(difix_vae.adapted_names(vae)) == difix_files.FOLDS
        adapted = difix_vae.adapt(vae).state_dict()
    assert len(adapted) == difix_files.VAE_TENSORS
    assert sum(t.numel() for t in adapted.values()) == 84_669_315
    assert len(unet.state_dict()) == difix_files.UNET_TENSORS
    assert sum(t.numel() for t in unet.state_dict().values()) == 865_910_724
    trained = [p for p in vae.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 523_932 + 491_520
    mixed = [p for p in unet.attn_processors.values() if isinstance(p, difix_unet.Mixing)]
    assert len(mixed) == 16
    shapes = [tuple(s.base_layer.weight.shape[:2]) for s in difix_vae.skips(vae)]
    assert shapes == [(512, 512), (512, 256), (512, 128), (256, 128)]


def test_one_view_is_the_stock_graph_and_views_see_each_other() -> None:
    net = reduced()
    stock = UNet2DConditionModel(**UNET)
    stock.load_state_dict(net.unet.state_dict())
    z, t = torch.randn(2, 4, 8, 8, generator=generator(0, "test/z")), torch.full((2,), 199)
    assert isinstance(net.prompt, Tensor)
    alone = difix_unet.noise(net.unet, z, t, net.prompt, 1)
    assert torch.allclose(alone, stock(z, t, net.prompt.expand(2, -1, -1)).sample, atol=1e-5)
    both = difix_unet.noise(net.unet, z, t, net.prompt, 2)
    assert float((both - alone).abs().max()) > 1e-4
    swapped = difix_unet.noise(net.unet, z.flip(0), t, net.prompt, 2)
    assert torch.allclose(swapped.flip(0), both, atol=1e-4)
    twice = difix_unet.noise(net.unet, z[[0, 0]], t, net.prompt, 2)
    assert torch.allclose(twice[0], twice[1], atol=1e-5)
    three = difix_unet.noise(net.unet, torch.cat([z, z[:1]]), torch.full((3,), 199), net.prompt, 3)
    assert three.shape == (3, 4, 8, 8)


def test_a_batch_pairs_each_rendering_with_its_own_photo() -> None:
    net, x = reduced(), views(2, batch=3)
    with torch.no_grad():
        whole = net(x)
        for i in range(3):
            assert torch.allclose(whole[i : i + 1], net(x[i : i + 1]), atol=1e-4)
        first = net(x, only=0)
    assert first.shape == (3, 1, 3, 32, 48)
    assert torch.allclose(first[:, 0], whole[:, 0], atol=1e-4)


def test_without_skips_the_decoder_is_the_stock_one() -> None:
    vae = filled(difix_vae.build(VAE))
    assert isinstance(vae, AutoencoderKL)
    stock = AutoencoderKL(**VAE).requires_grad_(requires_grad=False)
    stock.load_state_dict({k: v for k, v in vae.state_dict().items() if "skip_conv" not in k})
    x = views(1)[:, 0]
    z, kept = difix_vae.encode(vae, x)
    assert torch.allclose(z, stock.encode(x).latent_dist.mean * 0.18215, atol=1e-5)
    theirs = stock.decode(z / 0.18215).sample.clamp(-1, 1)
    assert torch.allclose(difix_vae.decode(vae, z, None), theirs, atol=1e-5)
    assert float((difix_vae.decode(vae, z, kept) - theirs).abs().max()) > 1e-3
    for skip in difix_vae.skips(vae):
        torch.nn.init.zeros_(skip.weight)
    assert torch.allclose(difix_vae.decode(vae, z, kept), theirs, atol=1e-5)
    drawn = [difix_vae.encode(vae, x, generator(i, "test/draw"))[0] for i in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("size", [(72, 128), (40, 56)])
def test_skips_fit_odd_multiples_of_eight(size: tuple[int, int]) -> None:
    vae = difix_vae.build(VAE)
    z, kept = difix_vae.encode(vae, views(1, size=size)[:, 0])
    assert [tuple(k.shape[-2:]) for k in kept] == [(size[0] // n, size[1] // n) for n in (1, 2, 4, 8)]
    assert difix_vae.decode(vae, z, kept).shape == (1, 3, *size)


def test_folding_the_additions_changes_nothing() -> None:
    adapted = filled(difix_vae.adapt(difix_vae.build(VAE)))
    assert isinstance(adapted, AutoencoderKL)
    tensors, folds = difix_vae.fold(adapted.state_dict())
    assert folds == difix_files.FOLDS
    plain = difix_vae.build(VAE).requires_grad_(requires_grad=False)
    plain.load_state_dict(tensors)
    x = views(1)[:, 0]
    z, kept = difix_vae.encode(adapted, x)
    a, b = difix_vae.decode(adapted, z, kept), difix_vae.decode(plain, z, kept)
    assert float((a - b).abs().max()) < 1e-5
    assert float(a.std()) > 1e-3


def published(folder: Path) -> Difix:
    """A reduced folder in the published layout, and its graph."""
    net = reduced()
    filled(difix_vae.adapt(net.vae), 5)
    difix_files.save(net, folder)
    config = (folder / "vae" / "config.json").read_text()
    assert '"scaling_factor": 0.18215' in config
    return net


def test_a_published_folder_is_read_strictly_and_works(tmp_path: Path) -> None:
    net = published(tmp_path / "difix")
    again = difix_files.load(tmp_path / "difix")
    x = views(2)
    with torch.no_grad():
        assert torch.allclose(net(x), again(x), atol=1e-4)
    fixer = DifixFixer(again, (64, 48))
    shown = torch.rand(10, 61, 97, generator=generator(0, "test/shown"))
    for photos in ([], [torch.rand(3, 30, 20)], [torch.rand(3, 30, 20), torch.rand(3, 8, 90)]):
        assert fixer(shown, photos).rgb.shape == (3, 61, 97)
    assert fixer(shown, []).error is None


def test_a_folder_that_lacks_or_adds_a_tensor_is_refused(tmp_path: Path) -> None:
    published(tmp_path / "difix")
    path = tmp_path / "difix" / "vae" / difix_files.WEIGHTS
    tensors = load_file(str(path))
    broken: list[dict[str, Tensor]] = [
        {k: v for k, v in tensors.items() if k != "encoder.conv_in.weight"},
        {**tensors, "encoder.more": torch.zeros(1)},
        {**tensors, "encoder.conv_in.weight": torch.zeros(1, 2)},
        difix_vae.fold(tensors)[0],
    ]
    for some in broken:
        save_file({k: v.contiguous() for k, v in some.items()}, str(path))
        with pytest.raises(UserError):
            difix_files.load(tmp_path / "difix")
    (tmp_path / "difix" / difix_files.EMBEDDING).unlink()
    save_file(tensors, str(path))
    with pytest.raises(UserError, match="embedded once"):
        difix_files.load(tmp_path / "difix")


def test_a_checkpoint_of_the_trainer_is_read_over_its_base(tmp_path: Path) -> None:
    net = published(tmp_path / "difix")
    base = tmp_path / "base"
    (base / "vae").mkdir(parents=True)
    (base / "unet").mkdir()
    for part in ("vae", "unet"):
        (base / part / "config.json").write_bytes((tmp_path / "difix" / part / "config.json").read_bytes())
    save_file(net.unet.state_dict(), str(base / "unet" / difix_files.WEIGHTS))
    stored = net.vae.state_dict()
    ours = {k: v for k, v in stored.items() if ".lora_" in k or "skip_conv" in k}
    plain = {k.replace(".base_layer.", "."): v for k, v in stored.items() if ".lora_" not in k and "skip_conv" not in k}
    save_file(plain, str(base / "vae" / difix_files.WEIGHTS))
    assert isinstance(net.prompt, Tensor)
    save_file({"prompt": net.prompt}, str(base / difix_files.EMBEDDING))
    assert len(ours) == 90
    torch.save(
        {"state_dict_unet": net.unet.state_dict(), "state_dict_vae": ours, "rank_vae": 4}, tmp_path / "model.pkl"
    )
    again, x = difix_files.load_checkpoint(tmp_path / "model.pkl", base), views(2)
    with torch.no_grad():
        assert torch.allclose(net(x), again(x), atol=1e-4)
    torch.save({"state_dict_unet": Path("evil")}, tmp_path / "bad.pkl")
    with pytest.raises(UserError, match="no checkpoint"):
        difix_files.load_checkpoint(tmp_path / "bad.pkl", base)


def test_work_sizes_keep_the_aspect() -> None:
    assert difix.work_size(1820, 1024) == (1024, 576)
    assert difix.work_size(961, 541) == (1024, 576)
    assert difix.work_size(540, 960) == (576, 1024)
    assert difix.work_size(512, 512) == (576, 576)
    wide, high = difix.work_size(1000, 300)
    assert (wide, high) == (1024, 320)


def test_the_graph_trains_on_published_pairs_and_only_what_the_paper_trains(tmp_path: Path) -> None:
    document: dict[str, dict[str, dict[str, str]]] = {"train": {}, "test": {}}
    for i in range(3):
        truth = torch.rand(40, 56, 3, generator=generator(i, "test/pair"))
        for key, picture in (("image", truth * 0.5), ("target_image", truth), ("ref_image", truth.flip(1))):
            io.write_png(tmp_path / f"{i}-{key}.png", picture)
        entry = {k: f"{i}-{k}.png" for k in ("image", "target_image", "ref_image")}
        document["test" if i == 2 else "train"][str(i)] = {**entry, "prompt": "remove degradation"}
    (tmp_path / "data.json").write_text(json.dumps(document))
    cfg = training_paper.Config(
        loop=LoopConfig(steps=6, batch=2, lr=2e-3, lr_end=2e-3, warm=1, decay=1e-2, precision="fp32"),
        narrow=20, pairs=str(tmp_path / "data.json"), width=32, height=32,
    )  # fmt: skip
    task = training_paper.DifixTask(cfg)
    net = task.networks["difix"]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    batch = task.batch(range(4, 6))
    assert batch["views"].shape == (2, 2, 3, 32, 32)
    assert torch.equal(batch["views"][:, 1], batch["wanted"][:, 1]), "a photo is to stay as it is"
    losses = []
    for progress in train(task, cfg.loop, tmp_path / "out", accel=accelerator("cpu")):
        losses.append(progress.terms["loss"])
    assert losses[-1] < losses[0]
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert all(k.startswith("unet.") or ".lora_" in k or ".skip_conv_" in k for k in changed)
    assert {k for k in before if ".lora_B." in k} <= changed
    numbers = task.validate(task.networks)
    assert set(numbers) == {"psnr_before", "psnr_after"}


def test_gram_terms_are_of_each_picture_alone() -> None:
    vgg = lpips.build(lpips.narrow(lpips.VGG, 4))
    filled(vgg)
    a, b = views(2)[0], views(2, size=(32, 48)).flip(-1)[0]
    both = perceptual.gram(vgg, a, b, generator(0, "test/gram"))
    each = [perceptual.gram(vgg, a[i : i + 1], b[i : i + 1], generator(0, "test/gram")) for i in range(2)]
    assert float(both) == pytest.approx(float(torch.stack(each).mean()), rel=1e-4)
    assert float(perceptual.gram(vgg, a, a, generator(0, "test/gram"))) == 0
    assert float(perceptual.distance(vgg, a, b)) > 0


def test_the_table_of_noise_levels(tmp_path: Path) -> None:
    published(tmp_path / "difix")
    entry = {}
    for key in ("image", "target_image", "ref_image"):
        io.write_png(tmp_path / f"{key}.png", torch.rand(24, 32, 3, generator=generator(0, key)))
        entry[key] = f"{key}.png"
    (tmp_path / "data.json").write_text(json.dumps({"train": {}, "test": {"one": entry}}))
    rows = list(taus.table(str(tmp_path / "difix"), tmp_path / "data.json", (1000, 200)))
    assert [r["tau"] for r in rows] == [1000, 200]
    assert rows[0]["psnr"] != rows[1]["psnr"]
    with pytest.raises(UserError, match="noise level"):
        list(taus.table(str(tmp_path / "difix"), tmp_path / "data.json", (0,)))
