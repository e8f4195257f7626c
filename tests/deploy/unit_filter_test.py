#!/usr/bin/env python3
"""outboxd under the filter of system calls of the systemd unit, with real servers: it relays, answers, connects again,
tells systemd how it is, and ends."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import unittest

import deployed

sys.path.append(str(deployed.ROOT / "bench"))
from stack import Stack, eventually  # noqa: E402

BUILD = pathlib.Path(os.environ["OUTBOXD_PROGRAM"]).parents[1]
FILTER = deployed.ROOT / "tests/deploy/unit_filter.py"


def under_filter(*command):
    return [sys.executable, "-B", str(FILTER), *map(str, command)]


@unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze, which knows the groups of system calls")
class the_filter(unittest.TestCase):
    def ends_with(self, script):
        done = subprocess.run(under_filter(sys.executable, "-c", script), capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.strip().rpartition("\n")[2]

    def test_is_one(self):
        self.assertEqual(self.ends_with("import threading; threading.Thread(target=print).start()"), (0, ""))
        for forbidden in ("import os; os.nice(1)", "import os; os.chown('/', 0, 0)", "import mmap; mmap.mmap(-1, 4096, prot=7)"):
            with self.subTest(forbidden):
                self.assertEqual(self.ends_with(forbidden)[0], -signal.SIGSYS)
        status, said = self.ends_with("import socket; socket.socket(socket.AF_NETLINK)")
        self.assertEqual((status, said.split("]")[0]), (1, "OSError: [Errno 97"))

    def wrapper(self, stack):
        """A program like outboxd, to the eye."""
        path = stack.path("outboxd-under-filter")
        path.write_text(f"#!/bin/sh\nexec {' '.join(under_filter(stack.outboxd))} \"$@\"\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def test_lets_outboxd_do_all_it_does(self):
        stack = Stack(BUILD, aged=False)
        self.addCleanup(stack.close)
        stack.queue("q")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(stack.path("notify")))
        manager.settimeout(60)
        # Names, so that addresses are looked up, which is done differently where there is no netlink.
        stack.amqp_url = stack.amqp_url.replace("@127.0.0.1", "@localhost")
        stack.outboxd = self.wrapper(stack)
        told = {"NOTIFY_SOCKET": stack.path("notify"), "WATCHDOG_USEC": 200000, "OUTBOX_ADMIN_LISTEN": "127.0.0.1:0"}
        by_name = {"OUTBOX_DATABASE_URL": stack.database_url.replace("@127.0.0.1", "@localhost"), "OUTBOX_INSTANCE_ID": "filtered"}
        with stack.sidecar(**told, **by_name) as relay:
            awaited = {b"READY", b"STATUS", b"WATCHDOG"}
            while awaited:
                awaited.discard(manager.recv(1024).split(b"=")[0])
            self.relays(stack)
            stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'filtered%'")
            self.relays(stack)
            for page in ("/metrics", "/status.json", "/livez", "/"):
                self.assertTrue(relay.get(page))
            relay.process.send_signal(signal.SIGTERM)
            self.assertEqual(relay.process.wait(deployed.shutdown_seconds()), 0, relay.log.read_text(encoding="utf-8"))

    def relays(self, stack):
        row = stack.sql("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', '{}') RETURNING id")
        sent = f"SELECT status = 'sent' FROM outbox.messages WHERE id = {row}"
        eventually("a row is sent", lambda: stack.sql(sent) == "t", pause=0.1)


if __name__ == "__main__":
    unittest.main()
