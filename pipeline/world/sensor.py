"""From radiance to an 8-bit picture: lens, exposure, white balance, noise.

T frames, H W pixel rows and columns.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.world.scene import Floats


def photograph(rng: np.random.Generator, radiance: Floats) -> NDArray[np.uint8]:
    """Images uint8 RGB, (T, H, W, 3), from linear radiance of the same shape.

    One camera setting per clip; exposure breathes a little and noise is new in every frame.
    """
    frames, height, width, _ = radiance.shape
    middle = float(np.median(radiance[0].mean(-1)))
    exposure = 0.22 / max(middle, 0.02) * float(np.exp(rng.normal(0, 0.22)))
    exposure = exposure**0.75 * 1.0
    balance = np.exp(rng.normal(0, 0.06, 3))
    breath = 1 + float(rng.uniform(0, 0.04)) * np.sin(np.arange(frames) * rng.uniform(0.1, 0.6))
    vignette = _vignette(height, width, float(rng.uniform(0, 0.35)))
    blur = float(rng.uniform(0, 0.55)) * width / 192
    gamma = float(rng.uniform(0.42, 0.5))
    noise = float(rng.uniform(0.003, 0.016))
    images = np.empty(radiance.shape, np.uint8)
    for t in range(frames):
        gain = (exposure * breath[t] * balance).astype(np.float32) * vignette
        light = radiance[t] * gain
        light = light / (1 + np.float32(0.25) * light)
        if blur > 0.2:
            light = cv2.GaussianBlur(light, (0, 0), blur)
        picture = cv2.pow(np.maximum(light, 0), gamma)
        grain = rng.standard_normal(picture.shape, dtype=np.float32)
        picture += grain * np.float32(noise)
        images[t] = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return images


def _vignette(height: int, width: int, strength: float) -> Floats:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    return (1 - np.float32(strength) * (x * x + y * y) / 2)[..., None]
