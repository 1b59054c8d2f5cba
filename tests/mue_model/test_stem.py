"""The ResNet stem: shapes of any image, names of published checkpoints, the stride of v1.5, patch order."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mue_model.config import RESNETS
from mue_model.grid import grid_of
from mue_model.stem import Bottleneck, Stem, fold_batch_norms


@pytest.fixture
def stem() -> Stem:
    torch.manual_seed(0)
    return Stem(*RESNETS["light"]).eval()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96), (16, 16), (72, 88), (17, 33), (480, 480)])
def test_patches_are_the_grid_s_for_every_image_size(stem: Stem, height: int, width: int) -> None:
    rows, columns = grid_of(height, width)
    assert (rows, columns) == (-(-height // 16), -(-width // 16))
    with torch.no_grad():
        assert stem(torch.zeros(2, 3, height, width)).shape == (2, rows * columns, stem.out_channels)


@pytest.mark.parametrize(
    ("name", "blocks"), [("resnet50", (3, 4, 6)), ("resnet101", (3, 4, 23)), ("resnet152", (3, 8, 36))]
)
def test_published_names_and_sizes(name: str, blocks: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        stem = Stem(*RESNETS[name])
    names = dict(stem.named_parameters())
    assert stem.out_channels == 1024
    for stage, count in enumerate(blocks, 1):
        assert f"layer{stage}.{count - 1}.conv3.weight" in names
        assert f"layer{stage}.{count}.conv3.weight" not in names
        assert f"layer{stage}.0.downsample.1.bias" in names
    assert not any(key.startswith(("layer4", "fc")) for key in names)


def test_the_stride_is_on_the_3x3_convolution(stem: Stem) -> None:
    strides = {name: module.stride for name, module in stem.named_modules() if isinstance(module, torch.nn.Conv2d)}
    for stage in ("layer2", "layer3"):
        assert strides[f"{stage}.0.conv1"] == (1, 1)
        assert strides[f"{stage}.0.conv2"] == strides[f"{stage}.0.downsample.0"] == (2, 2)
    assert strides["layer1.0.conv2"] == (1, 1)


def test_patches_go_row_by_row(stem: Stem) -> None:
    image = torch.zeros(1, 3, 80, 112)
    with torch.no_grad():
        plain = stem(image)
        for row, column in [(0, 0), (1, 5), (4, 2)]:
            spot = image.clone()
            spot[:, :, 16 * row + 4 : 16 * row + 12, 16 * column + 4 : 16 * column + 12] = 3.0
            change = (stem(spot) - plain)[0].norm(dim=1)
            assert int(change.argmax()) == row * 7 + column


def test_rows_of_a_batch_do_not_see_each_other(stem: Stem) -> None:
    images = torch.randn(3, 3, 32, 48)
    with torch.no_grad():
        together = stem(images)
        for row in range(3):
            torch.testing.assert_close(together[row], stem(images[row : row + 1])[0], rtol=1e-4, atol=1e-5)


def test_a_block_without_change_of_shape_has_a_plain_skip() -> None:
    block = Bottleneck(16, 4, stride=1)
    assert block.downsample is None
    torch.nn.init.zeros_(block.bn3.weight)
    x = torch.randn(1, 16, 5, 5)
    assert torch.equal(block.eval()(x), torch.relu(x))


def test_folded_batch_norms_change_nothing_and_leave_none(stem: Stem) -> None:
    for module in stem.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 2.0)
    stem = stem.double().requires_grad_(False)
    folded = copy.deepcopy(stem)
    fold_batch_norms(folded)
    images = torch.randn(2, 3, 64, 48, dtype=torch.float64)
    torch.testing.assert_close(folded(images), stem(images), rtol=1e-12, atol=1e-12)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
