"""Read a whole data set, compare two readings; where each tree keeps a label and a depth."""

import numpy as np

from pipeline.datasets.table import DATA_SETS
from pipeline.making import make_clip

LABELS = {
    "camvid": "valannot/0016E5_07961.png",
    "cityscapes": "gtFine/train/aachen/aachen_000003_000019_gtFine_labelIds.png",
    "kitti_step": "0000/000001_panoptic.png",
}
DEPTHS = {
    "cityscapes": "disparity/train/aachen/aachen_000003_000019_disparity.png",
    "kitti_step": "0000/000001_depth.png",
    "rgbd": "red.kitchen/seq-01/frame-000001.depth.png",
}


def clips_of(name, root):
    clips = [make_clip(recording) for recording in DATA_SETS[name].find(root, {})]
    return {clip.key: clip for clip in clips}


def assert_same(clips, others):
    assert clips.keys() == others.keys()
    for key, clip in clips.items():
        for part in ("images", "semseg", "depth", "normals"):
            np.testing.assert_array_equal(getattr(clip, part), getattr(others[key], part))
