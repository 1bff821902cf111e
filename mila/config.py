"""Every setting as one tree of frozen models: bounds, units and a sentence for each.

Sections are passed down, never the whole tree; leaf modules take plain keyword arguments.
Fields made by `same_result` do not change what is learnt and stay out of a run's identity.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mila.model_settings import (
    EncoderSettings,
    FusionSettings,
    ModelSettings,
    PropagationSettings,
)
from mila.settings import Settings, same_result

__all__ = [
    "ClusterSettings",
    "DataSettings",
    "EncoderSettings",
    "EvaluationSettings",
    "FusionSettings",
    "LossSettings",
    "ModelSettings",
    "Params",
    "PropagationSettings",
    "Settings",
    "StageSettings",
    "SweepSettings",
    "TrackingSettings",
    "TrainSettings",
    "WorldSettings",
]


class WorldSettings(Settings):
    """The procedural street world."""

    seed: int = Field(default=0, ge=0)
    """Seed of all worlds; train, val and test worlds are disjoint under every seed."""
    height: int = Field(default=96, ge=32)
    """Image height, pixels."""
    width: int = Field(default=192, ge=32)
    """Image width, pixels."""
    frames: int = Field(default=12, ge=2, le=99)
    """Frames of a clip."""
    train_clips: int = Field(default=280, ge=1)
    """Training clips; each is its own world."""
    val_clips: int = Field(default=24, ge=1)
    """Validation clips."""
    test_clips: int = Field(default=40, ge=1)
    """Test clips."""
    fps: float = Field(default=17.0, gt=0)
    """Frames per second of the motion."""
    quality: int = Field(default=95, ge=50, le=100)
    """JPEG quality of the frames."""
    workers: int = same_result(0, ge=0)
    """Processes that render; 0 = one per core."""


class DataSettings(Settings):
    """Which shards are read, and how."""

    root: str = "data/street"
    """Folder or s3:// prefix that holds the manifest and the shards."""
    tail: Literal["drop", "wrap"] = "drop"
    """What happens to the clips that do not fill a last global batch of an epoch."""
    flip: bool = True
    """Mirror half of the training clips."""
    colour: float = Field(default=0.2, ge=0, le=1)
    """Strength of brightness, contrast and saturation changes; 0 = none."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Random zoom of training clips, smallest and largest factor; the crop keeps the size."""
    crop: tuple[int, int] | None = None
    """Training crop, height and width in pixels; none = the whole image."""
    clips_from_stills: bool = False
    """Make clips of single labelled stills by a smooth random homography over time."""
    loader_workers: int = same_result(1, ge=0)
    """Loader processes of each training process; 0 = in the training process itself."""
    cache: str | None = same_result(None)
    """Local folder for clips read from s3://; none = no cache."""
    cache_gib: float = same_result(10.0, gt=0)
    """Size limit of the cache, GiB."""


class LossSettings(Settings):
    """What training minimises."""

    semseg: float = Field(default=1.0, ge=0)
    """Weight of the cross-entropy."""
    depth: float = Field(default=2.0, ge=0)
    """Weight of the relative error of depth."""
    normals: float = Field(default=1.0, ge=0)
    """Weight of 1 - cosine."""
    task_weighting: Literal["fixed", "uncertainty"] = "fixed"
    """Fixed weights, or learned ones by homoscedastic uncertainty."""
    hard_pixels: float = Field(default=1.0, gt=0, le=1)
    """Share of the hardest pixels the cross-entropy keeps; 1 = all."""
    slow: float = Field(default=1.0, ge=0)
    """Joint stage: weight of the slow heads' task loss; without effect when slow is frozen."""
    soft: float = Field(default=0.5, ge=0)
    """Joint stage: weight of the slow network's predictions as soft targets; 0 = off."""
    distil: float = Field(default=0.0, ge=0)
    """Fast network alone: weight of the slow network's predictions as soft targets; 0 = off."""
    fused: float = Field(default=0.5, ge=0)
    """Joint stage: weight of L1 between fused and slow features of the same frame; 0 = off."""
    propagated: float = Field(default=0.0, ge=0)
    """Joint stage: weight of L1 between propagated and slow features of the same frame; 0 = off."""
    align: float = Field(default=0.1, ge=0)
    """Joint stage: alpha, weight of L1 between normalised slow and fast features; 0 = off."""
    adversary: Literal["none", "reversal", "alternating"] = "reversal"
    """Joint stage: how slow and fast features are made indistinguishable."""
    beta: float = Field(default=0.01, ge=0)
    """Joint stage: weight of the adversarial term once ramped up."""
    discriminator_rate: float = Field(default=1.0, gt=0)
    """Learning rate of the discriminator, times that of the networks."""
    spectral_norm: bool = True
    """Keep the discriminator's layers from growing: divide each by its largest singular value."""
    ramp: float = Field(default=0.2, ge=0, le=1)
    """Share of the joint stage over which beta rises from 0."""
    gradient: Literal["both", "fast", "frozen"] = "frozen"
    """Who receives alignment gradients: both, the fast encoder only, or slow frozen altogether."""

    @property
    def needs_slow(self) -> bool:
        """Whether the joint stage needs the slow network on supervised frames."""
        weights = (self.soft, self.fused, self.propagated, self.align)
        return self.gradient != "frozen" or self.adversary != "none" or any(weights)


class StageSettings(Settings):
    """One stage of training."""

    updates: int = Field(default=1000, ge=0)
    """Optimisation steps; 0 skips the stage."""
    batch_size: int = Field(default=16, ge=1)
    """Clips per update over all workers."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW; or Muon for kernels of hidden convolutions, AdamW for the rest."""
    learning_rate: float = Field(default=0.002, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay."""
    warmup: float = Field(default=0.05, ge=0, le=1)
    """Share of the updates over which the learning rate rises; then it falls as a half cosine."""


class TrainSettings(Settings):
    """How the networks are trained: slow and fast per frame, then jointly on clips."""

    seed: int = Field(default=0, ge=0)
    """Seed of initialisation, data order and augmentation."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Autocast type; auto = bfloat16 on GPUs and on CPUs with native bfloat16, else float32."""
    slow: StageSettings = StageSettings(updates=2800, batch_size=8, learning_rate=0.003)
    """Slow network per frame."""
    fast: StageSettings = StageSettings(updates=1000, learning_rate=0.004)
    """Fast network per frame."""
    joint: StageSettings = StageSettings(updates=1000)
    """All on clips with random offsets."""
    max_offset: int = Field(default=6, ge=1)
    """Largest distance from the keyframe drawn in the joint stage."""
    supervised: int = Field(default=1, ge=1)
    """Joint stage: consecutive frames of a clip that are supervised; all of them share its one
    keyframe. Those that lie before it do not count."""
    clip_gradient: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the weight average that is evaluated and exported; 0 = off."""
    report_every: int = same_result(200, ge=1)
    """Updates between reports; each report is also a checkpoint."""
    start_from: str | None = None
    """Exported weights to start from instead of random ones."""


class ClusterSettings(Settings):
    """What a run asks of Ray."""

    num_workers: int = same_result(1, ge=0)
    """Training processes; 0 = no Ray, in this process."""
    min_workers: int | None = same_result(None, ge=1)
    """Elastic training: smallest number of workers to go on with; none = always num_workers."""
    cpus_per_worker: float = same_result(2, gt=0)
    """CPUs of one training process; also its torch threads."""
    use_gpu: bool = same_result(False)
    """One GPU per training process."""
    storage: str = same_result("runs")
    """Folder or s3:// prefix of checkpoints and journals."""
    max_failures: int = same_result(3, ge=0)
    """Worker failures survived before the run gives up."""
    keep_checkpoints: int = same_result(2, ge=1)
    """Newest checkpoints kept."""
    checkpoint_failures: int = same_result(2, ge=0)
    """Checkpoints that may fail in a row, each after its own retries, while training goes on."""


class SweepSettings(Settings):
    """The grid of flows/tune.py: every trial trains the joint stage from the same encoders."""

    keyframe_intervals: tuple[int, ...] = (3, 6)
    """Values of the keyframe interval; the joint stage draws offsets below it."""
    radii: tuple[int, ...] = (2, 4)
    """Values of model.propagation.radius."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of every grid point."""
    updates: int = Field(default=80, ge=1)
    """Updates of the joint stage in a trial."""
    grace: float = Field(default=0.5, gt=0, le=1)
    """ASHA: share of a trial's frames it may always process."""
    concurrent: int = same_result(1, ge=1)
    """Trials at a time."""


class EvaluationSettings(Settings):
    """What flows/evaluate.py measures."""

    split: Literal["train", "val", "test"] = "test"
    """Split that is scored."""
    keyframe_interval: int = Field(default=5, ge=1)
    """The interval of the headline numbers."""
    intervals: tuple[int, ...] = (1, 2, 3, 5, 10)
    """All intervals measured."""
    depth_limit: float = Field(default=80.0, gt=0)
    """Truth beyond it is left out, predictions are clamped to it; metres."""
    latency_frames: int = Field(default=60, ge=5)
    """Frames of the latency measurement."""
    threads: int = same_result(1, ge=1)
    """Torch threads while latency is measured."""


class TrackingSettings(Settings):
    """Where runs are recorded; addresses come from the environment (MLFLOW_TRACKING_URI)."""

    experiment: str = same_result("mila")
    """MLflow experiment."""
    registered_model: str = same_result("mila")
    """Name in the model registry; empty = do not register."""
    enabled: bool = same_result(True)
    """Record to MLflow at all."""


class Params(Settings):
    """The whole tree, as in params.yaml."""

    world: WorldSettings = WorldSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    train: TrainSettings = TrainSettings()
    cluster: ClusterSettings = ClusterSettings()
    sweep: SweepSettings = SweepSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()

    @property
    def joint_walk(self) -> int:
        """Frames that the joint stage walks after a keyframe, up to the last supervised one."""
        return max(self.train.supervised, 2 if self.model.propagation.attends_frame_before else 1)

    @model_validator(mode="after")
    def _no_setting_without_effect(self) -> Params:
        if (
            self.loss.adversary == "none"
            and self.loss.beta > 0
            and "beta" in self.loss.model_fields_set
        ):
            raise ValueError(
                "loss.beta has no effect with loss.adversary=none; leave it out or set 0"
            )
        if self.train.supervised > self.train.max_offset:
            raise ValueError(
                f"train.supervised={self.train.supervised}: no clip has more frames after its "
                f"keyframe than train.max_offset={self.train.max_offset}"
            )
        return self
