"""Manifests for users: they parse, they hold what must not be forgotten, and schemas agree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
FILES = sorted(path.relative_to(ROOT).as_posix() for path in INFRA.rglob("*.yaml"))


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((INFRA / name).read_text()))


def compose() -> dict[str, Any]:
    return documents("compose.yaml")[0]["services"]


def cluster_specs() -> list[dict[str, Any]]:
    """Of the cluster that stays and of the one that a job brings."""
    (cluster,), (job,) = documents("kubernetes/cluster.yaml"), documents("kubernetes/job.yaml")
    return [cluster["spec"], job["spec"]["rayClusterSpec"]]


@pytest.mark.parametrize("name", FILES)
def test_every_manifest_parses(name: str) -> None:
    assert all(isinstance(page, dict) for page in yaml.safe_load_all((ROOT / name).read_text()))


@pytest.mark.parametrize("service", ["s3", "postgres", "mlflow", "ray-head", "ray-worker"])
def test_lasting_services_have_a_health_check_and_come_back(service: str) -> None:
    assert compose()[service]["healthcheck"]["test"][0] == "CMD"
    assert compose()[service]["restart"] == "unless-stopped"


def test_compose_publishes_on_the_loopback_address_only() -> None:
    ports = [port for service in compose().values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_has_no_secret_and_refuses_to_start_without() -> None:
    text = (INFRA / "compose.yaml").read_text()
    example = (INFRA / "example.env").read_text().splitlines()

    for name in ("S3_PASSWORD", "POSTGRES_PASSWORD", "RAY_AUTH_TOKEN"):
        assert f"${{{name}:?" in text
        assert f"{name}=" in example, "the example holds no value"


@pytest.mark.parametrize("service", ["ray-head", "ray-worker"])
def test_every_ray_node_wants_the_token(service: str) -> None:
    assert compose()[service]["environment"]["RAY_AUTH_MODE"] == "token"


def test_every_ray_node_keeps_connections_over_a_broken_link() -> None:
    name, value = "RAY_grpc_keepalive_timeout_ms", "120000"
    for service in ("ray-head", "ray-worker"):
        assert compose()[service]["environment"][name] == value
    for spec in cluster_specs():
        for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
            (container,) = group["template"]["spec"]["containers"]
            assert {"name": name, "value": value} in container["env"]
    assert f"--env {name}={value}" in documents("ray/aws.yaml")[0]["docker"]["run_options"]


def test_mlflow_knows_the_names_it_is_called_by() -> None:
    containers = [
        page["spec"]["template"]["spec"]["containers"][0]
        for page in documents("kubernetes/mlflow.yaml")
        if page["metadata"]["name"] == "mlflow" and page["kind"] == "Deployment"
    ]

    assert "--allowed-hosts mlflow:5000" in compose()["mlflow"]["command"]
    assert any(word.startswith("--allowed-hosts=mlflow:5000") for word in containers[0]["command"])


def compose_client() -> list[str] | None:
    """`docker compose`, or its older form as a program of its own."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]):
            done = subprocess.run([*words, "version"], capture_output=True, timeout=60)
            if done.returncode == 0:
                return words
    return None


@pytest.mark.compose
def test_docker_itself_accepts_the_compose_file(tmp_path: Path) -> None:
    client = compose_client()
    if client is None:
        assert "MILA_SERVICES_REQUIRED" not in os.environ, "infra/services/test.sh installs one"
        pytest.skip("no Compose client; runs in `make services-test`, which installs one")
    environment = tmp_path / "env"
    lines = (INFRA / "example.env").read_text().splitlines()
    environment.write_text("\n".join(f"{x}test" if x.endswith("=") else x for x in lines))

    for files in (["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]):
        words = [word for file in files for word in ("-f", str(INFRA / file))]
        command = [*client, "--env-file", str(environment), *words, "config", "-q"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("spec", cluster_specs(), ids=["cluster", "job"])
def test_kubernetes_cluster_wants_tokens_and_grows(spec: dict[str, Any]) -> None:
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    (gpu,) = groups["gpu"]["template"]["spec"]["containers"]

    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert all(group["minReplicas"] < group["maxReplicas"] for group in groups.values())


def test_job_is_tried_again_and_its_cluster_goes() -> None:
    (job,) = documents("kubernetes/job.yaml")

    assert job["kind"] == "RayJob"
    assert job["spec"]["backoffLimit"] >= 1
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert job["spec"]["entrypoint"].startswith("python flows/train.py ")


def test_job_brings_the_cluster_of_the_cluster_file() -> None:
    standing, brought = cluster_specs()

    assert standing == brought


def test_ray_version_is_the_pinned_one() -> None:
    pins = dict(x.split("==") for x in (ROOT / "constraints.txt").read_text().split())

    assert {spec["rayVersion"] for spec in cluster_specs()} == {pins["ray"]}


def test_secrets_on_kubernetes_are_references() -> None:
    for page in documents("kubernetes/secrets.example.yaml"):
        assert set(page["stringData"].values()) == {"FILL_IN"}
    for name in ("cluster", "job", "mlflow"):
        assert "SECRET_ACCESS_KEY" not in (INFRA / f"kubernetes/{name}.yaml").read_text()


def test_cluster_launcher_file_fits_rays_own_schema() -> None:
    import jsonschema
    import ray

    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    (page,) = documents("ray/aws.yaml")

    jsonschema.validate(page, schema)
    spot = page["available_node_types"]["gpu-spot"]
    assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert spot["min_workers"] == 0, "nothing expensive stays when nobody works"
    assert "--env RAY_AUTH_MODE=token" in page["docker"]["run_options"]


def test_image_runs_as_nobody_special_and_names_no_registry_of_packages() -> None:
    lines = (INFRA / "Dockerfile").read_text().splitlines()

    assert [line for line in lines if line.startswith("USER ")] == ["USER mila"]
    assert lines.index("USER mila") > max(i for i, x in enumerate(lines) if x.startswith("RUN"))
    assert "ARG DEVICE=cpu" in lines
    assert {"FROM base AS device-cpu", "FROM base AS device-cuda"} <= set(lines)


def test_passwords_of_compose_are_neither_committed_nor_sent_to_a_cluster() -> None:
    for name in (".gitignore", ".rayignore"):
        assert ".env" in (ROOT / name).read_text().splitlines()


def test_image_gets_every_folder_it_copies() -> None:
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    copies = [x for x in (INFRA / "Dockerfile").read_text().splitlines() if x.startswith("COPY")]
    sources = [word for line in copies for word in line.split()[1:-1]]

    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in allowed, source


@pytest.mark.parametrize("script", ["ray/submit.sh", "services/services.sh", "services/test.sh"])
def test_scripts_are_valid_shell(script: str) -> None:
    done = subprocess.run(["bash", "-n", str(INFRA / script)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_submit_says_what_it_needs() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_API_SERVER_ADDRESS"}
    command = ["bash", str(INFRA / "ray/submit.sh"), "true"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    assert done.returncode == 2
    assert "RAY_API_SERVER_ADDRESS is not set; expected http://HEAD:8265" in done.stderr
