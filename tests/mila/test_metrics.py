"""Metrics by hand on a few pixels, against public libraries, and added up = at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, mean_absolute_percentage_error
from torchmetrics.classification import MulticlassJaccardIndex

from mila.metrics import Confusion, DepthErrors, NormalErrors, build_metrics, decided, delta_m


def test_confusion_by_hand() -> None:
    confusion = Confusion(3)

    confusion.add(torch.tensor([[[0, 0, 1, 2, 2]]]), torch.tensor([[[0, 1, 1, 1, 255]]]))

    assert confusion.sums.tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert confusion.iou()[:2] == [1 / 2, 1 / 3]
    assert math.isnan(confusion.iou()[2])
    # Class 2 is predicted but never true: it is not part of the mean.
    assert confusion.compute() == {
        "mean_iou": pytest.approx((1 / 2 + 1 / 3) / 2),
        "pixel_accuracy": 0.5,
    }


@pytest.mark.parametrize("classes", [2, 19])
def test_mean_iou_agrees_with_public_libraries(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(3, classes, 11, 13, generator=generator)
    labels = torch.randint(0, classes, (3, 11, 13), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = 255
    confusion = Confusion(classes)

    confusion.add(logits, labels)

    counted = labels != 255
    ids = logits.argmax(dim=1)
    scikit = jaccard_score(labels[counted], ids[counted], average="macro")
    lightning = MulticlassJaccardIndex(classes, ignore_index=255, average="macro")(ids, labels)
    assert confusion.compute()["mean_iou"] == pytest.approx(scikit, abs=1e-12)
    assert confusion.compute()["mean_iou"] == pytest.approx(float(lightning), abs=1e-6)


def test_mean_iou_is_pooled_not_a_mean_of_images() -> None:
    labels = torch.tensor([[[0, 0, 0, 1]], [[1, 1, 1, 1]]])
    ids = torch.tensor([[[0, 0, 0, 0]], [[1, 1, 1, 1]]])
    confusion = Confusion(2)

    confusion.add(ids, labels)

    assert confusion.compute()["mean_iou"] == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_label_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match="below 3 or 255, got 7"):
        Confusion(3).add(torch.zeros(1, 1, 2), torch.tensor([[[0, 7]]]))


def test_depth_errors_by_hand() -> None:
    errors = DepthErrors(limit=80.0)
    truth = torch.tensor([[[10.0, 20.0, 0.0, 90.0, 80.0]]])

    errors.add(torch.tensor([[[12.0, 10.0, 5.0, 90.0, 400.0]]]), truth)

    got = errors.compute()
    assert errors.pixels() == 3
    assert got["abs_rel"] == pytest.approx((0.2 + 0.5 + 0) / 3)
    assert got["rmse_m"] == pytest.approx(math.sqrt((4 + 100 + 0) / 3))
    assert got["rmse_log"] == pytest.approx(math.sqrt((math.log(1.2) ** 2 + math.log(2) ** 2) / 3))
    assert [got[f"delta{n}"] for n in (1, 2, 3)] == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert got["inverse_abs"] == pytest.approx((abs(1 / 12 - 1 / 10) + 0.05) / 3)
    assert got["inverse_rel"] == pytest.approx((2 / 12 + 10 / 10) / 3)


def test_depth_errors_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.uniform(1, 79, (2, 3, 7, 9)).astype(np.float32)
    errors = DepthErrors(limit=100.0)

    errors.add(torch.from_numpy(guess), torch.from_numpy(truth))

    expected = mean_absolute_percentage_error(truth.ravel(), guess.ravel())
    assert errors.compute()["abs_rel"] == pytest.approx(expected, rel=1e-6)


def test_normal_errors_by_hand() -> None:
    truth = torch.tensor([[0.0, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]])
    tilt = math.radians(20)
    guess = torch.tensor([[0.0, 0, 2], [0, math.sin(tilt), math.cos(tilt)], [0, 1, 0], [1, 0, 0]])
    errors = NormalErrors()

    errors.add(guess.T.reshape(1, 3, 2, 2), truth.T.reshape(1, 3, 2, 2))

    got = errors.compute()
    assert errors.pixels() == 3
    assert got["mean_angle_deg"] == pytest.approx((0 + 20 + 90) / 3)
    assert got["within_11_25_deg"] == pytest.approx(1 / 3)
    assert got["within_22_5_deg"] == got["within_30_deg"] == pytest.approx(2 / 3)


def random_batch(generator: torch.Generator) -> tuple[dict, dict]:
    shape = (2, 5, 7)
    labels = {
        "semseg": torch.randint(0, 19, shape, generator=generator),
        "depth": torch.rand(shape, generator=generator) * 90 + 1,
        "normals": torch.nn.functional.normalize(torch.randn(2, 3, 5, 7, generator=generator)),
    }
    predictions = {
        "semseg": torch.randn(2, 19, 5, 7, generator=generator),
        "depth": torch.rand(shape, generator=generator) * 90 + 1,
        "normals": torch.randn(2, 3, 5, 7, generator=generator),
    }
    return predictions, labels


def test_added_up_equals_at_once() -> None:
    generator = torch.Generator().manual_seed(1)
    batches = [random_batch(generator) for _ in range(3)]
    tasks = ("semseg", "depth", "normals")
    whole, first, second = (build_metrics(tasks, "cityscapes", 80.0) for _ in range(3))

    whole.add(
        *(
            {task: torch.cat([batch[i][task] for batch in batches]) for task in tasks}
            for i in (0, 1)
        )
    )
    first.add(*batches[0])
    for batch in batches[1:]:
        second.add(*batch)
    first.merge(second)

    assert first.compute() == pytest.approx(whole.compute(), rel=1e-12)
    assert len(whole.compute()) == 2 + 8 + 4


def test_ids_count_like_their_logits() -> None:
    predictions, labels = random_batch(torch.Generator().manual_seed(2))
    tasks = tuple(labels)
    logits, ids = build_metrics(tasks, "cityscapes", 80.0), build_metrics(tasks, "cityscapes", 80.0)

    logits.add(predictions, labels)
    ids.add(decided(predictions), labels)

    assert ids.compute() == logits.compute()


def test_a_task_without_labels_is_left_out() -> None:
    predictions, labels = random_batch(torch.Generator().manual_seed(3))
    metrics = build_metrics(("semseg", "depth"), "cityscapes", 80.0)

    metrics.add(predictions, {"semseg": labels["semseg"], "depth": torch.zeros(2, 5, 7)})

    assert {key.split("/")[0] for key in metrics.compute()} == {"semseg"}


def test_delta_m_is_signed_by_the_direction_of_each_task() -> None:
    change = delta_m({"semseg": 0.66, "depth": 0.11}, {"semseg": 0.6, "depth": 0.1})

    assert change == pytest.approx((10 - 10) / 2)
    with pytest.raises(ValueError, match="missing: \\['depth'\\]"):
        delta_m({"semseg": 0.6}, {"semseg": 0.6, "depth": 0.1})
    assert math.isnan(delta_m({"semseg": 0.6}, {"semseg": 0.0}))
