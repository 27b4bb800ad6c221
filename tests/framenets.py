"""Networks that work frame by frame, as tests build them, and clips for them."""

import torch

from network.frame2d import frame2d

TWO = {"verb": 3, "noun": 4}


def build(name="resnet18", tasks=3, frames=4, size=64, seed=0, **options):
    torch.manual_seed(seed)
    return frame2d(name, tasks, frames=frames, size=size, **options)


def clip_of(frames=4, height=64, width=None, batch=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, frames, height, width or height, generator=generator)


def on_meta(name, tasks, **options):
    with torch.device("meta"):
        return build(name, tasks, size=224, **options)
