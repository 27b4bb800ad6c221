"""Inflation: on a clip whose frames are all the same, the 3D network sees what the 2D one saw."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet as pictures
from torchvision.models import video

from network.inflate import HOWS, inflated
from network.model import Backbone, Network, Takes
from network.resnet3d import Plan, plain_basic, plain_deep, srtg_deep
from network.weights import load
from network.zoo import build
from tests.smallnet import small


def one_convolution(kernel):
    """A network that is one convolution."""
    module = nn.Sequential(nn.Conv3d(3, 4, kernel, padding=tuple(side // 2 for side in kernel)))
    return Network("one", Backbone(module, 4, Takes(), ()), 2)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7])
def test_a_kernel_sums_to_what_it_was(how, frames):
    network = one_convolution((frames, 3, 3))
    flat = torch.randn(4, 3, 3, 3)
    grown = inflated({"0.weight": flat}, network, how)["backbone.0.weight"]
    assert grown.shape == network.backbone[0].weight.shape
    torch.testing.assert_close(grown.sum(2), flat)
    shares = (grown / flat.unsqueeze(2))[0, 0, :, 0, 0]
    expected = torch.full((frames,), 1 / frames)
    if how == "centre":
        expected = functional.one_hot(torch.tensor((frames - 1) // 2), frames).float()
    torch.testing.assert_close(shares, expected)


@pytest.mark.parametrize(("how", "exact"), [("mean", slice(1, -1)), ("centre", slice(None))])
def test_a_convolution_gives_of_a_still_clip_what_it_gave_of_the_frame(how, exact):
    network = one_convolution((3, 3, 3))
    flat = nn.Conv2d(3, 4, 3, padding=1)
    network.load_state_dict(inflated(flat_names(flat), network, how), strict=False)
    picture = torch.rand(2, 3, 8, 8)
    clip = picture.unsqueeze(2).expand(-1, -1, 5, -1, -1)
    got = network.backbone[0](clip)
    wanted = flat(picture).unsqueeze(2).expand_as(got)
    torch.testing.assert_close(got[:, :, exact], wanted[:, :, exact])
    if how == "mean":  # at the ends, padding takes a third of the sum away
        assert (got[:, :, 0] - wanted[:, :, 0]).abs().max() > 0.01


def flat_names(convolution):
    return {f"0.{name}": one for name, one in convolution.state_dict().items()}


# -- whole networks -------------------------------------------------------------------------------


def ours(make, **options):
    plan = Plan("tiny", "r3d", (1, 2, 1, 1))
    return make(plan, 5, frames=4, size=32, **options)


def torchvisions():
    module = video.VideoResNet(video.resnet.BasicBlock, [video.resnet.Conv3DSimple] * 4,
                               [1, 2, 1, 1], video.resnet.BasicStem)  # fmt: skip
    module.fc = nn.Identity()
    return Network("r3d", Backbone(module, 512, Takes(), ()), 5)


def unpooled(model):
    model.maxpool = nn.Identity()  # torchvision's video networks have none
    return model


PAIRS: dict[str, Any] = {
    "ours": (partial(ours, plain_basic), pictures.BasicBlock, lambda model: model),
    "ours, deep": (partial(ours, plain_deep, bottleneck="standard"), pictures.Bottleneck,
                   lambda model: model),
    "torchvision's": (torchvisions, pictures.BasicBlock, unpooled),
}  # fmt: skip


@pytest.fixture(params=PAIRS)
def pair(request):
    """A 2D network with statistics of its own, and the 3D network like it."""
    torch.manual_seed(1)
    make, block, changed = PAIRS[request.param]
    flat = changed(pictures.ResNet(block, [1, 2, 1, 1])).eval()
    for name, buffer in flat.named_buffers():
        if "running_mean" in name:
            buffer.uniform_(-0.1, 0.1)
        if "running_var" in name:
            buffer.uniform_(0.5, 1.5)
    return flat, make().eval()


@torch.no_grad()
def test_a_still_clip_gives_the_features_of_its_frame(pair, tmp_path):
    flat, network = pair
    torch.save({"state_dict": flat.state_dict()}, tmp_path / "flat.pth")
    report = load(network, tmp_path / "flat.pth", inflate="centre")
    assert (report.share, report.missing, report.unexpected) == (1, (), ())
    flat.fc = nn.Identity()
    picture = torch.rand(2, 3, 32, 32)
    clip = picture.unsqueeze(2).expand(-1, -1, 4, -1, -1)
    features = flat(picture)
    assert features.std() > 0.01
    torch.testing.assert_close(network.features(clip), features, rtol=1e-4, atol=1e-5)
    moving = network.features(torch.rand(2, 3, 4, 32, 32))
    assert (moving - features).abs().max() > 0.01


def test_by_the_mean_all_is_loaded_too(pair, tmp_path):
    flat, network = pair
    torch.save(flat.state_dict(), tmp_path / "flat.pth")
    assert load(network, tmp_path / "flat.pth", inflate="mean").share == 1
    kernel = flat.layer2[0].conv1.weight
    grown = dict(network.named_parameters())
    name = next(one for one in ("0", "0.0") if f"backbone.layer2.0.conv1.{one}.weight" in grown)
    got = grown[f"backbone.layer2.0.conv1.{name}.weight"]
    torch.testing.assert_close(got.sum(2), kernel)


def test_the_mean_takes_no_memory_for_its_copies():
    grown = inflated({"0.weight": torch.rand(4, 3, 3, 3)}, one_convolution((7, 3, 3)))
    assert grown["backbone.0.weight"].untyped_storage().nbytes() == 4 * 3 * 3 * 3 * 4


def test_kernels_of_another_shape_are_reported(tmp_path):
    """A network whose bottlenecks are narrower than the file's."""
    flat = pictures.ResNet(pictures.Bottleneck, [1, 2, 1, 1])
    torch.save(flat.state_dict(), tmp_path / "flat.pth")
    network = ours(plain_deep)
    with pytest.raises(ValueError, match=r'less than half .*four times wider: bottleneck="stan'):
        load(network, tmp_path / "flat.pth", inflate="mean")
    report = load(network, tmp_path / "flat.pth", inflate="mean", allow_partial=True)
    assert "backbone.layer1.0.conv2.0.0.weight" in report.loaded
    skipped = {one.name: (one.theirs, one.here) for one in report.skipped}
    assert skipped["backbone.layer1.0.conv3.0.weight"] == ((256, 64, 1, 1), (64, 64, 1, 1, 1))


def test_our_own_networks_of_pictures_are_inflated_as_torchvisions_are(tmp_path):
    torch.manual_seed(1)
    flat = build("resnet18", 5, size=32)
    torch.save({"model": flat.state_dict()}, tmp_path / "ours.pt")
    torch.save(
        {name.removeprefix("backbone."): one for name, one in flat.state_dict().items()
         if not name.startswith("heads.")}, tmp_path / "theirs.pth")  # fmt: skip
    loaded = {}
    for file in ("ours.pt", "theirs.pth"):
        network = build("r3d_18", 5, frames=4, size=32)
        report = load(network, tmp_path / file, inflate="mean")
        assert (report.share, report.skipped, report.unexpected) == (1, (), ())
        loaded[file] = network.backbone.state_dict()
    for name, tensor in loaded["ours.pt"].items():
        assert torch.equal(tensor, loaded["theirs.pth"][name]), name
    network = build("r3d_18", 5, frames=4, size=32)
    assert load(network, tmp_path / "ours.pt", inflate="mean", strict=True).is_exact
    assert torch.equal(network.heads.of("label").weight, flat.heads.of("label").weight)


@torch.no_grad()
def test_recursion_on_top_does_not_keep_pictures_from_being_inflated(tmp_path):
    """The numbers of its recurrent layers are more than all others."""
    flat = pictures.ResNet(pictures.Bottleneck, [1, 2, 1, 1])
    torch.save(flat.state_dict(), tmp_path / "flat.pth")
    network = ours(srtg_deep, bottleneck="standard")
    report = load(network, tmp_path / "flat.pth", inflate="mean")
    assert report.share == 1
    assert all(".lstm." in name for name in report.missing)
    assert report.missing


@pytest.mark.parametrize("name", ["r2plus1d_18", "r2plus1d_34", "s3d"])
def test_kernels_of_space_and_time_apart_cannot_be_inflated(name):
    with torch.device("meta"):
        network = build(name, 5)
    with pytest.raises(ValueError, match=rf"{name} sees space and time by .* apart, \(2\+1\)D"):
        inflated({"conv1.weight": torch.zeros(64, 3, 7, 7)}, network)


@pytest.mark.parametrize(
    ("network", "state", "how", "message"),
    [
        (small, {"a": torch.zeros(1, 1, 3, 3)}, "middle", "mean or centre, got 'middle'"),
        (small, {"a": torch.zeros(1, 1, 3, 3, 3)}, "mean", "no 2D kernels to inflate for small"),
        (lambda: Network("flat", Backbone(nn.Conv2d(3, 4, 3), 4, Takes(), ()), 2),
         {"a": torch.zeros(1, 1, 3, 3)}, "mean", "flat has no kernels over time"),
    ],
)  # fmt: skip
def test_what_cannot_be_inflated_is_one_sentence(network, state, how, message):
    with pytest.raises(ValueError, match=message) as caught:
        inflated(state, network(), how)
    assert "\n" not in str(caught.value)


def test_2d_weights_for_a_3d_network_are_refused_with_the_way_on(tmp_path):
    torch.save(pictures.ResNet(pictures.BasicBlock, [1, 2, 1, 1]).state_dict(), tmp_path / "f.pth")
    with pytest.raises(ValueError, match="the network they are of or inflate them, or allow"):
        load(ours(plain_basic), tmp_path / "f.pth")
    # Not even a 1x1 kernel, whose numbers are the same: half inflated is no network.
    report = load(ours(plain_basic), tmp_path / "f.pth", allow_partial=True)
    assert "backbone.layer2.0.downsample.0.weight" in {one.name for one in report.skipped}
