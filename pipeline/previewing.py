"""A page that shows what clips hold: frames, labels over them, depth, what is known, motion.

T frames, H rows, W columns. Pictures are inside the page; it needs nothing else.
"""

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mila.data.manifest import ClipRow
from mila.data.sample import LABEL_FIELDS, SPLITS, ClipArrays
from mila.panels import class_colours, normal_colours, overlay
from mila.tasks import IGNORE_LABEL, LABEL_SETS
from pipeline.datasets.files import listed
from pipeline.page.pictures import class_legend

_WIDTH = 360
_FASTEST_SHARE = 0.05
"""Flow of this share of the image width has full colour."""
_STYLE = Path(__file__).parent / "page" / "style.css"
_OWN_STYLE = """
main { max-width: none; }
table.contents { width: auto; margin: 10px 14px; }
section > .scroll + p { margin-top: 14px; }
.contents td, .contents th { padding: 3px 18px 3px 0; text-align: left; }
table.frames { width: auto; margin: 10px 14px; }
.frames td, .frames th { padding: 3px; border: 0; text-align: left; vertical-align: middle; }
.frames th { font-size: 13px; font-weight: 600; color: var(--soft); white-space: nowrap; }
.frames img { display: block; width: 300px; border-radius: 4px; outline: 1px solid var(--rule); }
"""

Picture = npt.NDArray[np.uint8]


def page(
    title: str,
    rows: Sequence[ClipRow],
    clips: Sequence[tuple[ClipRow, ClipArrays]],
    *,
    frames: int,
) -> str:
    """The page, as HTML.

    Args:
        title: Name of the data.
        rows: Everything the data set holds, for the table at the top.
        clips: The clips to show, whole.
        frames: Frames shown of each clip, evenly spread, the last one included.
    """
    sets = sorted({row.label_set for row, _ in clips if "semseg" in row.labels})
    legends = "".join(class_legend(name) for name in sets)
    body = "".join(_clip(row, clip, frames) for row, clip in clips)
    style = _STYLE.read_text() + _OWN_STYLE
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style}</style><main><h1>{escape(title)}</h1>"
        f"<section>{_contents(rows)}{_KEY}{legends}</section>{body}</main></html>\n"
    )


def _contents(rows: Sequence[ClipRow]) -> str:
    """A table of what every split holds."""
    head = ("split", "clips", "videos", "frames", "size", "frames with")
    lines = [f"<tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>"]
    for split in SPLITS:
        if own := [row for row in rows if row.split == split]:
            lines.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _counts(own))}</tr>")
    return f'<div class="scroll"><table class="contents">{"".join(lines)}</table></div>'


def _counts(rows: Sequence[ClipRow]) -> tuple[str, ...]:
    labelled = [(what, sum(len(row.labelled([what])) for row in rows)) for what in LABEL_FIELDS]
    return (
        rows[0].split,
        str(len(rows)),
        str(len({row.video for row in rows})),
        str(sum(row.frames for row in rows)),
        listed(sorted({f"{row.height}x{row.width}" for row in rows})),
        ", ".join(f"{what} {count}" for what, count in labelled if count) or "no label",
    )


_KEY = (
    "<p>Depth: near is bright, far is dark. Known: white has class and depth, orange class only, "
    "blue depth only, black neither. Motion: colour is direction, strength is speed, black is "
    "unknown; where a set has no flow, the difference from the frame before.</p>"
)


def shown_frames(count: int, labelled: Sequence[int], wanted: int) -> list[int]:
    """Evenly spread frames, the last one included; a sparse label is shown in any case."""
    spread = {round(i) for i in np.linspace(0, count - 1, min(wanted, count))}
    if len(labelled) < count and not spread & set(labelled):
        spread |= set(labelled[-1:])
    return sorted(spread | {count - 1})


def flow_colours(flow: npt.NDArray[np.float32]) -> Picture:
    """Direction as hue, speed as strength, (H, W, 3); unknown is black."""
    known = ~np.isnan(flow).any(axis=-1)
    u, v = (np.where(known, flow[..., i], 0) for i in range(2))
    hue = np.degrees(np.arctan2(v, u)) % 360 / 2  # OpenCV counts hue to 180
    speed = np.hypot(u, v) / (_FASTEST_SHARE * flow.shape[1])
    strength = np.clip(speed, 0, 1) * 255
    hsv = np.stack([hue, strength, np.full_like(hue, 255)], axis=-1).astype(np.uint8)
    picture = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
    picture[~known] = 0
    return picture


def depth_colours(depth: npt.NDArray[np.float32], near: float, far: float) -> Picture:
    """Bright at `near` metres, dark at `far`, logarithmic, (H, W, 3); unknown is black."""
    known = depth > 0
    span = max(np.log(far / near), 1e-3)
    share = 1 - np.log(np.where(known, depth, far) / near) / span
    values = np.clip(30 + 225 * share, 30, 255).astype(np.uint8)  # black is for the unknown
    picture = cv2.cvtColor(cv2.applyColorMap(values, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
    picture[~known] = 0
    return np.asarray(picture, np.uint8)


def known_pixels(semseg: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> Picture:
    """White where class and depth are known, orange class only, blue depth only, (H, W, 3)."""
    picture = np.zeros((*semseg.shape, 3), np.uint8)
    has_class, has_depth = semseg != IGNORE_LABEL, depth > 0
    picture[has_class] = (240, 150, 60)
    picture[has_depth] = (70, 130, 220)
    picture[has_class & has_depth] = 255
    return picture


def difference(image: Picture, before: Picture) -> Picture:
    """How much grey changed since the frame before, (H, W, 3)."""
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (image, before)]
    change = cv2.convertScaleAbs(cv2.absdiff(grey[0], grey[1]), alpha=3)
    return np.repeat(np.asarray(change, np.uint8)[..., None], 3, axis=-1)


def _clip(row: ClipRow, clip: ClipArrays, wanted: int) -> str:
    chosen = shown_frames(row.frames, row.labelled(("semseg", "depth", "normals")), wanted)
    drawn = [(name, [_cell(draw(t)) for t in chosen]) for name, draw in _drawings(row, clip)]
    if len(chosen) == 1:  # a still lies on its side
        head = "".join(f"<th>{name}</th>" for name, _ in drawn)
        lines = f"<tr><th></th>{''.join(cells[0] for _, cells in drawn)}</tr>"
    else:
        head = "".join(f"<th>frame {row.start + t}</th>" for t in chosen)
        lines = "".join(f"<tr><th>{name}</th>{''.join(cells)}</tr>" for name, cells in drawn)
    number = "1 frame" if row.frames == 1 else f"{row.frames} frames"
    facts = (
        f"{row.split}, video {row.video}, {number} of {row.height}x{row.width} at "
        f"{row.fps:g}/s, labels: {', '.join(row.labels) or 'none'}"
    )
    return (
        f"<section><h2>{escape(row.key)}</h2><p>{escape(facts)}</p>"
        f'<div class="scroll"><table class="frames"><tr><th></th>{head}</tr>{lines}</table></div>'
        "</section>"
    )


def _drawings(row: ClipRow, clip: ClipArrays) -> list[tuple[str, Callable[[int], Picture | None]]]:
    """The lines of a clip: a name and what is drawn for a frame; lines without a label go."""
    label_set = LABEL_SETS[row.label_set]
    known_depth = clip.depth[clip.depth > 0]
    near, far = np.percentile(known_depth, (1, 99)) if known_depth.size else (1.0, 2.0)

    def classes(t: int) -> Picture | None:
        known = (clip.semseg[t] != IGNORE_LABEL).any()
        return overlay(clip.images[t], class_colours(clip.semseg[t], label_set)) if known else None

    def depth(t: int) -> Picture | None:
        return depth_colours(clip.depth[t], near, far) if clip.depth[t].any() else None

    def normals(t: int) -> Picture | None:
        drawn = clip.normals is not None and clip.normals[t].any()
        return normal_colours(clip.normals[t].transpose(2, 0, 1)) if drawn else None

    def motion(t: int) -> Picture | None:
        if clip.flow is not None and not np.isnan(clip.flow[t]).all():
            return flow_colours(clip.flow[t])
        return difference(clip.images[t], clip.images[t - 1]) if t else None

    lines: list[tuple[str, str | None, Callable[[int], Picture | None]]] = [
        ("image", None, lambda t: clip.images[t]),
        ("classes", "semseg", classes),
        ("depth", "depth", depth),
        ("normals", "normals", normals),
        ("known", None, lambda t: known_pixels(clip.semseg[t], clip.depth[t])),
    ]
    if row.frames > 1:
        lines.append(("motion", None, motion))
    return [(name, draw) for name, label, draw in lines if label is None or label in row.labels]


def _cell(picture: Picture | None) -> str:
    if picture is None:
        return "<td></td>"
    return f'<td><img alt="" src="data:image/jpeg;base64,{_encoded(picture)}"></td>'


def _encoded(picture: Any) -> str:
    height, width = picture.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, 88))
    return base64.b64encode(data.tobytes()).decode()
