#!/usr/bin/env python3
"""The Helm chart: its values and their schema, and the pods it makes. With helm, also that it is what helm makes of it."""
import copy
import json
import re
import tarfile
import tempfile
import unittest

import jsonschema
import yaml

import chart
import deployed
import pods
import settings_schema

SHARED = {
    "files/outboxd.rules.yml": "deploy/prometheus/outboxd.rules.yml",
    "files/outboxd-overview.json": "deploy/grafana/outboxd-overview.json",
}
# Each is refused: by jsonschema here, and by helm below.
WRONG = {
    "a misspelt setting": {"settings": {"OUTBOX_CONECTIONS": 4}},
    "a secret among the settings": {"settings": {"OUTBOX_AMQP_URL": "amqp://u:p@h/"}},
    "a number out of range": {"settings": {"OUTBOX_CONNECTIONS": 65}},
    "a duration without a unit": {"settings": {"OUTBOX_CONFIRM_TIMEOUT": 30}},
    "a choice that is none": {"settings": {"OUTBOX_ORDERING": "loose"}},
    "a value the chart does not know": {"replicas": 2},
    "a privileged port": {"listen": {"port": 80}},
    "a runbook that is no address": {"prometheusRule": {"runbookUrl": "docs/operations/alerts.md"}},
    "a digest that is none": {"image": {"digest": "latest"}},
}


def schema():
    return json.loads(settings_schema.SCHEMA.read_text(encoding="utf-8"))


def defaults():
    (values,) = deployed.documents("deploy/helm/outboxd/values.yaml")
    return values


class values(unittest.TestCase):
    def test_have_a_schema_that_is_one_and_accepts_the_defaults(self):
        jsonschema.Draft7Validator.check_schema(schema())
        jsonschema.validate(defaults(), schema())
        (standalone,) = deployed.documents("tests/deploy/standalone.yaml")
        jsonschema.validate(standalone, schema())

    def test_that_are_wrong_are_refused(self):
        for what, change in WRONG.items():
            with self.subTest(what), self.assertRaises(jsonschema.ValidationError):
                jsonschema.validate({**copy.deepcopy(defaults()), **change}, schema())

    def test_know_the_settings_of_the_program(self):
        self.assertEqual(
            schema()["properties"]["settings"], settings_schema.schema(), "tests/deploy/settings_schema.py --write"
        )
        self.assertGreater(len(settings_schema.schema()["properties"]), 15)

    def test_have_a_schema_that_knows_them_all(self):
        known = schema()["properties"]
        for name, value in defaults().items():
            self.assertIn(name, known)
            if known[name].get("additionalProperties") is False and name != "settings":
                self.assertEqual(set(value), set(known[name]["properties"]), name)


class the_chart(unittest.TestCase):
    def test_has_the_version_of_the_program(self):
        (about,) = deployed.documents("deploy/helm/outboxd/Chart.yaml")
        self.assertEqual(about["appVersion"], deployed.program_version())

    def test_uses_the_alerts_and_the_dashboard_themselves(self):
        for link, target in SHARED.items():
            self.assertTrue((deployed.CHART / link).is_symlink())
            self.assertEqual((deployed.CHART / link).resolve(), (deployed.ROOT / target).resolve())

    def test_was_rendered_after_its_last_change(self):
        for name in chart.RENDERINGS:
            self.assertEqual(chart.rendered(name)[0], chart.digest(), "tests/deploy/chart.py --write")


class rendered(unittest.TestCase):
    def documents(self, name):
        return deployed.parse(chart.rendered(name)[1])

    def deployment(self, name):
        return deployed.of_kind("Deployment", self.documents(name))

    def test_every_pod_is_restricted(self):
        for name in chart.RENDERINGS:
            specs = [spec for spec in map(deployed.pod_spec, self.documents(name)) if spec]
            self.assertEqual(len(specs), 3)
            for spec in specs:
                pods.check_pod(self, spec)

    def test_relays_are_probed_and_have_time_to_end(self):
        for name in chart.RENDERINGS:
            pods.check_relay(self, self.deployment(name)["spec"]["template"]["spec"])

    def test_only_the_deployment_is_asked_whether_it_is_ready(self):
        alone = deployed.outboxd_in(self.deployment("standalone")["spec"]["template"]["spec"])
        self.assertEqual(alone["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "outbox-metrics"})
        (sidecar,) = self.deployment("sidecar")["spec"]["template"]["spec"]["initContainers"]
        self.assertEqual(sidecar["restartPolicy"], "Always")
        self.assertNotIn("readinessProbe", sidecar)

    def test_the_sidecar_is_that_of_the_manifests(self):
        (manifest,) = deployed.documents("deploy/kubernetes/native-sidecar.yaml")
        mine, theirs = map(deployed.outboxd_in, (manifest["spec"]["template"]["spec"], self.sidecar_pod()["spec"]))
        for key in ("args", "ports", "startupProbe", "livenessProbe", "resources", "securityContext", "volumeMounts"):
            self.assertEqual(mine[key], theirs[key], key)

    def sidecar_pod(self):
        return self.deployment("sidecar")["spec"]["template"]

    def test_the_job_migrates_before_the_pods_change(self):
        for name in chart.RENDERINGS:
            job = deployed.of_kind("Job", self.documents(name))
            pods.check_migration(self, job)
            self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade")
            (volume,) = [v for v in job["spec"]["template"]["spec"]["volumes"] if "secret" in v]
            self.assertEqual(volume["secret"]["secretName"], "shop-outboxd-owner")

    def test_settings_arrive_as_they_were_written(self):
        container = deployed.outboxd_in(self.deployment("standalone")["spec"]["template"]["spec"])
        env = {e["name"]: e.get("value") for e in container["env"]}
        self.assertEqual(env["OUTBOX_MAX_IN_FLIGHT"], "1000000")
        self.assertEqual(env["OUTBOX_CONFIRM_TIMEOUT"], "1m")
        self.assertEqual(env["OUTBOX_HTTP_LISTEN"], "0.0.0.0:9654")
        self.assertEqual(env["PGSSLROOTCERT"], "/etc/outboxd/tls/ca.crt")

    def test_the_monitor_finds_the_pods_under_a_job_of_the_alerts(self):
        for name in chart.RENDERINGS:
            monitor = deployed.of_kind("PodMonitor", self.documents(name))["spec"]
            labels = self.deployment(name)["spec"]["template"]["metadata"]["labels"]
            self.assertLessEqual(monitor["selector"]["matchLabels"].items(), labels.items())
            self.assertEqual(monitor["podMetricsEndpoints"][0]["port"], "outbox-metrics")
            job = monitor["podMetricsEndpoints"][0]["relabelings"][0]["replacement"]
            self.assertRegex(job, f"^(?:{deployed.job_of_the_alerts()})$")

    def test_the_policy_holds_for_the_pods(self):
        policy = deployed.of_kind("NetworkPolicy", self.documents("standalone"))["spec"]
        labels = self.deployment("standalone")["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(policy["podSelector"]["matchLabels"].items(), labels.items())
        self.assertEqual({p["port"] for rule in policy["egress"] for p in rule["ports"]}, {53, 5432, 5671, 5672})


@unittest.skipUnless(chart.helm(), "no helm here: what was rendered before is tested")
class helm(unittest.TestCase):
    def test_finds_nothing_wrong(self):
        for name, (directory, own) in chart.RENDERINGS.items():
            with self.subTest(name):
                fine, out, err = chart.run("lint", "--strict", chart.KUBERNETES, directory, "--values", own)
                self.assertTrue(fine, out + err)

    def test_renders_what_was_committed(self):
        for name, (directory, own) in chart.RENDERINGS.items():
            self.assertEqual(chart.template(directory, own), chart.rendered(name)[1], name)

    def test_renders_the_alerts_and_the_dashboard_word_for_word(self):
        out = chart.template(
            deployed.CHART, chart.HERE / "standalone.yaml", "--set=prometheusRule.enabled=true,dashboard.enabled=true"
        )
        (rules,) = deployed.documents(SHARED["files/outboxd.rules.yml"])
        self.assertEqual(deployed.of_kind("PrometheusRule", deployed.parse(out))["spec"], rules)
        board = deployed.of_kind("ConfigMap", deployed.parse(out))
        self.assertEqual(board["data"], {"outboxd-overview.json": deployed.text(SHARED["files/outboxd-overview.json"])})

    def test_links_the_alerts_to_their_runbook_where_that_has_an_address(self):
        address = "https://wiki.example/alerts"
        out = chart.template(
            deployed.CHART,
            chart.HERE / "standalone.yaml",
            f"--set=prometheusRule.enabled=true,prometheusRule.runbookUrl={address}",
        )
        for alert in deployed.alerts(deployed.of_kind("PrometheusRule", deployed.parse(out))["spec"]):
            self.assertEqual(alert["annotations"]["runbook_url"], f"{address}#{alert['alert'].lower()}")
            self.assertNotIn("runbook", alert["annotations"])

    def test_packs_the_files_that_are_links_here(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertTrue(chart.run("package", deployed.CHART, "--destination", directory)[0])
            with tarfile.open(f"{directory}/outboxd-{deployed.program_version()}.tgz") as packed:
                for link, target in SHARED.items():
                    content = packed.extractfile(f"outboxd/{link}").read().decode()
                    self.assertEqual(content, deployed.text(target))

    def test_refuses_what_is_wrong(self):
        for what, change in WRONG.items():
            with self.subTest(what), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump(change, file)
                file.flush()
                with self.assertRaisesRegex(RuntimeError, "schema"):
                    chart.template(deployed.CHART, chart.HERE / "standalone.yaml", "--values", file.name)

    def test_installs_it_as_the_page_says_also_where_there_is_no_operator(self):
        page = deployed.text("docs/operations/deploying.md").replace("\\\n", " ")
        (command,) = re.findall(r"^helm install (shop-outbox .*)$", page, re.MULTILINE)
        fine, out, err = chart.run("template", chart.KUBERNETES, *command.replace("deploy/helm", str(deployed.CHART.parent)).split())
        self.assertTrue(fine, err)
        self.assertEqual({d["kind"] for d in deployed.parse(out)}, {"Deployment", "Job", "Pod"})
        self.assertEqual(set(re.findall("image: (.*)", out)), {f"REGISTRY/outboxd:{deployed.program_version()}"})

    def test_asks_for_the_secret(self):
        with self.assertRaisesRegex(RuntimeError, "existingSecret"):
            chart.template(deployed.CHART, deployed.CHART / "values.yaml")

    def test_has_no_native_sidecar_for_clusters_that_know_none(self):
        with self.assertRaisesRegex(RuntimeError, "classicSidecar"):
            chart.template(*chart.RENDERINGS["sidecar"], "--kube-version=1.28.0")

    def test_has_a_classic_one_for_these(self):
        out = chart.template(*chart.RENDERINGS["sidecar"], "--kube-version=1.28.0", "--set=native=false")
        spec = deployed.of_kind("Deployment", deployed.parse(out))["spec"]["template"]["spec"]
        pods.check_pod(self, spec)
        pods.check_relay(self, spec)
        (manifest,) = deployed.documents("deploy/kubernetes/classic-sidecar.yaml")
        classic = deployed.outboxd_in(manifest["spec"]["template"]["spec"])
        self.assertEqual(deployed.outboxd_in(spec)["lifecycle"], classic["lifecycle"])
        self.assertNotIn("readinessProbe", deployed.outboxd_in(spec))
        self.assertNotIn("initContainers", spec)


if __name__ == "__main__":
    unittest.main()
