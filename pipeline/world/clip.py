"""One clip of the street world from nothing but its name: seed, split and number.

T frames, H W pixel rows and columns.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mila.data.sample import ClipArrays, Split
from pipeline.world.compose import compose
from pipeline.world.render import render
from pipeline.world.scene import Floats
from pipeline.world.sensor import photograph


@dataclass(frozen=True)
class StreetClip:
    """Consecutive frames of one world, with exact labels."""

    images: NDArray[np.uint8]
    """(T, H, W, 3), RGB."""
    semseg: NDArray[np.uint8]
    """(T, H, W), Cityscapes train ids."""
    depth: Floats
    """(T, H, W), metres along the optical axis; 0 in the sky and beyond 200 m."""
    flow: Floats
    """(T, H, W, 2): p of frame t was at p + flow in frame t - 1; NaN where hidden there."""
    intrinsics: tuple[float, float, float, float]
    """(fx, fy, cx, cy) in pixels; centres of pixels are whole numbers."""


def clip_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """The random numbers of a clip; those of different splits never coincide."""
    digest = hashlib.sha256(f"street/{seed}/{split}/{index}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def render_clip(
    *, seed: int, split: str, index: int, frames: int, height: int, width: int, fps: float
) -> StreetClip:
    """Build and render a world; the same arguments give the same bytes."""
    rng = clip_rng(seed, split, index)
    world = compose(rng, np.arange(frames) / fps, (height, width))
    rendered = render(world)
    return StreetClip(
        images=photograph(rng, rendered.radiance),
        semseg=rendered.semseg,
        depth=rendered.depth,
        flow=rendered.flow,
        intrinsics=world.camera.intrinsics,
    )


def render_sample(
    *, seed: int, split: Split, index: int, frames: int, height: int, width: int, fps: float
) -> ClipArrays:
    """The same clip as a sample of a data set, under a key made of split and number."""
    street = render_clip(
        seed=seed, split=split, index=index, frames=frames, height=height, width=width, fps=fps
    )
    key = f"{split}-{index:06d}"
    return ClipArrays(
        key=key,
        video=f"street-{seed}-{key}",
        split=split,
        fps=fps,
        start=0,
        images=street.images,
        semseg=street.semseg,
        depth=street.depth,
        flow=street.flow,
        intrinsics=street.intrinsics,
    )
