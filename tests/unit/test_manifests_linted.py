"""The manifests of Kubernetes by the rules of its linters (kube-linter, kube-score, the restricted pod standard).

Each rule is asked of every container of every workload, and each is shown to find what it is about: of a copy of the
manifests in which that was put.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "conf/kubernetes"
Documents = list[dict[str, Any]]


@dataclass(frozen=True)
class Container:
    """One container with the pod that it is in, in Kubernetes' own words."""

    name: str
    pod: Mapping[str, Any]
    own: Mapping[str, Any]


@functools.cache
def documents() -> Documents:
    """Every manifest but the configuration of the jobs."""
    files = sorted(set(FOLDER.glob("*.yaml")) - {FOLDER / "job.yaml", FOLDER / "kustomization.yaml"})
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def containers(found: Documents) -> list[Container]:
    """Containers of pod templates, of SparkApplications, and Ray's autoscaler, which KubeRay puts beside the head."""
    return [container for document in found for container in _containers(document)]


def _containers(document: dict[str, Any]) -> Iterator[Container]:
    spec = document.get("spec", {})
    if document["kind"] == "SparkApplication":
        for role in ("driver", "executor"):
            own = spec[role]
            limits = {"cpu": own.get("coreLimit"), "memory": own.get("memory")}  # Spark's limit is what it asks for
            resources = {"requests": {"cpu": own.get("cores"), "memory": own.get("memory")}, "limits": limits}
            pod = {
                "securityContext": own.get("podSecurityContext", {}),
                "serviceAccountName": own.get("serviceAccount"),
            }
            pod["volumes"] = spec.get("volumes", [])
            yield Container(role, pod, {"image": spec["image"], "resources": resources, **own})
        return
    for template in _templates(spec):
        for own in (*template["containers"], *template.get("initContainers", ())):
            yield Container(own["name"], template, own)
    if document["kind"] == "RayCluster" and spec.get("enableInTreeAutoscaling"):
        head = spec["headGroupSpec"]["template"]["spec"]
        image = {"image": head["containers"][0]["image"]}  # KubeRay takes the head's
        yield Container("autoscaler", head, image | spec.get("autoscalerOptions", {}))


def _templates(value: Any) -> Iterator[dict[str, Any]]:
    """Every specification of a pod in a manifest."""
    if isinstance(value, dict) and "containers" in value:
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _templates(inner)


def _security(container: Container, key: str) -> Any:
    """What the container says, or else its pod."""
    own, pod = container.own.get("securityContext", {}), container.pod.get("securityContext", {})
    return own.get(key, pod.get(key))


def _has_resources(container: Container) -> bool:
    resources = container.own.get("resources", {})
    return all(resources.get(kind, {}).get(name) for kind in ("requests", "limits") for name in ("cpu", "memory"))


def _has_token_by_right(container: Container) -> bool:
    """Only drivers have a token; an account without one gives its pods none."""
    name, said = container.pod.get("serviceAccountName"), container.pod.get("automountServiceAccountToken")
    account = next(
        (one for one in documents() if one["kind"] == "ServiceAccount" and one["metadata"]["name"] == name), {}
    )
    mounted = account.get("automountServiceAccountToken", True) if said is None else said
    return not mounted or name == "uniner-dist-driver"


def _image_is_pinned(container: Container) -> bool:
    """By digest, or by the tag that `make pin-images` replaces by one."""
    return re.search(r"@sha256:[0-9a-f]{64}$|^uniner-dist:\d+\.\d+\.\d+-(cpu|gpu)$", container.own["image"]) is not None


def _all(container: Container, key: str) -> list[Any]:
    return [*container.own.get(key, ()), *container.pod.get(key, ())]


#: Rule → whether a container keeps it.
RULES: dict[str, Callable[[Container], bool]] = {
    "runs as no root": lambda one: _security(one, "runAsNonRoot") is True and _security(one, "runAsUser") >= 10_000,
    "no privilege escalation": lambda one: _security(one, "allowPrivilegeEscalation") is False,
    "not privileged": lambda one: not _security(one, "privileged"),
    "no capabilities": lambda one: _security(one, "capabilities") == {"drop": ["ALL"]},
    "seccomp by default": lambda one: _security(one, "seccompProfile") == {"type": "RuntimeDefault"},
    "root file system read-only": lambda one: _security(one, "readOnlyRootFilesystem") is True,
    "resources": _has_resources,
    "token": _has_token_by_right,
    "image": _image_is_pinned,
    "own namespaces": lambda one: not any(one.pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
    "no files of the host": lambda one: not any("hostPath" in volume for volume in _all(one, "volumes")),
    "volumes are bounded": lambda one: all(
        volume["emptyDir"].get("sizeLimit") for volume in _all(one, "volumes") if "emptyDir" in volume
    ),
    "no ports of the host": lambda one: not any("hostPort" in port for port in one.own.get("ports", ())),
    "no privileged ports": lambda one: all(port["containerPort"] > 1024 for port in one.own.get("ports", ())),
    "no secret in a variable": lambda one: (
        not any(
            re.search(r"secret|token|passw|key", entry["name"], re.I) and entry.get("value")
            for entry in one.own.get("env", ())
        )
    ),
    "no sysctls": lambda one: not _security(one, "sysctls"),
    "/proc is masked": lambda one: _security(one, "procMount") in (None, "Default"),
    "an account of its own": lambda one: one.pod.get("serviceAccountName") != "default",
}


def broken(found: Documents) -> set[str]:
    """Rules that some container breaks."""
    return {rule for rule, keeps in RULES.items() for container in containers(found) if not keeps(container)}


def test_every_workload_is_looked_at() -> None:
    found = documents()
    names = sorted(container.name for container in containers(found))
    assert names == [
        "autoscaler",
        "driver",
        "driver",
        "executor",
        "executor",
        "ray-head",
        "ray-job-submitter",
        "ray-worker",
    ]
    kinds = {document["kind"] for document in found}
    assert kinds == {
        *("Namespace", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"),
        *("RayCluster", "RayJob", "SparkApplication"),
    }


def test_no_rule_of_a_linter_is_broken() -> None:
    assert broken(documents()) == set()


def _put(security: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda pod: pod["containers"][0]["securityContext"].update(security)


#: Rule → what breaks it, put into the worker's pod.
FAULTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "runs as no root": _put({"runAsNonRoot": False}),
    "no privilege escalation": lambda pod: pod["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "not privileged": _put({"privileged": True}),
    "no capabilities": _put({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}),
    "seccomp by default": lambda pod: pod["securityContext"].pop("seccompProfile"),
    "root file system read-only": lambda pod: pod["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
    "resources": lambda pod: pod["containers"][0]["resources"]["limits"].pop("memory"),
    "token": lambda pod: pod.update(automountServiceAccountToken=True),
    "image": lambda pod: pod["containers"][0].update(image="uniner-dist:latest"),
    "own namespaces": lambda pod: pod.update(hostNetwork=True),
    "no files of the host": lambda pod: pod["volumes"].append(
        {"name": "x", "hostPath": {"path": "/var/run/docker.sock"}}
    ),
    "volumes are bounded": lambda pod: pod["volumes"][0].update(emptyDir={}),
    "no ports of the host": lambda pod: pod["containers"][0].update(ports=[{"containerPort": 8080, "hostPort": 8080}]),
    "no privileged ports": lambda pod: pod["containers"][0].update(ports=[{"containerPort": 22}]),
    "no secret in a variable": lambda pod: pod["containers"][0].update(env=[{"name": "HF_TOKEN", "value": "hf_x"}]),
    "no sysctls": lambda pod: pod["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "/proc is masked": _put({"procMount": "Unmasked"}),
    "an account of its own": lambda pod: pod.update(serviceAccountName="default"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_what_it_is_about(rule: str) -> None:
    found = copy.deepcopy(documents())
    [cluster] = [document for document in found if document["kind"] == "RayCluster"]
    FAULTS[rule](cluster["spec"]["workerGroupSpecs"][0]["template"]["spec"])
    assert rule in broken(found)


def test_policies_deny_both_directions_and_let_in_only_what_works_together() -> None:
    policies = [one for one in documents() if one["kind"] == "NetworkPolicy"]
    denied = [one["spec"] for one in policies if one["spec"]["podSelector"] == {} and len(one["spec"]) == 2]
    assert [sorted(spec["policyTypes"]) for spec in denied] == [["Egress", "Ingress"]]
    peers = [
        (peer, rule.get("ports"))
        for policy in policies
        for rule in [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]
        for peer in rule.get("from", rule.get("to", ()))
    ]
    for peer, ports in peers:
        assert peer, "an empty peer is everybody"
        assert not any(selector == {} for selector in peer.values()), "nor is an empty selector"
        if "ipBlock" in peer or "namespaceSelector" in peer:
            assert ports, "beyond the namespace only by port"
    assert not [peer for peer, _ in peers if "ipBlock" in peer and "except" not in peer["ipBlock"]]
    namespaces = {document["metadata"].get("namespace") or document["metadata"]["name"] for document in documents()}
    assert namespaces == {"uniner-dist"}


def test_a_role_gives_nothing_beyond_pods_and_its_own_cluster() -> None:
    for role in (one for one in documents() if one["kind"] in ("Role", "ClusterRole")):
        assert role["kind"] == "Role"
        for rule in role["rules"]:
            assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not {"secrets", "pods/exec", "nodes", "rolebindings"} & set(rule["resources"])
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
