"""LPIPS and Inception: published layer names and sizes, files that are missing or wrong, and slow twins at reduced width."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.metrics import inception, lpips, weights

WIDTH = 5
# Where torchvision's alexnet and vgg16 keep their convolutions and, after a ReLU, what LPIPS compares (c: convolution, r: ReLU,
# t: ReLU that is compared, M: max pool).
ALEX_LAYERS = dict(enumerate("ctMctMctctct"))
VGG_LAYERS = dict(enumerate("crctMcrctMcrcrctMcrcrctMcrcrct"))
CASES = {"alex": (lpips.ALEX, ALEX_LAYERS), "vgg": (lpips.VGG, VGG_LAYERS)}


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "test"))


def picture(seed, height=48, width=40):
    return torch.rand(height, width, 3, generator=generator(seed, "test"))


def files(folder, name, layout, suffix):
    """Random weights under the published names, with a classifier that LPIPS does not need."""
    layers, channels = {}, 3
    for i, kind in CASES[name][1].items():
        if kind == "c":
            kernel = {("alex", 0): 11, ("alex", 3): 5}.get((name, i), 3)
            layers[f"features.{i}.weight"] = 0.3 * normal(WIDTH, channels, kernel, kernel, seed=i)
            layers[f"features.{i}.bias"] = 0.1 * normal(WIDTH, seed=100 + i)
            channels = WIDTH
    layers["classifier.0.weight"] = normal(3, 3)
    heads = {f"lin{i}.model.1.weight": normal(1, WIDTH, 1, 1, seed=i).abs() for i in range(5)}
    paths = folder / f"backbone{suffix}", folder / f"heads{suffix}"
    for path, state in zip(paths, (layers, heads), strict=True):
        save_file(state, str(path)) if suffix == ".safetensors" else torch.save(state, path)
    return *paths, layers, heads


def slow_lpips(name, a, b, layers, heads):
    """Version 0.1 from its definition, in float64 numpy where it is not a convolution."""
    taps = [[], []]
    for side, image in enumerate((a, b)):
        x = 2 * image.double().numpy() - 1
        x = (x - np.array([-0.030, -0.088, -0.188])) / np.array([0.458, 0.448, 0.450])
        x = torch.from_numpy(x.transpose(2, 0, 1)[None])
        for i, kind in CASES[name][1].items():
            if kind == "c":
                stride, padding = {("alex", 0): (4, 2), ("alex", 3): (1, 2)}.get((name, i), (1, 1))
                w, bias = layers[f"features.{i}.weight"].double(), layers[f"features.{i}.bias"].double()
                x = F.conv2d(x, w, bias, stride, padding)
            elif kind == "M":
                x = F.max_pool2d(x, 3 if name == "alex" else 2, 2)
            else:
                x = x.clamp_min(0)
                if kind == "t":
                    taps[side].append(x[0].numpy())
    total = 0.0
    for layer, (f, g) in enumerate(zip(*taps, strict=True)):
        head = heads[f"lin{layer}.model.1.weight"].double().numpy().reshape(-1)
        _, height, width = f.shape
        for y in range(height):
            for x in range(width):
                p, q = f[:, y, x], g[:, y, x]
                p, q = p / (np.sqrt((p**2).sum()) + 1e-10), q / (np.sqrt((q**2).sum()) + 1e-10)
                total += (head * (p - q) ** 2).sum() / (height * width)
    return total


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", CASES)
def test_lpips_is_its_definition(tmp_path, name, suffix):
    layout = lpips.narrow(CASES[name][0], WIDTH)
    backbone, heads, layers, linear = files(tmp_path, name, layout, suffix)
    network = lpips.load(name, backbone, heads, layout=layout)
    a, b = picture(0), picture(1)
    expected = slow_lpips(name, a, b, layers, linear)
    assert expected > 0.1
    assert network(a, b).item() == pytest.approx(expected, rel=1e-4)
    assert network(a, a).item() == 0
    assert network(a, b).item() == pytest.approx(network(b, a).item(), rel=1e-5)
    moved = a.clone().requires_grad_(True)
    network(moved, b).backward()
    assert float(moved.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", CASES)
def test_smallest_picture(tmp_path, name):
    layout = lpips.narrow(CASES[name][0], WIDTH)
    network = lpips.load(name, *files(tmp_path, name, layout, ".pth")[:2], layout=layout)
    side = layout.min_side
    assert network(picture(0, side, side), picture(1, side, side)).isfinite()
    with pytest.raises(UserError, match=f"at least {side} pixels"):
        network(picture(0, side - 1, side), picture(1, side - 1, side))
    # One pixel less would leave the last layer nothing.
    with pytest.raises(RuntimeError, match="too small"):
        network.features(torch.zeros(1, 3, side - 1, side - 1))
    with pytest.raises(UserError, match="not finite"):
        network(picture(0) / 0, picture(1))


def test_full_networks_have_the_published_layers():
    with torch.device("meta"):
        for name, parameters, heads in (("alex", 2_469_696, 1152), ("vgg", 14_714_688, 1472)):
            layout, layers = CASES[name]
            network = lpips.build(layout)
            assert sum(p.numel() for p in network.features.parameters()) == parameters
            assert sum(p.numel() for p in network.heads) == heads
            convolutions = [i for i, kind in layers.items() if kind == "c"]
            assert {int(k.split(".")[0]) for k in network.features.state_dict()} == set(convolutions)


@pytest.mark.parametrize("name", CASES)
def test_without_weights_lpips_says_which_files_it_needs(tmp_path, name):
    kind = {"alex": "alexnet", "vgg": "vgg16"}[name]
    with pytest.raises(UserError, match=rf"needs trained weights.*{kind} state_dict.*backbone"):
        lpips.load(name, None, None)
    (tmp_path / "b.pth").write_bytes(b"")
    with pytest.raises(UserError, match=rf"no file at .*{name}\.pth, version 0\.1"):
        lpips.load(name, tmp_path / "b.pth", tmp_path / "none.pth")
    with pytest.raises(UserError, match="no such LPIPS network"):
        lpips.load("squeeze", None, None)


class Evil:
    def __reduce__(self):
        return (re.compile, ("x",))


def test_wrong_files_are_refused_and_run_no_code(tmp_path):
    layout = lpips.narrow(lpips.ALEX, WIDTH)
    backbone, heads, _, _ = files(tmp_path, "alex", layout, ".pth")
    with pytest.raises(UserError, match="a file without"):
        lpips.load("alex", heads, heads, layout=layout)
    with pytest.raises(UserError, match="a file without"):
        lpips.load("alex", backbone, backbone, layout=layout)
    with pytest.raises(UserError, match=re.escape("0.weight of shape (5, 3, 11, 11) where (64, 3, 11, 11)")):
        lpips.load("alex", backbone, heads)
    damaged = tmp_path / "damaged.pth"
    for content in (b"", b"not a file of weights", backbone.read_bytes()[:500]):
        damaged.write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            weights.read_state(damaged)
    torch.save({"features.0.weight": Evil()}, damaged)
    with pytest.raises(UserError, match="damaged"):
        weights.read_state(damaged)
    torch.save([1, 2], damaged)
    with pytest.raises(UserError, match="something else"):
        weights.read_state(damaged)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\x00" * 20)
    with pytest.raises(UserError, match="damaged"):
        weights.read_state(bad)


# --- Inception

NARROW = 1 / 16


def slow_inception(state, x):
    """The network written out as a program over the stored names, in float64."""

    def unit(name, x, stride=1, padding=(0, 0)):
        def get(key):
            return state[f"{name}.{key}"].double()

        y = F.conv2d(x, get("conv.weight"), None, stride, padding)
        scale = get("bn.weight") / torch.sqrt(get("bn.running_var") + 0.001)
        shift = get("bn.bias") - get("bn.running_mean") * scale
        return (y * scale[:, None, None] + shift[:, None, None]).clamp_min(0)

    def mean3(x):
        ones = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype)
        kernel = torch.ones(1, 1, 3, 3, dtype=x.dtype)
        total = F.conv2d(x.transpose(0, 1), kernel, padding=1).transpose(0, 1)
        return total / F.conv2d(ones, kernel, padding=1)

    x = unit("Conv2d_2a_3x3", unit("Conv2d_1a_3x3", x, 2))
    x = F.max_pool2d(unit("Conv2d_2b_3x3", x, 1, 1), 3, 2)
    x = F.max_pool2d(unit("Conv2d_4a_3x3", unit("Conv2d_3b_1x1", x)), 3, 2)
    for m in ("Mixed_5b.", "Mixed_5c.", "Mixed_5d."):
        double = unit(m + "branch3x3dbl_2", unit(m + "branch3x3dbl_1", x), 1, 1)
        five = unit(m + "branch5x5_2", unit(m + "branch5x5_1", x), 1, 2)
        pooled = unit(m + "branch_pool", mean3(x))
        x = torch.cat([unit(m + "branch1x1", x), five, unit(m + "branch3x3dbl_3", double, 1, 1), pooled], 1)
    m = "Mixed_6a."
    double = unit(m + "branch3x3dbl_2", unit(m + "branch3x3dbl_1", x), 1, 1)
    x = torch.cat([unit(m + "branch3x3", x, 2), unit(m + "branch3x3dbl_3", double, 2), F.max_pool2d(x, 3, 2)], 1)
    row, column = (0, 3), (3, 0)
    for m in ("Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."):
        seven = unit(m + "branch7x7_2", unit(m + "branch7x7_1", x), 1, row)
        double = unit(m + "branch7x7dbl_2", unit(m + "branch7x7dbl_1", x), 1, column)
        double = unit(m + "branch7x7dbl_4", unit(m + "branch7x7dbl_3", double, 1, row), 1, column)
        paths = [unit(m + "branch1x1", x), unit(m + "branch7x7_3", seven, 1, column)]
        x = torch.cat([*paths, unit(m + "branch7x7dbl_5", double, 1, row), unit(m + "branch_pool", mean3(x))], 1)
    m = "Mixed_7a."
    seven = unit(m + "branch7x7x3_2", unit(m + "branch7x7x3_1", x), 1, row)
    seven = unit(m + "branch7x7x3_4", unit(m + "branch7x7x3_3", seven, 1, column), 2)
    three = unit(m + "branch3x3_2", unit(m + "branch3x3_1", x), 2)
    x = torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)
    for m in ("Mixed_7b.", "Mixed_7c."):
        three = unit(m + "branch3x3_1", x)
        three = [unit(m + "branch3x3_2a", three, 1, (0, 1)), unit(m + "branch3x3_2b", three, 1, (1, 0))]
        double = unit(m + "branch3x3dbl_2", unit(m + "branch3x3dbl_1", x), 1, 1)
        double = [unit(m + "branch3x3dbl_3a", double, 1, (0, 1)), unit(m + "branch3x3dbl_3b", double, 1, (1, 0))]
        pooled = mean3(x) if m == "Mixed_7b." else F.max_pool2d(x, 3, 1, 1)
        x = torch.cat([unit(m + "branch1x1", x), *three, *double, unit(m + "branch_pool", pooled)], 1)
    return x.mean((2, 3))


def narrow_state():
    """Random weights whose signals neither die nor explode."""
    state = inception.build(NARROW).state_dict()
    out = {}
    for i, (key, value) in enumerate(state.items()):
        if key.endswith("conv.weight"):
            out[key] = normal(*value.shape, seed=i) * (2 / value[0].numel()) ** 0.5
        elif key.endswith(("bn.weight", "bn.running_var")):
            out[key] = 0.5 + torch.rand(value.shape, generator=generator(i, "test"))
        elif not key.endswith("num_batches_tracked"):
            out[key] = 0.1 * normal(*value.shape, seed=i)
    return out


def test_inception_is_its_definition(tmp_path):
    state = narrow_state()
    path = tmp_path / "inception.pth"
    torch.save({**state, "fc.weight": normal(3, 3), "fc.bias": normal(3)}, path)
    network = inception.load(path, width=NARROW)
    pictures = [picture(0, 50, 60), picture(1, 120, 90)]
    found = inception.features(network, pictures, side=107)
    assert found.shape[0] == 2
    for row, image in zip(found, pictures, strict=True):
        x = F.interpolate(image.permute(2, 0, 1)[None].double(), (107, 107), mode="bilinear", align_corners=False)
        expected = slow_inception(state, 2 * x - 1)[0]
        assert float(expected.std()) > 0.05
        torch.testing.assert_close(row.double(), expected, rtol=1e-3, atol=1e-4)
    many = inception.features(network, [pictures[0]] * 9, side=107)
    torch.testing.assert_close(many[8], found[0])


def test_full_inception_has_the_published_size():
    with torch.device("meta"):
        network = inception.build()
        # torchvision's inception_v3 without classifier and auxiliary branch.
        assert sum(p.numel() for p in network.parameters()) == 21_785_568
        assert network(torch.zeros(1, 3, 299, 299)).shape == (1, 2048, 8, 8)
        assert network.Mixed_6b.branch7x7dbl_5.conv.weight.shape == (192, 128, 1, 7)
        assert network.Mixed_7c.branch3x3dbl_3b.conv.weight.shape == (384, 384, 3, 1)


def test_inception_refuses_what_it_cannot_use(tmp_path):
    with pytest.raises(UserError, match=r"FID or KID.*needs trained weights.*pt_inception-2015-12-05"):
        inception.load(None)
    path = tmp_path / "few.safetensors"
    save_file({"Conv2d_1a_3x3.conv.weight": normal(2, 3, 3, 3)}, str(path))
    with pytest.raises(UserError, match=r"a file without Conv2d_1a_3x3\.bn\.weight"):
        inception.load(path, width=NARROW)
    network = inception.build(NARROW)
    with pytest.raises(UserError, match="need pictures"):
        inception.features(network, [])
    with pytest.raises(UserError, match="not finite"):
        inception.features(network, [picture(0) / 0])
