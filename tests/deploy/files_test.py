#!/usr/bin/env python3
"""All files of deploy/: they parse, and name only settings that exist."""
import json
import re
import shlex
import subprocess
import unittest

import deployed
import settings_schema

TEMPLATES = deployed.CHART / "templates"


def files():
    return [path for path in sorted(deployed.DEPLOY.rglob("*")) if path.is_file() and "secrets" not in path.parts]


class files_test(unittest.TestCase):
    def test_every_yaml_file_parses_and_gives_no_key_twice(self):
        parsed = 0
        for path in files():
            if path.suffix in (".yaml", ".yml") and TEMPLATES not in path.parents:
                with self.subTest(path):
                    self.assertTrue(deployed.parse(path.read_text(encoding="utf-8")))
                    parsed += 1
        self.assertGreater(parsed, 10)

    def test_every_json_file_parses(self):
        for path in files():
            if path.suffix == ".json":
                with self.subTest(path):
                    json.loads(path.read_text(encoding="utf-8"))

    def test_a_key_given_twice_is_noticed(self):
        with self.assertRaises(Exception):
            deployed.parse("a: 1\nb: {c: 1, c: 2}\n")

    def test_the_runbook_becomes_a_link_by_the_command_of_its_page(self):
        command = re.search(r"^    (sed .*outboxd\.rules\.yml)$", deployed.text("docs/operations/alerts.md"), re.MULTILINE)[1]
        said = subprocess.run(shlex.split(command), cwd=deployed.DEPLOY / "prometheus", capture_output=True, check=True)
        (rules,) = deployed.parse(said.stdout.decode())
        alerts = deployed.alerts(rules)
        self.assertGreater(len(alerts), 15)
        for alert in alerts:
            link = f"https://wiki.example/outboxd/alerts#{alert['alert'].lower()}"
            self.assertEqual(set(alert["annotations"]), {"summary", "runbook_url"})
            self.assertEqual(alert["annotations"]["runbook_url"], link)

    def test_every_setting_named_exists(self):
        known = settings_schema.names()
        self.assertGreater(len(known), 20)
        found = set()
        for path in files():
            for name in re.findall(r"\bOUTBOX_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")):
                with self.subTest(path):
                    self.assertIn(name, known)
                    found.add(name)
        self.assertIn("OUTBOX_DATABASE_URL_FILE", found)


if __name__ == "__main__":
    unittest.main()
