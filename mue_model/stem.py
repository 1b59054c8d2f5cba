"""The image stem: ResNet v1.5 bottlenecks, stages 1 to 3, stride 16 (He et al. 2015, arXiv 1512.03385).

"v1.5": the stride sits on the 3x3 convolution of a block. Parameter names are those of torchvision and OFA.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with a skip connection."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C_in, H, W] -> [N, 4 * width, H / stride, W / stride]."""
        identity = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + identity)


def fold_batch_norms(module: nn.Module) -> None:
    """Let every convolution do what the batch norm behind it does at inference; training it is over.

    The result is the same but for rounding, and memory is passed over once less for each of them.
    """
    for child in module.children():
        fold_batch_norms(child)
    children = list(module.named_children())
    for (name, convolution), (norm_name, norm) in pairwise(children):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, norm_name, nn.Identity())


class Stem(nn.Module):
    """Convolution 7x7/2, max-pool, three stages of bottlenecks."""

    def __init__(self, blocks: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = [f"layer{stage + 1}" for stage in range(len(blocks))]
        channels = width
        for stage, count in enumerate(blocks):
            stage_width = width * 2**stage
            layers = []
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Bottleneck(channels, stage_width, stride))
                channels = stage_width * EXPANSION
            self.add_module(self.stages[stage], nn.Sequential(*layers))
        self.out_channels = channels

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, H, W], normalised -> [N, P, out_channels] with P = ceil(H / 16) * ceil(W / 16), row by row."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return x.flatten(2).transpose(1, 2)
