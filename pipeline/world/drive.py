"""The camera's own drive: forward, turning, bobbing, drifting; and ways of others on the street.

T frames at given seconds; s metres right of the middle of the road, z metres along it.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.world.camera import Camera, rotations_of
from pipeline.world.movers import Path
from pipeline.world.scene import Floats
from pipeline.world.street import Street


@dataclass(frozen=True)
class Drive:
    """The camera and the lane it keeps free."""

    camera: Camera
    lane: float
    """S of the camera's lane."""
    speed: float
    """Metres per second."""
    travel: float
    """Metres from the first frame to the last."""


def drive(
    rng: np.random.Generator, street: Street, seconds: Floats, shape: tuple[int, int]
) -> Drive:
    """A random drive along the street, filmed in images of (height, width) pixels."""
    lane = float(rng.choice(street.lanes)) + float(rng.uniform(-0.2, 0.2))
    # Town speeds: mostly 3 to 8 m/s, up to 15.
    speed = 3 + 12 * float(rng.beta(0.8, 3.2))
    z = speed * seconds
    drift = float(rng.choice([0.0, 0.0, 1.0])) * float(rng.uniform(-0.5, 0.5))
    positions = on_street(street, lane + drift * _wave(rng, seconds, (1.3, 1.3)), z)
    bob = float(rng.uniform(0.0003, 0.003)) * _wave(rng, seconds, (6, 14))
    positions[:, 1] = float(rng.uniform(1.3, 2.0)) + 0.4 * bob
    camera = Camera(
        height=shape[0],
        width=shape[1],
        focal=shape[1] * float(rng.uniform(0.98, 1.06)),
        positions=positions.astype(np.float32),
        rotations=rotations_of(
            np.arctan(street.slope(z)) + _steering(rng, seconds),
            float(rng.uniform(-0.045, 0.02)) + bob,
            float(rng.normal(0, 0.008)) + float(rng.uniform(0, 0.008)) * np.sin(seconds * 5),
        ),
    )
    return Drive(camera=camera, lane=lane, speed=speed, travel=float(z[-1]))


def _steering(rng: np.random.Generator, seconds: Floats) -> Floats:
    """Heading against the road, (T,) radians: mostly steady, every fourth drive turns."""
    is_turning = rng.random() < 0.25
    rate = float(rng.uniform(-0.2, 0.2)) if is_turning else float(rng.normal(0, 0.015))
    start = float(rng.uniform(-0.5, 0.1)) * rate * float(seconds[-1])
    return start + rate * seconds + float(rng.uniform(0, 0.005)) * _wave(rng, seconds, (3, 9))


def _wave(rng: np.random.Generator, seconds: Floats, pace: tuple[float, float]) -> Floats:
    """A sine of random phase and a pace in radians per second from a range."""
    return np.sin(seconds * rng.uniform(*pace) + rng.uniform(0, 2 * np.pi))


def on_street(street: Street, s: Floats | float, z: Floats) -> Floats:
    """Ground points at (s, z), (T, 3)."""
    slope = street.slope(z)
    lean = np.hypot(1.0, slope)
    return np.stack([street.center(z) + s / lean, np.zeros_like(z), z - s * slope / lean], -1)


def along(street: Street, s: float, z: Floats, *, backwards: bool = False) -> Path:
    """The way of something that follows the road at `s`."""
    yaws = np.arctan(street.slope(z)) + (np.pi if backwards else 0.0)
    return Path(on_street(street, s, z), yaws)


def across(street: Street, s: Floats, z: float, *, leftwards: bool) -> Path:
    """The way of something that crosses the road at `z`."""
    here = np.full_like(s, z)
    turn = -np.pi / 2 if leftwards else np.pi / 2
    return Path(on_street(street, s, here), np.arctan(street.slope(here)) + turn)
