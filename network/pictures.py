"""Networks for single pictures, without their heads: torchvision's ResNets and BN-Inception.

timm's are in network/from_timm.py.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torchvision.models import ResNet, resnet18, resnet34, resnet50, resnet101

from network.bninception import LEAST_SIZE, WIDTH, BNInception
from network.framefiles import VIDEO_HEADS
from network.model import Backbone, Mean, Takes

RESNETS: dict[str, Callable[[], ResNet]] = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
}
BNINCEPTION = "bninception"


def resnet(name: str, channels: int) -> Backbone:
    """With torchvision's first weights; the first convolution is drawn again if it is another."""
    model = RESNETS[name]()
    width = model.fc.in_features
    # Drawn and thrown away, so that the same seed gives torchvision's own weights.
    model.fc = nn.Identity()
    model.avgpool = Mean((2, 3))
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    stages = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
    heads = (("fc", ""), ("last_linear", ""), *VIDEO_HEADS)
    return Backbone(model, width, Takes(frames=1, size=1), stages, heads)


def bninception(channels: int) -> Backbone:
    model = BNInception(channels)
    heads = (("last_linear", ""), ("fc", ""), *VIDEO_HEADS)
    return Backbone(model, WIDTH, Takes(frames=1, size=LEAST_SIZE), model.stages(), heads)
