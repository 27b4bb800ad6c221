"""Run plans on a device with torch: the twin of data/render.py, step for step.

    clips = render_batch(frames, plans, side=224)       # uint8 BTHWC, where the frames are

Values are rounded to 8 bits where OpenCV rounds them, so both give the same pictures but for the
last bits of interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from data.plan import HUES, KEEP, HueShift, Matrix, Noise, Placement, Plan, hue_steps, kernel, place
from data.render import pixels

# OpenCV counts in shares of whole numbers:
FULL = 1 << 11  # the weights of two neighbours
WEIGHTS = 1 << 10  # the numbers of a colour matrix
ONE = 1 << 12  # hues and saturations
# On the wheel of six sectors: which shade of a colour is its red, green and blue. The first is
# the brightest, the second the darkest, the others fall and rise from sector to sector.
SECTORS = ((0, 2, 1, 1, 3, 0), (3, 0, 0, 2, 1, 1), (1, 1, 3, 0, 0, 2))


def render_batch(frames: Sequence[Tensor], plans: Sequence[Plan], side: int) -> Tensor:
    """Clips of any picture sizes (uint8 THWC) to one batch of squares (uint8 BTHWC)."""
    return torch.stack([render(clip, plan, side) for clip, plan in zip(frames, plans, strict=True)])


def render(frames: Tensor, plan: Plan, side: int) -> Tensor:
    """One clip: uint8 THWC to uint8 T x side x side x 3, on the device of the frames."""
    height, width = frames.shape[1:3]
    placement = place(plan, (width, height), side)
    clip = _region(frames, placement)
    if placement.matrix is None:
        clip = _stretched(clip, side)
        clip = clip.flip(-1) if placement.flip else clip
    else:
        clip = _bytes(_look_up(clip, placement.matrix, side))
    blurring = kernel(plan.blur, side)
    if blurring is not None:
        clip = _bytes(_blurred(clip, blurring))
    clip = _recoloured(clip, plan.before)
    if plan.hue is not None:
        clip = _shifted(clip, plan.hue)
    clip = _recoloured(clip, plan.after)
    if plan.noise is not None:
        clip = _noisy(clip, plan.noise)
    for erased in plan.erased:
        left, top, right, bottom = pixels(erased.box, side)
        colour = torch.tensor(erased.colour, dtype=clip.dtype, device=clip.device)
        clip[..., top:bottom, left:right] = colour[:, None, None]
    return clip.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _bytes(clip: Tensor) -> Tensor:
    """Values as 8 bits hold them."""
    return clip.round_().clamp_(0, 255)


def _region(frames: Tensor, placement: Placement) -> Tensor:
    """The part that is looked at, as float TCHW, averaged where it is shrunk by more than a bit."""
    left, top, right, bottom = placement.region
    part = frames[:, top:bottom, left:right].permute(0, 3, 1, 2).float()
    across, down = placement.shrink
    if across == down == 1:
        return part
    averages = functional.avg_pool2d(part, (down, across))
    return averages.add_(0.5).floor_() if across == down == 2 else _bytes(averages)


def _stretched(clip: Tensor, side: int) -> Tensor:
    """Bilinear, in OpenCV's whole numbers, cut where it cuts them: an eighth too dark."""
    left, right, share = _neighbours(clip.shape[3], side, clip.device)
    pixels = clip.int()
    mixed = pixels.index_select(3, left) * (FULL - share) + pixels.index_select(3, right) * share
    mixed >>= 4
    upper, lower, share = _neighbours(clip.shape[2], side, clip.device)
    share = share[:, None]
    above = mixed.index_select(2, upper) * (FULL - share) >> 16
    below = mixed.index_select(2, lower) * share >> 16
    return (above + below + 2 >> 2).float()


def _neighbours(length: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel of the square the two it lies between, and the second one's weight."""
    places = ((np.arange(side) + 0.5) * length / side - 0.5).clip(0, length - 1)
    first = np.floor(places)
    second = np.minimum(first + 1, length - 1)
    share = np.rint((places - first) * FULL)
    found = torch.from_numpy(np.stack([first, second, share]).astype(np.int32))
    one, other, weight = found.to(device)
    return one, other, weight


def _look_up(clip: Tensor, matrix: np.ndarray, side: int) -> Tensor:
    """Each pixel from where the matrix says; black beyond the picture."""
    height, width = clip.shape[2:]
    steps = np.arange(side, dtype=np.float64)
    x, y, depth = (row[0] * steps + (row[1] * steps + row[2])[:, None] for row in matrix)
    x, y = x / depth, y / depth
    # grid_sample counts from -1 at the first pixel's edge to 1 at the last one's.
    grid = np.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], axis=-1)
    places = torch.from_numpy(grid.astype(np.float32)).to(clip.device)
    return functional.grid_sample(clip, places.expand(len(clip), -1, -1, -1), align_corners=False)


def _blurred(clip: Tensor, blurring: np.ndarray) -> Tensor:
    reach = len(blurring) // 2
    weights = torch.from_numpy(blurring).to(clip.device).expand(3, 1, -1, -1)
    padded = functional.pad(clip, (reach,) * 4, mode="reflect")
    return functional.conv2d(padded, weights, groups=3)


def _recoloured(clip: Tensor, matrix: Matrix) -> Tensor:
    if matrix == KEEP:
        return clip
    numbers = torch.tensor(matrix, dtype=clip.dtype, device=clip.device)
    numbers = (numbers * WEIGHTS).round_() / WEIGHTS
    mixed = torch.einsum("oc,tchw->tohw", numbers[:, :3], clip)
    return (mixed + numbers[:, 3, None, None]).add_(0.5).floor_().clamp_(0, 255)


def _shifted(clip: Tensor, shift: HueShift) -> Tensor:
    """Through HSV of 180 hues and 256 saturations, as 8-bit pictures have them."""
    turn, change = hue_steps(shift)
    value, least = clip.amax(1), clip.amin(1)
    chroma = value - least
    red, green, blue = clip.unbind(1)
    sixths = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma),
    )
    # Times what a step is, not divided by their number: what is cut below tells them apart.
    hue = _shares(sixths, chroma, HUES / 6).add(turn).remainder(HUES) * (6 / HUES)
    saturation = _shares(chroma, value, 255).add(change).clamp(0, 255) * (1 / 255)
    sector = hue.floor()
    within = hue - sector
    paler = (saturation, saturation * within, saturation * (1 - within))
    shades = torch.stack([value, *(value * (1 / 255) * (1 - pale) * 255 for pale in paler)], 1)
    sectors = torch.tensor(SECTORS, device=clip.device)[:, sector.long()]
    return shades.gather(1, sectors.transpose(0, 1)).floor_()


def _shares(part: Tensor, whole: Tensor, steps: float) -> Tensor:
    """`steps` times part by whole, to whole steps: in whole numbers, as OpenCV counts them."""
    table = [0, *(round(steps * ONE / number) for number in range(1, 256))]
    factors = torch.tensor(table, dtype=torch.int32, device=part.device)[whole.int()]
    return (part.int() * factors + ONE // 2) // ONE


def _noisy(clip: Tensor, noise: Noise) -> Tensor:
    """The very field that the CPU adds."""
    count, _, side, _ = clip.shape
    fields = [
        noise.field(frame, 3 * side * side) for frame in range(count if noise.per_frame else 1)
    ]
    values = np.stack(fields).reshape(-1, side, side, 3).transpose(0, 3, 1, 2)
    return (clip + torch.from_numpy(values.astype(np.float32)).to(clip.device)).clamp_(0, 255)
