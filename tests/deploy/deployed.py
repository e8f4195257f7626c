"""What the tests of deploy/ share: its files read strictly, its pods, and what the program's reference says."""
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm/outboxd"


class strict_loader(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys and says nothing."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"given twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text):
    return [document for document in yaml.load_all(text, strict_loader) if document is not None]


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def documents(path):
    return parse(text(path))


def of_kind(kind, found):
    one = [document for document in found if document["kind"] == kind]
    assert len(one) == 1, f"{len(one)} documents of kind {kind}"
    return one[0]


def pod_spec(document):
    """Of a Pod, or of what makes pods; None for everything else."""
    if document["kind"] == "Pod":
        return document["spec"]
    return document.get("spec", {}).get("template", {}).get("spec")


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def outboxd_in(spec):
    one = [container for container in containers(spec) if "/outboxd" in container["image"]]
    assert len(one) == 1, one
    return one[0]


def restricted_violations(spec):
    """What Kubernetes' Pod Security Standard "restricted" has against a pod; and a root that can be written."""
    wrong = [f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    wrong += [f"volume {v['name']} is a hostPath" for v in spec.get("volumes", []) if "hostPath" in v]
    of_pod = spec.get("securityContext", {})
    for container in containers(spec):
        own = container.get("securityContext", {})
        effective = {**of_pod, **own}
        checks = {
            "privileged": not own.get("privileged"),
            "may escalate": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"]
            and set(own["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"},
            "runs as root": effective.get("runAsNonRoot") is True and effective.get("runAsUser") != 0,
            "seccomp": effective.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "host port": not any("hostPort" in port for port in container.get("ports", [])),
        }
        wrong += [f"{container['name']}: {what}" for what, fine in checks.items() if not fine]
    return wrong


def setting_default(name):
    return re.search(rf"^\| `{name}` \| `([^`]*)`", text("docs/reference/configuration.md"), re.MULTILINE)[1]


def shutdown_seconds():
    """OUTBOX_SHUTDOWN_TIMEOUT, and what docs/operations/running.md wants beside it before a kill."""
    return int(re.fullmatch(r"(\d+)s", setting_default("OUTBOX_SHUTDOWN_TIMEOUT"))[1]) + 15


def metrics_port():
    return int(setting_default("OUTBOX_HTTP_LISTEN").rsplit(":", 1)[1])


def exit_statuses():
    return {int(status) for status in re.findall(r"^\| (\d+) \|", text("docs/reference/cli.md"), re.MULTILINE)}


def http_paths():
    return set(re.findall(r"^\| `(/\w*)` \|", text("docs/reference/cli.md"), re.MULTILINE))


def verbs():
    return set(re.findall(r"^\| `([a-z]+(?: [a-z]+)?)[^`]*` \|", text("docs/reference/cli.md"), re.MULTILINE))


def job_of_the_alerts():
    """The jobs that the rules look at, as a pattern."""
    return re.search(r'up\{job=~"([^"]*)"\}', text("deploy/prometheus/outboxd.rules.yml"))[1]


def alerts(rules):
    return [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]


def program_version():
    return re.search(r"project\(outboxd VERSION (\S+)", text("CMakeLists.txt"))[1]
