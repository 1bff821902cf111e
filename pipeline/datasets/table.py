"""The table of data sets; a new one is a new row."""

from pipeline.datasets.camvid import CAMVID
from pipeline.datasets.cityscapes import CITYSCAPES
from pipeline.datasets.kitti_step import KITTI_STEP
from pipeline.datasets.nyud import NYUD
from pipeline.datasets.recording import DataSet
from pipeline.datasets.rgbd import RGBD

DATA_SETS: dict[str, DataSet] = {
    "camvid": CAMVID,
    "cityscapes": CITYSCAPES,
    "kitti_step": KITTI_STEP,
    "nyud": NYUD,
    "rgbd": RGBD,
}
"""Name on the command line to data set."""
