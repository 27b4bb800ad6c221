"""BN-Inception: its published names, shapes and wiring, and the sizes it takes."""

import pytest
import torch

from network.bninception import LEAST_SIZE, BNInception

pytestmark = pytest.mark.usefixtures("one_thread")


# Every convolution of the published files: name, channels in, channels out, kernel.
CONVOLUTIONS = """
conv1_7x7_s2 3 64 7
conv2_3x3_reduce 64 64 1
conv2_3x3 64 192 3
inception_3a_1x1 192 64 1
inception_3a_3x3_reduce 192 64 1
inception_3a_3x3 64 64 3
inception_3a_double_3x3_reduce 192 64 1
inception_3a_double_3x3_1 64 96 3
inception_3a_double_3x3_2 96 96 3
inception_3a_pool_proj 192 32 1
inception_3b_1x1 256 64 1
inception_3b_3x3_reduce 256 64 1
inception_3b_3x3 64 96 3
inception_3b_double_3x3_reduce 256 64 1
inception_3b_double_3x3_1 64 96 3
inception_3b_double_3x3_2 96 96 3
inception_3b_pool_proj 256 64 1
inception_3c_3x3_reduce 320 128 1
inception_3c_3x3 128 160 3
inception_3c_double_3x3_reduce 320 64 1
inception_3c_double_3x3_1 64 96 3
inception_3c_double_3x3_2 96 96 3
inception_4a_1x1 576 224 1
inception_4a_3x3_reduce 576 64 1
inception_4a_3x3 64 96 3
inception_4a_double_3x3_reduce 576 96 1
inception_4a_double_3x3_1 96 128 3
inception_4a_double_3x3_2 128 128 3
inception_4a_pool_proj 576 128 1
inception_4b_1x1 576 192 1
inception_4b_3x3_reduce 576 96 1
inception_4b_3x3 96 128 3
inception_4b_double_3x3_reduce 576 96 1
inception_4b_double_3x3_1 96 128 3
inception_4b_double_3x3_2 128 128 3
inception_4b_pool_proj 576 128 1
inception_4c_1x1 576 160 1
inception_4c_3x3_reduce 576 128 1
inception_4c_3x3 128 160 3
inception_4c_double_3x3_reduce 576 128 1
inception_4c_double_3x3_1 128 160 3
inception_4c_double_3x3_2 160 160 3
inception_4c_pool_proj 576 128 1
inception_4d_1x1 608 96 1
inception_4d_3x3_reduce 608 128 1
inception_4d_3x3 128 192 3
inception_4d_double_3x3_reduce 608 160 1
inception_4d_double_3x3_1 160 192 3
inception_4d_double_3x3_2 192 192 3
inception_4d_pool_proj 608 128 1
inception_4e_3x3_reduce 608 128 1
inception_4e_3x3 128 192 3
inception_4e_double_3x3_reduce 608 192 1
inception_4e_double_3x3_1 192 256 3
inception_4e_double_3x3_2 256 256 3
inception_5a_1x1 1056 352 1
inception_5a_3x3_reduce 1056 192 1
inception_5a_3x3 192 320 3
inception_5a_double_3x3_reduce 1056 160 1
inception_5a_double_3x3_1 160 224 3
inception_5a_double_3x3_2 224 224 3
inception_5a_pool_proj 1056 128 1
inception_5b_1x1 1024 352 1
inception_5b_3x3_reduce 1024 192 1
inception_5b_3x3 192 320 3
inception_5b_double_3x3_reduce 1024 192 1
inception_5b_double_3x3_1 192 224 3
inception_5b_double_3x3_2 224 224 3
inception_5b_pool_proj 1024 128 1
"""
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def published():
    """Key -> shape, in the order of the files."""
    shapes: dict[str, tuple[int, ...]] = {}
    for line in CONVOLUTIONS.split("\n")[1:-1]:
        name, *numbers = line.split()
        given, made, kernel = map(int, numbers)
        shapes[f"{name}.weight"] = (made, given, kernel, kernel)
        shapes[f"{name}.bias"] = (made,)
        shapes |= {f"{name}_bn.{one}": (made,) if one != NORM[-1] else () for one in NORM}
    return shapes


def test_keys_and_shapes_are_those_of_the_published_files():
    with torch.device("meta"):
        state = BNInception().state_dict()
    assert [(key, tuple(value.shape)) for key, value in state.items()] == [*published().items()]


def test_with_a_head_of_1000_classes_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in BNInception().parameters())
    assert count + 1024 * 1000 + 1000 == 11_295_240


def filled():
    """Weights that need no generator: waves, scaled so that every layer passes on what it gets."""
    network = BNInception().eval()
    with torch.no_grad():
        for number, (name, one) in enumerate(network.named_parameters()):
            wave = torch.sin(torch.arange(one.numel()) * 0.7 + number).reshape(one.shape)
            if one.ndim == 4:
                one.copy_(wave * (2 / one[0].numel()) ** 0.5 * 0.7)
            else:
                one.copy_(wave * 0.1 + name.endswith("_bn.weight"))
    return network


def picture(height, width):
    return torch.cos(torch.arange(3 * height * width) * 0.01).reshape(1, 3, height, width)


GOLDEN = [
    (64, 64, [0.431067, 0.196938, 0.046762, 0.316592, 436.9525]),
    (64, 96, [0.472973, 0.232507, 0.05547, 0.258487, 514.0846]),
    (128, 128, [0.393381, 0.107293, 0.659895, 0.2593, 399.7293]),
]


@pytest.mark.parametrize(("height", "width", "expected"), GOLDEN)
def test_the_wiring_is_the_published_one(height, width, expected):
    """Numbers of the published wiring with these weights: all branches, their order, each pool."""
    with torch.inference_mode():
        features = filled()(picture(height, width))[0]
    some = [features[i].item() for i in (1, 401, 701, 1005)] + [features.sum().item()]
    assert some == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("height", "width"), [(LEAST_SIZE, LEAST_SIZE), (32, 32), (64, 64), (80, 112), (57, 79)]
)
def test_sizes_of_which_the_published_pools_refuse_some(height, width):
    network = BNInception()
    features = network(torch.randn(2, 3, height, width))
    assert features.shape == (2, 1024)
    features.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_stages_hold_every_layer_once():
    with torch.device("meta"):
        network = BNInception()
    named = [name for stage in network.stages() for name in stage]
    assert named == [name for name, _ in network.named_children() if name != "before_blocks"]
    assert [stage[0] for stage in network.stages()] == [
        "conv1_7x7_s2", "conv2_3x3_reduce", "inception_3a_1x1", "inception_4a_1x1",
        "inception_5a_1x1"]  # fmt: skip
