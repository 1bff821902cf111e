"""Random materials; classes share colours and textures on purpose, so that only context tells.

A wall may wear the plaster of a house, a lorry the panels of a shed, grass the green of a hedge.
"""

import numpy as np

from pipeline.world.scene import Color, Material


def shade(rng: np.random.Generator, color: Color, spread: float = 0.15) -> Color:
    """A colour near another: brightness and tint vary."""
    bright = np.exp(rng.normal(0, spread))
    tint = np.exp(rng.normal(0, spread / 3, 3))
    r, g, b = np.clip(np.array(color) * bright * tint, 0.01, 0.95).tolist()
    return (r, g, b)


def masonry(rng: np.random.Generator) -> Color:
    """Plaster, brick, concrete or painted boards: houses, walls, fences and lorries share it."""
    choices: list[Color] = [
        (0.55, 0.48, 0.36),
        (0.62, 0.60, 0.56),
        (0.36, 0.35, 0.34),
        (0.30, 0.12, 0.07),
        (0.42, 0.22, 0.13),
        (0.24, 0.23, 0.23),
        (0.50, 0.40, 0.22),
        (0.33, 0.37, 0.42),
        (0.20, 0.15, 0.10),
        (0.17, 0.26, 0.24),
    ]
    return shade(rng, choices[int(rng.integers(len(choices)))], 0.2)


def paint(rng: np.random.Generator) -> Color:
    """Car and lorry paint, clothes, railings."""
    choices: list[Color] = [
        (0.60, 0.60, 0.60),
        (0.03, 0.03, 0.035),
        (0.25, 0.26, 0.28),
        (0.40, 0.03, 0.03),
        (0.04, 0.09, 0.30),
        (0.06, 0.20, 0.12),
        (0.55, 0.40, 0.06),
        (0.16, 0.16, 0.18),
        (0.35, 0.30, 0.22),
    ]
    return shade(rng, choices[int(rng.integers(len(choices)))], 0.25)


def leaf_color(rng: np.random.Generator) -> Color:
    """Green, rarely autumnal: grass, hedges and trees share it."""
    choices: list[Color] = [
        (0.07, 0.14, 0.03),
        (0.11, 0.19, 0.05),
        (0.05, 0.10, 0.03),
        (0.16, 0.18, 0.05),
        (0.22, 0.15, 0.05),
    ]
    weights = [0.3, 0.3, 0.2, 0.13, 0.07]
    return shade(rng, choices[int(rng.choice(len(choices), p=weights))], 0.2)


def bark_color(rng: np.random.Generator) -> Color:
    """Trunks, and some posts."""
    choices: list[Color] = [(0.14, 0.10, 0.07), (0.20, 0.18, 0.16), (0.09, 0.07, 0.05)]
    return shade(rng, choices[int(rng.integers(3))], 0.2)


def post_color(rng: np.random.Generator) -> Color:
    """Lamp and sign posts: metal or concrete, a few as brown as a trunk."""
    if rng.random() < 0.2:
        return bark_color(rng)
    choices: list[Color] = [(0.30, 0.31, 0.32), (0.09, 0.10, 0.10), (0.46, 0.45, 0.42)]
    return shade(rng, choices[int(rng.integers(3))], 0.2)


def sign_color(rng: np.random.Generator) -> Color:
    """The ground of a traffic sign."""
    choices: list[Color] = [(0.03, 0.10, 0.42), (0.55, 0.40, 0.03), (0.50, 0.03, 0.03)]
    return shade(rng, choices[int(rng.integers(3))], 0.2)


def plain(color: Color, noise_amount: float = 0.1, noise_scale: float = 2.0) -> Material:
    """A surface without a pattern."""
    return Material(color=color, noise_amount=noise_amount, noise_scale=noise_scale)


def foliage(color: Color) -> Material:
    """Leaves."""
    return Material(color=color, noise_amount=0.45, noise_scale=3.1, leafy=1.0)


def _masonry_joints(rng: np.random.Generator) -> dict[str, float]:
    """A pattern of joints: none, bricks, slabs or boards."""
    pattern = rng.choice(4, p=[0.35, 0.3, 0.2, 0.15])
    strength = float(rng.uniform(0.25, 0.7))
    if pattern == 0:
        return {}
    if pattern == 1:
        size = float(rng.uniform(0.3, 0.6))
        return {
            "joint_u": size,
            "joint_v": size / 2,
            "joint_width": 0.05,
            "stagger": 0.5,
            "joint_strength": strength,
        }
    if pattern == 2:
        size = float(rng.uniform(1.0, 2.5))
        return {
            "joint_u": size,
            "joint_v": size * 0.8,
            "joint_width": 0.07,
            "joint_strength": strength,
        }
    return {
        "joint_u": float(rng.uniform(0.18, 0.5)),
        "joint_width": 0.05,
        "joint_strength": strength,
    }


def facade(rng: np.random.Generator, height: float, blank: bool) -> Material:
    """A house front, with rows of windows unless blank."""
    color = masonry(rng)
    if blank:
        return Material(
            color=color,
            accent=shade(rng, (0.12, 0.12, 0.12)),
            noise_amount=0.15,
            noise_scale=0.8,
            **_masonry_joints(rng),
        )
    storey = float(rng.uniform(2.8, 3.6))
    return Material(
        color=color,
        accent=shade(rng, (0.07, 0.09, 0.12) if rng.random() < 0.75 else (0.35, 0.38, 0.4), 0.4),
        noise_amount=float(rng.uniform(0.08, 0.25)),
        noise_scale=0.9,
        pane_u=float(rng.uniform(1.6, 4.0)),
        pane_v=storey,
        pane_fill_u=float(rng.uniform(0.3, 0.8)),
        pane_fill_v=float(rng.uniform(0.4, 0.65)),
        pane_bottom=float(rng.choice([0.0, 0.0, storey])),
        pane_top=height - 0.5,
        plinth=float(rng.choice([0.0, rng.uniform(0.4, 1.2), storey])),
        **_masonry_joints(rng),
    )


def low_wall(rng: np.random.Generator) -> Material:
    """A free-standing wall."""
    return Material(
        color=masonry(rng),
        accent=shade(rng, (0.12, 0.12, 0.12)),
        noise_amount=0.18,
        noise_scale=0.8,
        **_masonry_joints(rng),
    )


def boards(rng: np.random.Generator) -> Material:
    """A fence: upright boards, or bars before the dark green behind them."""
    if rng.random() < 0.5:
        color = shade(rng, (0.25, 0.17, 0.10), 0.35)
        return Material(
            color=color,
            accent=(0.03, 0.03, 0.02),
            joint_u=float(rng.uniform(0.2, 0.5)),
            joint_width=0.07,
            joint_strength=0.85,
            noise_amount=0.2,
        )
    bars = paint(rng)
    return Material(
        color=shade(rng, (0.08, 0.10, 0.05), 0.3),
        accent=bars,
        noise_amount=0.35,
        joint_u=float(rng.uniform(0.35, 0.8)),
        joint_v=float(rng.uniform(0.6, 1.2)),
        joint_width=0.14,
        joint_strength=0.95,
    )
