"""timm's networks frame by frame: the same numbers, the sizes they take, the stages they have."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from network.from_timm import stages_of
from tests.framenets import build, clip_of, on_meta

pytestmark = pytest.mark.usefixtures("one_thread")


def test_tokens_freeze_with_the_first_layers_where_timm_groups_nothing():
    stages = on_meta("timm:pit_ti_224", 3, frames=1).stages
    assert stages == (("patch_embed", "pos_embed", "cls_token"), ("transformers",), ("norm",))


def test_a_size_that_timm_fails_at_is_named():
    network = build("timm:dla34", frames=1, size=64)
    with pytest.raises(ValueError, match=r"timm:dla34 fails with pictures of 300x100 .*of 32 suit"):
        network(clip_of(1, 300, 100))


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"])
def test_timm_networks_are_timms(name):
    theirs: Any = timm.create_model(name, num_classes=3).eval()
    size = theirs.default_cfg["input_size"][1]
    ours = build(f"timm:{name}", frames=1, size=size).eval()
    head = theirs.get_classifier()
    prefix = theirs.default_cfg["classifier"]
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith(f"{prefix}.")}
    ours.backbone.load_state_dict(state)
    ours.heads.of("label").load_state_dict(head.state_dict())
    clip = clip_of(1, size)
    with torch.no_grad():
        assert torch.allclose(ours(clip), theirs(clip[:, :, 0]), atol=1e-5)


SIZES = [
    ("test_resnet", "at least 1 frame, height and width at least 32 pixels"),
    ("test_vit", "at least 1 frame, height and width at least 16 pixels in multiples of 16"),
    ("test_vit_relpos", "at least 1 frame, height and width exactly 64 pixels"),
]


@pytest.mark.parametrize(("name", "expected"), SIZES)
def test_timm_networks_say_which_sizes_they_take(name, expected):
    network = build(f"timm:{name}").eval()
    assert str(network.takes) == expected
    network(clip_of(2, 64))
    if "exactly" in expected:
        assert network.takes.nearest(3, 224) == (3, 64)
        with pytest.raises(ValueError, match=r"height 64, width 96; it needs .* exactly 64"):
            network(clip_of(2, 64, 96))


def test_looking_at_what_comes_out_leaves_no_trace():
    network = build("timm:test_resnet")
    assert all(module.training for module in network.modules())
    assert not any(one for key, one in network.state_dict().items() if key.endswith("_tracked"))


def test_timm_gives_what_comes_out_not_what_is_said():
    """This one says 960 of its features; 1,024 come out of its last layer but the head."""
    assert on_meta("timm:mobilenetv3_small_050", 3).width == 1024


STAGES = [
    ("resnet18", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    ("bninception", ["conv1_7x7_s2", "conv2_3x3_reduce", "inception_3a_1x1", "inception_4a_1x1",
                     "inception_5a_1x1"]),
    ("timm:resnet18", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    ("timm:test_vit", ["cls_token", *(f"blocks.{i}" for i in range(6))]),
    ("timm:test_convnext", ["stem", *(f"stages.{i}" for i in range(4))]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "firsts"), STAGES)
@pytest.mark.parametrize("consensus", ["average", "trn"])
def test_stages_hold_every_parameter_of_the_backbone_once(name, firsts, consensus):
    network = on_meta(name, 3, consensus=consensus)
    assert [stage[0] for stage in network.stages[: len(firsts)]] == firsts
    parameters = [key for key, _ in network.backbone.named_parameters()]
    named = [path for stage in network.stages for path in stage]
    held = [key for path in named for key in parameters if f"{key}.".startswith(f"{path}.")]
    assert sorted(held) == sorted(parameters)


def test_a_network_timm_does_not_group_freezes_child_by_child():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    assert stages_of(model) == (("0",), ("2",))
