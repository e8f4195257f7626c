#!/usr/bin/env python3
"""deploy/kubernetes: probes, ports and labels fit the program and each other, and pods are allowed as "restricted"."""
import copy
import re
import unittest

import deployed
import pods

LABEL = "outboxd/outbox"


def manifest(name):
    return deployed.documents(f"deploy/kubernetes/{name}.yaml")


def template(name):
    return deployed.of_kind("Deployment", manifest(name))["spec"]["template"]


class sidecars(unittest.TestCase):
    def test_relay_as_restricted_pods(self):
        for name in ("native-sidecar", "classic-sidecar"):
            with self.subTest(name):
                spec = template(name)["spec"]
                pods.check_pod(self, spec)
                pods.check_relay(self, spec)

    def test_have_no_readiness_probe(self):
        for name in ("native-sidecar", "classic-sidecar"):
            self.assertNotIn("readinessProbe", deployed.outboxd_in(template(name)["spec"]))
            self.assertRegex(deployed.text(f"deploy/kubernetes/{name}.yaml"), "# No readinessProbe")

    def test_the_native_one_starts_first_and_stays(self):
        spec = template("native-sidecar")["spec"]
        (container,) = spec["initContainers"]
        self.assertEqual(container["restartPolicy"], "Always")
        self.assertEqual(container["name"], "outboxd")
        # The service ends first, and has some of the time.
        self.assertGreater(spec["terminationGracePeriodSeconds"], deployed.shutdown_seconds() + 10)

    def test_the_classic_one_differs_in_nothing_else(self):
        native, classic = (deployed.outboxd_in(template(f"{name}-sidecar")["spec"]) for name in ("native", "classic"))
        self.assertEqual(native.pop("restartPolicy"), "Always")
        self.assertEqual(classic.pop("lifecycle"), {"preStop": {"exec": {"command": ["sleep", "5"]}}})
        self.assertEqual(native, classic)

    def test_the_annotations_name_the_port(self):
        annotations = template("classic-sidecar")["metadata"]["annotations"]
        self.assertEqual(annotations["prometheus.io/port"], str(deployed.metrics_port()))


class the_check_for_restricted_pods(unittest.TestCase):
    def test_notices_whatever_is_taken_away(self):
        good = template("native-sidecar")["spec"]
        for change in (
            lambda pod, c: c["securityContext"].pop("allowPrivilegeEscalation"),
            lambda pod, c: c["securityContext"].pop("capabilities"),
            lambda pod, c: c["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
            lambda pod, c: c["securityContext"].update(runAsUser=0),
            lambda pod, c: c["securityContext"].update(privileged=True),
            lambda pod, c: (c["securityContext"].pop("runAsNonRoot"), pod.pop("securityContext")),
            lambda pod, c: c["ports"][0].update(hostPort=80),
            lambda pod, c: pod.update(hostNetwork=True),
            lambda pod, c: pod["volumes"].append({"name": "root", "hostPath": {"path": "/"}}),
        ):
            pod = copy.deepcopy(good)
            change(pod, deployed.outboxd_in(pod))
            self.assertNotEqual(deployed.restricted_violations(pod), [])


class migration(unittest.TestCase):
    def test_is_a_restricted_job_that_knows_when_to_give_up(self):
        pods.check_migration(self, deployed.of_kind("Job", manifest("migrate-job")))

    def test_reads_another_secret_than_the_relay(self):
        def secret(spec):
            return spec["volumes"][0]["secret"]["secretName"]

        job = deployed.of_kind("Job", manifest("migrate-job"))["spec"]["template"]["spec"]
        self.assertNotEqual(secret(job), secret(template("native-sidecar")["spec"]))


class monitoring(unittest.TestCase):
    def test_finds_the_sidecars_and_names_a_job_that_the_alerts_look_at(self):
        monitor = deployed.of_kind("PodMonitor", manifest("podmonitor"))["spec"]
        (expression,) = monitor["selector"]["matchExpressions"]
        self.assertEqual((expression["key"], expression["operator"]), (LABEL, "Exists"))
        (endpoint,) = monitor["podMetricsEndpoints"]
        (relabeling,) = endpoint["relabelings"]
        source = "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", LABEL)
        self.assertEqual(relabeling["sourceLabels"], [source])
        self.assertEqual(relabeling["targetLabel"], "job")
        for name in ("native-sidecar", "classic-sidecar"):
            pod = template(name)
            self.assertEqual(endpoint["port"], deployed.outboxd_in(pod["spec"])["ports"][0]["name"])
            job = relabeling["replacement"].replace("$1", pod["metadata"]["labels"][LABEL])
            self.assertRegex(job, f"^(?:{deployed.job_of_the_alerts()})$")


class network(unittest.TestCase):
    def test_lets_through_what_the_pod_needs_and_only_prometheus_to_the_metrics(self):
        policy = deployed.of_kind("NetworkPolicy", manifest("networkpolicy"))["spec"]
        labels = template("native-sidecar")["metadata"]["labels"]
        self.assertLessEqual(policy["podSelector"]["matchLabels"].items(), labels.items())
        inwards = {port["port"]: rule for rule in policy["ingress"] for port in rule["ports"]}
        shop = template("native-sidecar")["spec"]["containers"][0]
        self.assertIn(shop["ports"][0]["containerPort"], inwards)
        self.assertIn("from", inwards[deployed.metrics_port()])
        outwards = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
        self.assertEqual(outwards, {53, 5432, 5671, 5672})


if __name__ == "__main__":
    unittest.main()
