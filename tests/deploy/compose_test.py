#!/usr/bin/env python3
"""deploy/compose: what it mounts is there, its secrets are made and fit together, and its containers are closed."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
from urllib.parse import urlsplit

import deployed

COMPOSE = deployed.DEPLOY / "compose"
PAGE = "docs/operations/deploying.md"


def compose():
    (project,) = deployed.documents("deploy/compose/compose.yaml")
    return project


def service(name):
    return compose()["services"][name]


def mounts(of):
    """Where the files of the repository are in the container."""
    found = {}
    for volume in of.get("volumes", []):
        source, target = volume.split(":")[:2]
        if source.startswith("."):
            found[target] = (COMPOSE / source).resolve()
    return found


def make_secrets(directory):
    subprocess.run([COMPOSE / "make_secrets.sh", directory], check=True)


class containers(unittest.TestCase):
    def test_of_outboxd_are_closed(self):
        for name in ("migrate", "outboxd"):
            one = service(name)
            self.assertTrue(one["read_only"])
            self.assertEqual(one["cap_drop"], ["ALL"])
            self.assertEqual(one["security_opt"], ["no-new-privileges:true"])
            self.assertEqual(one["user"], "65532:65532")
            self.assertEqual(one["image"], f"outboxd:{deployed.program_version()}")
            self.assertEqual((COMPOSE / one["build"]["context"]).resolve(), deployed.ROOT)
            self.assertTrue((deployed.ROOT / one["build"]["dockerfile"]).is_file())

    def test_migrate_before_they_relay(self):
        self.assertIn(" ".join(service("migrate")["command"]), deployed.verbs())
        self.assertEqual(
            service("outboxd")["depends_on"]["migrate"], {"condition": "service_completed_successfully"}
        )

    def test_are_asked_as_in_the_image_and_have_time_to_end(self):
        of_image = re.search(r"^HEALTHCHECK .*CMD (.*)$", deployed.text("deploy/container/Dockerfile"), re.MULTILINE)
        self.assertEqual(service("outboxd")["healthcheck"]["test"], ["CMD", *json.loads(of_image[1])])
        grace = int(service("outboxd")["stop_grace_period"].removesuffix("s"))
        self.assertGreaterEqual(grace, deployed.shutdown_seconds())

    def test_mount_what_is_there(self):
        seen = {path for name in compose()["services"] for path in mounts(service(name)).values()}
        for path in seen:
            self.assertTrue(path.exists(), path)
        self.assertIn(deployed.DEPLOY / "prometheus/outboxd.rules.yml", seen)
        self.assertIn(deployed.DEPLOY / "grafana", seen)

    def test_show_nothing_to_the_network(self):
        for name in compose()["services"]:
            for port in service(name).get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name} {port}")


class secrets(unittest.TestCase):
    def test_are_declared_made_and_used(self):
        declared = compose()["secrets"]
        used = {secret for name in compose()["services"] for secret in service(name).get("secrets", [])}
        self.assertEqual(used, set(declared))
        with tempfile.TemporaryDirectory() as directory:
            make_secrets(directory)
            for secret in declared.values():
                name = secret["file"].removeprefix("secrets/")
                self.assertTrue(pathlib.Path(directory, name).read_text(encoding="utf-8"), name)

    def test_are_mounted_where_they_are_read(self):
        for name in compose()["services"]:
            one = service(name)
            read = re.findall(r"/run/secrets/(\w+)", json.dumps([one.get("environment"), one.get("entrypoint")]))
            self.assertLessEqual(set(read), set(one.get("secrets", [])), name)

    def test_fit_together_and_stay(self):
        with tempfile.TemporaryDirectory() as directory:
            def secret(name):
                return pathlib.Path(directory, name).read_text(encoding="utf-8").strip()

            make_secrets(directory)
            for login in ("owner", "outboxd"):
                self.assertEqual(urlsplit(secret(f"{login}_database_url")).password, secret(f"{login}_password"))
            users = {user["name"]: user for user in json.loads(secret("rabbitmq_definitions.json"))["users"]}
            address = urlsplit(secret("outboxd_amqp_url"))
            self.assertEqual(users[address.username]["password"], address.password)
            self.assertEqual(users[address.username]["tags"], "")
            before = secret("rabbitmq_definitions.json")
            make_secrets(directory)
            self.assertEqual(before, secret("rabbitmq_definitions.json"))


class the_commands(unittest.TestCase):
    """As the page and the files say them: none holds the terminal, and what "demo" started ends with the rest."""

    def test_can_be_given_one_after_the_other(self):
        said = [deployed.text(f) for f in (PAGE, "deploy/compose/compose.yaml")]
        command = re.compile(r"^(?:# +)?docker compose ((?:--profile \w+ )*)(\w+)([ \w=-]*)", re.MULTILINE)
        commands = command.findall("\n".join(said))
        self.assertEqual({verb for _, verb, _ in commands}, {"up", "down", "exec"})
        profiles = {name for one in compose()["services"].values() for name in one.get("profiles", [])}
        for before, verb, after in commands:
            with self.subTest(f"{before}{verb}{after}"):
                self.assertNotIn("--profile", after)
                if verb == "up":
                    self.assertIn("--detach", after.split())
                if verb == "down":
                    self.assertEqual(set(re.findall(r"--profile (\w+)", before)), profiles)

    def test_make_the_logins_that_the_page_makes(self):
        (sql,) = re.findall(r"^```sql\n(CREATE ROLE .*?)^```$", deployed.text(PAGE), re.MULTILINE | re.DOTALL)
        statements = [line.split(";")[0] for line in sql.splitlines() if "PASSWORD" not in line]
        self.assertEqual(len(statements), 6)
        for statement in statements:
            self.assertIn(f"\n{statement};\n", deployed.text("deploy/compose/postgres_roles.sh"))


class monitoring(unittest.TestCase):
    def scrape(self):
        (config,) = deployed.documents("deploy/compose/prometheus.yml")
        return config

    def test_scrapes_the_replicas_under_a_job_of_the_alerts(self):
        (job,) = self.scrape()["scrape_configs"]
        self.assertRegex(job["job_name"], f"^(?:{deployed.job_of_the_alerts()})$")
        (target,) = job["dns_sd_configs"]
        self.assertEqual(target["port"], deployed.metrics_port())
        self.assertIn(target["names"][0], compose()["services"])

    def test_grafana_finds_prometheus_and_the_dashboard(self):
        (source,) = deployed.documents("deploy/compose/grafana/datasource.yml")
        self.assertEqual(urlsplit(source["datasources"][0]["url"]).hostname, "prometheus")
        (boards,) = deployed.documents("deploy/compose/grafana/dashboards.yml")
        inside = mounts(service("grafana"))
        self.assertEqual(inside[boards["providers"][0]["options"]["path"]], deployed.DEPLOY / "grafana")
        home = service("grafana")["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertTrue((deployed.DEPLOY / "grafana" / home.rsplit("/", 1)[1]).is_file())

    @unittest.skipUnless(shutil.which("promtool"), "no promtool")
    def test_promtool_accepts_the_configuration(self):
        with tempfile.TemporaryDirectory() as directory:
            for target, path in mounts(service("prometheus")).items():
                shutil.copy(path, f"{directory}/{target.rsplit('/', 1)[1]}")
            subprocess.run(
                ["promtool", "check", "config", f"{directory}/prometheus.yml"], check=True, stdout=subprocess.DEVNULL
            )


if __name__ == "__main__":
    unittest.main()
