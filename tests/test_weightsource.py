"""Published weights: what a source means, from torchvision's and timm's caches, offline."""

import hashlib

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from network import vision
from network.model import Backbone, Network, Takes
from network.renaming import ours, unwrapped
from network.weights import load
from network.weightsource import fetched
from tests.smallnet import prefixed, small


@pytest.fixture
def no_connection(monkeypatch, tmp_path):
    """Caches of torch and of Hugging Face that are empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


SHUFFLE = "shufflenet_v2_x0_5"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (SHUFFLE, "torchvision"),
        (SHUFFLE, "torchvision:IMAGENET1K_V1"),
        ("of our own", f"torchvision:{SHUFFLE}"),
        ("of our own", f"torchvision:{SHUFFLE}:DEFAULT"),
    ],
)
def test_torchvisions_weights_come_from_its_cache(name, source, no_connection, monkeypatch):
    theirs, body = models.get_model(SHUFFLE), models.get_model(SHUFFLE)
    cache = no_connection / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(theirs.state_dict(), cache / "made.pth")
    digest = hashlib.sha256((cache / "made.pth").read_bytes()).hexdigest()
    file = (cache / "made.pth").rename(cache / f"made-{digest[:8]}.pth")
    entry = models.get_model_weights(SHUFFLE).__members__["IMAGENET1K_V1"]
    monkeypatch.setattr(entry.value, "url", f"https://nowhere.invalid/{file.name}")
    body.fc = nn.Identity()
    network = Network(name, Backbone(body, 1024, Takes(), ()), 1000)
    assert load(network, source, strict=True).is_exact
    assert torch.equal(network.heads.of("label").weight, theirs.fc.weight)
    assert torch.equal(network.backbone.get_parameter("conv5.0.weight"), theirs.conv5[0].weight)


VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d", "mvit_v1_b", "mvit_v2_s", "swin3d_t")


@pytest.mark.parametrize("name", VIDEO)
def test_every_published_name_of_torchvisions_video_networks_has_its_place(name):
    with torch.device("meta"):
        theirs = models.get_model(name).state_dict()
        network = getattr(vision, name)(400, frames=16, size=224)
    renamed = ours(unwrapped(prefixed(theirs, "module."), network), network)
    own = network.state_dict()
    assert renamed.keys() == own.keys()
    assert all(one.numel() == own[key].numel() for key, one in renamed.items())


def test_a_download_is_kept_and_checked_by_the_hash_in_its_name(no_connection):
    content = b"weights"
    good = no_connection / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    bad = no_connection / "net-00000000.pth"
    for path in (good, bad):
        path.write_bytes(content)
    kept = fetched(good.as_uri())
    good.unlink()
    assert fetched(good.as_uri()) == kept
    assert kept.read_bytes() == content
    kept.write_bytes(b"others")
    with pytest.raises(ValueError, match=f"{kept.name} is not what .*remove it to fetch it again"):
        fetched(good.as_uri())
    assert kept.read_bytes() == b"others"
    for path, message in ((bad, "invalid hash value"), (no_connection / "gone-12.pth", "No such")):
        with pytest.raises(ConnectionError, match=f"could not download .*{message}.*put it at"):
            fetched(path.as_uri())
        assert not (kept.parent / path.name).exists()


def test_timms_weights_come_from_its_cache(no_connection):
    theirs = timm.create_model("resnet10t", num_classes=1000)
    repository = no_connection / "hub" / "models--timm--resnet10t.c3_in1k"
    for folder in ("refs", "snapshots/1234"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text("1234")
    save_file(theirs.state_dict(), repository / "snapshots" / "1234" / "model.safetensors")
    for source in ("timm", "timm:resnet10t", "timm:resnet10t.c3_in1k"):
        backbone = Backbone(timm.create_model("resnet10t", num_classes=0), 512, Takes(), ())
        network = Network("timm:resnet10t", backbone, 1000)
        assert load(network, source, strict=True).is_exact
        assert torch.equal(network.heads.of("label").weight, theirs.get_parameter("fc.weight"))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("torchvision", ValueError, "no model 'small'.*as in torchvision:r3d_18"),
        ("torchvision:r3d_19", ValueError, "no model 'r3d_19'; the nearest are r3d_18"),
        ("torchvision:r3d_18:IMAGENET", ValueError, "'IMAGENET' of r3d_18; it has KINETICS400_V1"),
        ("torchvision:a:b:c", ValueError, "got 3 names"),
        ("timm:resnet10x", ValueError, "no model 'resnet10x'; the nearest are resnet10t"),
        ("timm:resnet10t.none", ValueError, r"of resnet10t it has resnet10t.c3_in1k"),
        ("timm:resnet10t", ConnectionError, "could not get timm's weights of resnet10t"),
        ("torchvison", ValueError, "no weight file torchvison; a source is a file, torchvision"),
    ],
)  # fmt: skip
def test_what_is_not_published_or_not_reached_is_one_sentence(
    source, error, message, no_connection
):
    with pytest.raises(error, match=message) as caught:
        load(small(), source)
    assert "\n" not in str(caught.value)
