#!/usr/bin/env python3
"""The Dockerfile: its stages are the scripts that are tried without an engine; its image is what the manifests expect."""
import json
import re
import unittest

import deployed

DOCKERFILE = "deploy/container/Dockerfile"
LABELS = {"title", "description", "version", "revision", "created", "source", "base.name"}


def instructions():
    """Instruction and argument, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", deployed.text(DOCKERFILE))
    return re.findall(r"^([A-Z]+) (.*)$", joined, re.MULTILINE)


def arguments(name):
    return [argument for instruction, argument in instructions() if instruction == name]


class the_image(unittest.TestCase):
    def test_is_built_by_the_scripts_that_are_tried(self):
        tried = deployed.text("deploy/container/try_stages.sh")
        runs = [re.sub(r"^(--mount=\S+|OUTBOXD_REVISION=\S+) ", "", run) for run in arguments("RUN")]
        self.assertEqual(runs, ["./dev deps build", "deploy/container/build.sh /out", "/stage/runtime.sh"])
        for run in runs:
            self.assertIn(run, tried)

    def test_runs_as_a_number_that_is_not_root(self):
        self.assertEqual(arguments("USER"), ["65532:65532"])
        self.assertIn("--uid 65532 --gid 65532", deployed.text("deploy/container/runtime.sh"))

    def test_asks_the_program_itself_whether_it_is_healthy(self):
        (check,) = arguments("HEALTHCHECK")
        command = json.loads(check[check.index("[") :])
        (program,) = json.loads(arguments("ENTRYPOINT")[0])
        self.assertEqual(command[:2], [program, "healthcheck"])
        self.assertIn("healthcheck", deployed.verbs())
        own = int(re.fullmatch(r"(\d+)s", command[command.index("--timeout") + 1])[1])
        self.assertLess(own, int(re.search(r"--timeout=(\d+)s", check)[1]), "it says itself what is wrong")
        (verb,) = json.loads(arguments("CMD")[0])
        self.assertIn(verb, deployed.verbs())

    def test_says_what_it_is(self):
        (label,) = arguments("LABEL")
        self.assertEqual(set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", label)), LABELS)
        self.assertIn(f"VERSION={deployed.program_version()}", arguments("ARG"))
        self.assertEqual(arguments("EXPOSE"), [str(deployed.metrics_port())])

    def test_has_both_stages_on_the_same_base(self):
        self.assertEqual(arguments("FROM"), ["${BASE} AS build", "${BASE}"])


if __name__ == "__main__":
    unittest.main()
