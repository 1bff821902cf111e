"""The page of a run in MLflow's UI, as a browser draws it."""

import os
import re
import subprocess

import pytest

pytestmark = [pytest.mark.ui, pytest.mark.services, pytest.mark.timeout(200)]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--window-size=1800,1000 --virtual-time-budget=25000 --dump-dom"
).split()


def test_run_page_shows_name_status_and_final_metric(services, undisturbed, tmp_path):
    run = undisturbed.tracked()
    place = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    url = f"{os.environ['MLFLOW_TRACKING_URI']}/#/{place}"
    metric = "final/joint/depth/abs_rel"

    done = subprocess.run(
        ["chromium", *FLAGS, f"--user-data-dir={tmp_path}/browser", url],
        capture_output=True,
        text=True,
        timeout=100,
    )

    page = re.sub(r"<[^>]+>", " ", done.stdout)
    assert undisturbed.name in page, done.stderr
    assert "Finished" in page
    assert re.search(rf"{metric}\s+{run.data.metrics[metric]}", page)
