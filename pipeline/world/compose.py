"""A whole random world for one clip: street, solids, weather, camera."""

from dataclasses import dataclass

import numpy as np

from pipeline.world import palette
from pipeline.world.camera import Camera
from pipeline.world.crowd import people
from pipeline.world.drive import drive
from pipeline.world.layout import roadside
from pipeline.world.light import Light
from pipeline.world.place import Place
from pipeline.world.scene import Color, Floats, Solids, pack
from pipeline.world.street import FAR_AWAY, SIDEWALK, TERRAIN, Bands, Street
from pipeline.world.traffic import vehicles


@dataclass(frozen=True)
class World:
    """Everything a clip shows."""

    street: Street
    solids: Solids
    light: Light
    camera: Camera


def compose(rng: np.random.Generator, seconds: Floats, shape: tuple[int, int]) -> World:
    """A random world seen at the given times by an image of (height, width) pixels."""
    street = random_street(rng)
    mine = drive(rng, street, seconds, shape)
    place = Place(street=street, frames=len(seconds))
    primitives = roadside(rng, place, mine.travel)
    primitives += vehicles(rng, street, mine, seconds)
    primitives += people(rng, street, mine, seconds)
    return World(
        street=street, solids=pack(primitives), light=random_light(rng), camera=mine.camera
    )


def random_street(rng: np.random.Generator) -> Street:
    """Course, cross-section and paint."""
    lanes = int(rng.choice([1, 1, 2]))
    lane = float(rng.uniform(2.9, 3.5))
    has_parking = bool(rng.random() < 0.5)
    half = lanes * lane + (float(rng.uniform(2.4, 2.8)) if has_parking else 0.0)
    grey = float(rng.uniform(0.07, 0.22))
    asphalt = palette.shade(rng, (grey, grey, grey), 0.05)
    other = grey * float(np.exp(rng.normal(0.5, 0.3)))
    has_crossing = rng.random() < 0.3
    lines = [i * lane * side for i in range(1, lanes) for side in (-1, 1)]
    wavelength = float(rng.uniform(90, 220))
    bend = float(rng.choice([0.0, rng.uniform(-0.012, 0.012)]))
    slab = float(rng.choice([0.0, rng.uniform(0.6, 1.4), rng.uniform(0.6, 1.4)]))
    return Street(
        amplitude=bend * (wavelength / (2 * np.pi)) ** 2,
        wavelength=wavelength,
        phase=float(rng.uniform(0, 2 * np.pi)),
        half_width=half,
        lanes=tuple((i + 0.5) * lane for i in range(lanes)),
        has_parking=has_parking,
        left=_bands(rng, half),
        right=_bands(rng, half),
        crossing_z=float(rng.uniform(14, 40)) if has_crossing else FAR_AWAY,
        crossing_half=float(rng.uniform(3, 5.5)),
        zebra_z=float(rng.uniform(6, 28)) if rng.random() < 0.25 else FAR_AWAY,
        lane_lines=(*sorted(lines), *([0.0] if rng.random() < 0.8 else [])),
        dash=float(rng.uniform(1.5, 4)),
        edge_line=bool(rng.random() < 0.4),
        asphalt=asphalt,
        pavement=palette.shade(rng, (other * 1.07, other, other * 0.92), 0.06),
        grass=palette.leaf_color(rng),
        paint=(0.62, 0.62, 0.6) if rng.random() < 0.85 else (0.6, 0.45, 0.08),
        slab=slab,
        patchiness=float(rng.uniform(0.05, 0.4)),
    )


def _bands(rng: np.random.Generator, half: float) -> Bands:
    walk = float(rng.uniform(1.6, 4.0))
    green = float(rng.uniform(1.0, 4.5))
    kind = rng.choice(4, p=[0.35, 0.3, 0.2, 0.15])
    if kind == 0:
        return Bands((half + walk, half + walk + 0.5), (SIDEWALK, SIDEWALK, SIDEWALK))
    if kind == 1:
        return Bands((half + walk, half + walk + green), (SIDEWALK, TERRAIN, TERRAIN))
    if kind == 2:
        return Bands((half + green, half + green + walk), (TERRAIN, SIDEWALK, TERRAIN))
    return Bands((half + green * 0.5, half + green * 1.5), (TERRAIN, TERRAIN, TERRAIN))


def random_light(rng: np.random.Generator) -> Light:
    """Time of day and weather."""
    elevation, azimuth = float(rng.uniform(0.22, 1.15)), float(rng.uniform(0, 2 * np.pi))
    sun = (
        float(np.cos(elevation) * np.sin(azimuth)),
        float(np.sin(elevation)),
        float(np.cos(elevation) * np.cos(azimuth)),
    )
    cloudiness = float(rng.choice([rng.uniform(0, 0.4), rng.uniform(0, 0.4), rng.uniform(0.5, 1)]))
    low = np.exp(-elevation * 2.2)
    strength = float(rng.uniform(1.1, 1.7)) * (1 - 0.95 * max(0.0, cloudiness - 0.35) / 0.65)
    warm = np.array([1.0, 1 - 0.25 * low, 1 - 0.55 * low]) * strength
    clear = 1 - 0.75 * cloudiness
    zenith = np.array([0.16, 0.32, 0.68]) * clear + np.array([0.5, 0.53, 0.58]) * (1 - clear)
    horizon = np.array([0.66, 0.74, 0.84]) * clear + np.array([0.62, 0.64, 0.67]) * (1 - clear)
    horizon = horizon + np.array([0.2, 0.03, -0.12]) * low * clear
    ambient = (0.55 * zenith + 0.45 * horizon) * float(rng.uniform(0.5, 0.75))
    return Light(
        sun=sun,
        sun_color=_color(warm),
        ambient=_color(ambient),
        horizon=_color(horizon),
        zenith=_color(zenith),
        cloudiness=cloudiness,
        haze=float(
            rng.choice(
                [rng.uniform(0.0005, 0.002), rng.uniform(0.0005, 0.002), rng.uniform(0.002, 0.008)]
            )
        ),
        cloud_shift=(float(rng.uniform(0, 60)), float(rng.uniform(0, 60))),
    )


def _color(values: Floats) -> Color:
    r, g, b = np.clip(values, 0.0, 3.0).tolist()
    return (r, g, b)
