"""Putting still things onto a street by (s, z): s metres right of its middle, z along it."""

from dataclasses import dataclass

import numpy as np

from pipeline.world.scene import Floats, Primitive, Shape, Skin
from pipeline.world.street import Street


@dataclass(frozen=True)
class Place:
    """Turns places on a street into primitives that stand still for T frames."""

    street: Street
    frames: int

    def solid(
        self, where: tuple[float, float, float], shape: Shape, skin: Skin, turn: float = 0.0
    ) -> Primitive:
        """A primitive at (s, z, y), in line with the road but for `turn` radians."""
        s, z, y = where
        heading = float(np.arctan(self.street.slope(z)))
        return Primitive(
            shape=shape,
            skin=skin,
            centers=self._at(s, z, y),
            yaws=np.full(self.frames, heading + turn, np.float32),
        )

    def _at(self, s: float, z: float, y: float) -> Floats:
        """Positions, (T, 3)."""
        slope = float(self.street.slope(z))
        lean = float(np.hypot(1.0, slope))
        point = [float(self.street.center(z)) + s / lean, y, z - s * slope / lean]
        return np.tile(np.array(point, np.float32), (self.frames, 1))


@dataclass(frozen=True)
class Plot:
    """A stretch of ground beside the road."""

    side: int
    """-1 left, 1 right."""
    line: float
    """Where it begins, |s| in metres."""
    z: float
    """Where it begins along the road."""
    length: float

    @property
    def middle(self) -> float:
        """The z of its middle."""
        return self.z + self.length / 2

    def set_back(self, metres: float) -> "Plot":
        """The same stretch further from the road."""
        return Plot(self.side, self.line + metres, self.z, self.length)
