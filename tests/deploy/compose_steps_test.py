#!/usr/bin/env python3
"""What the containers of compose.yaml would do, one after the other, as processes: with its scripts, secrets, commands and
variables, on a PostgreSQL and a RabbitMQ of our own. Only names of hosts and folders are others."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import unittest
from urllib.parse import urlsplit

import deployed

sys.path.append(str(deployed.ROOT / "bench"))
from stack import SERVERS, eventually, run  # noqa: E402

COMPOSE = deployed.DEPLOY / "compose"
PROGRAM = os.environ["OUTBOXD_PROGRAM"]
(PROJECT,) = deployed.documents("deploy/compose/compose.yaml")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class compose_steps(unittest.TestCase):
    def setUp(self):
        # The guard destroys everything when this process ends, however it ends.
        self.guard = subprocess.Popen([SERVERS, "guard"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (self.guard.stdin.close(), self.guard.wait(), self.guard.stdout.close()))
        self.dir = pathlib.Path(self.guard.stdout.readline().strip())
        self.listen = f"127.0.0.1:{free_port()}"
        self.secrets = self.dir / "secrets"
        self.secrets.mkdir(mode=0o755)
        run(COMPOSE / "make_secrets.sh", self.secrets)

    def server(self, verb, *arguments):
        return run(SERVERS, verb, self.dir, *arguments)

    def here(self, text):
        """What a container reads as /run/secrets/NAME."""
        return re.sub(r"/run/secrets/(\w+)", lambda m: str(self.secret_file(m[1])), text)

    def secret_file(self, name):
        return self.secrets / PROJECT["secrets"][name]["file"].removeprefix("secrets/")

    def environment(self, service):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OUTBOX_", "PG"))}
        own = {k: self.here(v) for k, v in PROJECT["services"][service]["environment"].items()}
        return {**clean, "OUTBOX_HTTP_LISTEN": self.listen, **own}

    def start_postgres(self):
        """As its image does: a database, then the script that is mounted for it."""
        server = urlsplit(self.server("postgres-start"))
        self.postgres = {"PGHOST": server.hostname, "PGPORT": str(server.port)}
        admin = {**os.environ, **self.postgres, "PGPASSWORD": server.password, "SECRETS": str(self.secrets)}
        database = PROJECT["services"]["postgres"]["environment"]["POSTGRES_DB"]
        run("psql", "-qX", "-U", "postgres", "-d", "postgres", "-c", f"CREATE DATABASE {database}", env=admin)
        run(COMPOSE / "postgres_roles.sh", env={**admin, "POSTGRES_DB": database})
        for name in ("owner_database_url", "outboxd_database_url"):
            self.move(name, "@postgres/", f"@{server.hostname}:{server.port}/")

    def start_rabbitmq(self):
        """With the configuration that is mounted, which it reads when it starts."""
        broker = urlsplit(self.server("rabbitmq-start"))
        conf = self.here((COMPOSE / "rabbitmq.conf").read_text(encoding="utf-8"))
        (self.dir / "rabbitmq/conf.d/20-definitions.conf").write_text(conf, encoding="utf-8")
        self.server("rabbitmq-stop")
        self.server("rabbitmq-start")
        self.move("outboxd_amqp_url", "@rabbitmq/", f"@{broker.hostname}:{broker.port}/")

    def move(self, name, old, new):
        path = self.secret_file(name)
        before = path.read_text(encoding="utf-8")
        self.assertIn(old, before)
        path.write_text(before.replace(old, new), encoding="utf-8")

    def outboxd(self, service, *arguments):
        return run(PROGRAM, *arguments, env=self.environment(service))

    def start(self, *command, **options):
        process = subprocess.Popen(command, **options)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def healthy(self, *more):
        _, _, *command = PROJECT["services"]["outboxd"]["healthcheck"]["test"]
        asked = subprocess.run([PROGRAM, *command, *more], env=self.environment("outboxd"), capture_output=True, check=False)
        return asked.returncode == 0

    def start_shop(self):
        """The service of the profile "demo", which writes until it is stopped."""
        shop = PROJECT["services"]["shop"]
        *shell, script = shop["entrypoint"]
        script = self.here(script.replace("$$", "$")).replace("/shop.sql", str(COMPOSE / "shop.sql"))
        env = {**os.environ, **shop["environment"], **self.postgres}
        return self.start(*shell, script, env=env, stdout=subprocess.DEVNULL)

    def waiting(self, queue):
        found = re.search(rf"^{queue}\s+(\d+)$", self.server("rabbitmq-ctl", "list_queues", "name", "messages"), re.MULTILINE)
        return int(found[1])

    def test_an_order_of_the_demo_reaches_its_queue(self):
        self.start_postgres()
        self.start_rabbitmq()
        self.outboxd("migrate", *PROJECT["services"]["migrate"]["command"])
        self.outboxd("outboxd", "check")
        with open(self.dir / "outboxd.log", "w", encoding="utf-8") as log:
            relay = self.start(PROGRAM, "run", env=self.environment("outboxd"), stderr=log)
        eventually("the health check succeeds", self.healthy, pause=0.1)
        eventually("it is ready", lambda: self.healthy("--ready"), pause=0.1)
        self.assertEqual(self.waiting("orders"), 0)
        shop = self.start_shop()
        eventually("an order is in the queue", lambda: self.waiting("orders") > 0, pause=0.1)
        self.assertIsNone(shop.poll())
        relay.send_signal(signal.SIGTERM)
        self.assertEqual(relay.wait(deployed.shutdown_seconds()), 0)
        self.assertFalse(self.healthy())


if __name__ == "__main__":
    unittest.main()
