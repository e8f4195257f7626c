"""The admin API as its OpenAPI file describes it: asked of running processes, with real servers.

Every answer is compared with the file; at the end every answer that the file promises has been given once."""

import argparse
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import unittest

import jsonschema
import yaml

from world import ROOT, TOKEN, Stack, admin_port, ask, eventually, insert_dead, lines, relay

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")


class Description:
    """The OpenAPI file."""

    def __init__(self, path):
        self.whole = yaml.safe_load(path.read_text())
        self.promised = set()  # (method, path, status)
        self.given = set()
        for name, item in self.whole["paths"].items():
            for method, operation in item.items():
                self.promised |= {(method.upper(), name, status) for status in operation["responses"]}

    def operations(self):
        for name, item in self.whole["paths"].items():
            for method, operation in item.items():
                yield method.upper(), name, operation

    def follow(self, value):
        while "$ref" in value:
            target = self.whole
            for step in value["$ref"].removeprefix("#/").split("/"):
                target = target[step.replace("~1", "/")]
            value = target
        return value

    def validator(self, schema):
        return jsonschema.Draft202012Validator({"$ref": schema["$ref"], "components": self.whole["components"]}
                                               if "$ref" in schema else {**schema, "components": self.whole["components"]})

    def check(self, method, name, answer):
        """The answer is one that the file promises for this operation."""
        self.given.add((method, name, str(answer.status)))
        responses = self.whole["paths"][name][method.lower()]["responses"]
        assert str(answer.status) in responses, f"{method} {name} answers {answer.status}: {answer.text}"
        content = self.follow(responses[str(answer.status)]).get("content")
        kind = answer.headers.get("Content-Type", "")
        if content is None:
            assert answer.text == "", f"{method} {name}: {answer.text}"
            return
        assert kind in content, f"{method} {name} {answer.status}: {kind}"
        self.validator(content[kind]["schema"]).validate(answer.json)
        if kind == "application/problem+json":
            assert answer.json["status"] == answer.status, answer.text


class AdminTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.description = Description(ROOT / "docs/reference/admin-api.yaml")
        cls.stack = Stack(BUILD, aged=False)
        cls.addClassCleanup(cls.stack.close)
        cls.stack.queue("q")
        cls.relay = cls.enterClassContext(relay(cls.stack))
        cls.port = admin_port(cls.relay)
        cls.token_file = cls.stack.path("token")
        cls.token_file.write_text(TOKEN + "\n")
        cls.locked = cls.enterClassContext(
            relay(cls.stack, OUTBOX_ADMIN_LISTEN="0.0.0.0:0", OUTBOX_ADMIN_TOKEN_FILE=str(cls.token_file)))
        cls.locked_port = admin_port(cls.locked)
        cls.away = cls.enterClassContext(relay(cls.stack, OUTBOX_DATABASE_URL="postgresql://127.0.0.1:1/none"))
        cls.away_port = admin_port(cls.away)
        eventually("it leads", lambda: cls.relay.metric("outbox_leader") + cls.locked.metric("outbox_leader") == 1)

    def setUp(self):
        self.stack.empty_outbox()
        self.stack.sql("DELETE FROM outbox.pauses")

    def ask(self, method, path, body=None, name=None, port=None, **headers):
        answer = ask(port or self.port, method, path, body, **headers)
        self.description.check(method, name or path.partition("?")[0], answer)
        return answer

    def count(self, status):
        return int(self.stack.sql(f"SELECT count(*) FROM outbox.messages WHERE status = '{status}'"))

    # --- the file itself ---

    def test_the_file_is_openapi(self):
        whole = self.description.whole
        self.assertRegex(whole["openapi"], r"^3\.1\.\d+$")
        self.assertTrue(whole["info"]["title"] and whole["info"]["version"])
        identifiers = []
        for method, name, operation in self.description.operations():
            self.assertIn(method.lower(), METHODS)
            identifiers.append(operation["operationId"])
            self.assertTrue(operation["summary"])
            wanted = set(re.findall(r"{(\w+)}", name))
            given = [self.description.follow(p) for p in operation.get("parameters", [])]
            self.assertEqual(wanted, {p["name"] for p in given if p["in"] == "path" and p["required"]})
            for response in operation["responses"].values():
                self.assertTrue(self.description.follow(response)["description"])
        self.assertEqual(len(identifiers), len(set(identifiers)))

    def test_its_schemas_are_schemas_and_its_references_lead_somewhere(self):
        def walk(value):
            if isinstance(value, dict):
                if isinstance(value.get("$ref"), str):
                    self.description.follow(value)
                if isinstance(value.get("schema"), dict):
                    jsonschema.Draft202012Validator.check_schema(value["schema"])
                for each in value.values():
                    walk(each)
            elif isinstance(value, list):
                for each in value:
                    walk(each)

        walk(self.description.whole)
        for schema in self.description.whole["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    # --- what it promises ---

    def concrete(self, name):
        return name.replace("{id}", "1")

    def body_for(self, operation):
        return {"reason": "test"} if operation["operationId"] == "pause" else {"id": 1} if "requestBody" in operation else None

    def test_strangers_are_refused_everywhere(self):
        for method, name, operation in self.description.operations():
            path, body = self.concrete(name), self.body_for(operation)
            for authorization in (None, "Bearer " + TOKEN[:-1], "Basic " + TOKEN):
                refused = self.ask(method, path, body, name, self.locked_port, Authorization=authorization)
                self.assertEqual(refused.status, 401)
                self.assertIn("Bearer", refused.headers["WWW-Authenticate"])
            for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
                self.assertEqual(self.ask(method, path, body, name, **headers).status, 403)
            self.assertEqual(self.ask(method, path, body, name, host="evil.example").status, 421)
        self.assertNotIn(TOKEN[:-1], self.locked.log.read_text())
        self.assertTrue(lines(self.locked, "admin.refused"))

    def test_a_token_is_read_anew_and_opens(self):
        def status(token):
            return ask(self.locked_port, "GET", "/admin/v1/status", Authorization="Bearer " + token).status

        self.assertEqual(status(TOKEN), 200)
        self.token_file.write_text("the-next-one-of-many-tokens\n")
        self.assertEqual(status(TOKEN), 401)
        self.assertEqual(status("the-next-one-of-many-tokens"), 200)
        self.token_file.unlink()
        self.assertEqual(status(TOKEN), 503)
        self.token_file.write_text(TOKEN + "\n")
        self.assertEqual(status(TOKEN), 200)

    def test_mistakes_are_400_and_what_is_not_json_is_415(self):
        for method, name, operation in self.description.operations():
            path, body = self.concrete(name), self.body_for(operation)
            if body is None:
                self.assertEqual(self.ask(method, path + "?surprise=1", None, name).status, 400)
                continue
            self.assertEqual(self.ask(method, path, {**body, "surprise": 1}, name).status, 400)
            self.assertEqual(self.ask(method, path, b"{", name).status, 400)
            self.assertEqual(self.ask(method, path, body, name, Content_Type="text/plain").status, 415)
            self.assertEqual(self.ask(method, path, body, name, Content_Type=None).status, 415)

    def test_a_body_that_the_file_refuses_is_refused(self):
        bad = {
            "Decision": [{"id": 0}, {"id": "1"}, {"exchange": "x" * 256}, {"since": "soon"}, {"all": 1}, {"id": 1, "more": 2}],
            "pause": [{"for": "soon"}, {"exchange": "a", "ordering_key": "b"}, {"reason": "x" * 1001}, {"reason": "a\nb"}, {"for": 5}],
        }
        for method, name, operation in self.description.operations():
            if "requestBody" not in operation:
                continue
            schema = self.description.follow(operation["requestBody"])["content"]["application/json"]["schema"]
            validator = self.description.validator(schema)
            self.assertTrue(validator.is_valid(self.body_for(operation)))
            for body in bad["pause" if operation["operationId"] == "pause" else "Decision"]:
                self.assertFalse(validator.is_valid(body), body)
                self.assertEqual(self.ask(method, name, body).status, 400, body)

    def test_without_a_database_it_says_so(self):
        for method, name, operation in self.description.operations():
            if name == "/admin/v1/status":
                continue
            answer = self.ask(method, self.concrete(name), self.body_for(operation), name, self.away_port)
            self.assertEqual(answer.status, 503)
            self.assertIn("refused", answer.json["detail"])

    def test_the_status_is_that_of_the_other_listener(self):
        status = self.ask("GET", "/admin/v1/status").json
        self.assertIn(status["state"], ("leading", "standby"))
        self.assertEqual(set(status), set(json.loads(self.relay.get("/status.json"))))
        self.assertEqual(ask(self.port, "HEAD", "/admin/v1/status").text, "")

    def test_dead_rows_are_listed_page_by_page_and_shown(self):
        ids = insert_dead(self.stack, 5, key="k", kind="user.created")
        others = insert_dead(self.stack, 2, reason="refused: 406 PRECONDITION_FAILED", exchange="x")
        first = self.ask("GET", "/admin/v1/dead?limit=4").json
        self.assertEqual([row["id"] for row in first["rows"]], ids[:4])
        rest = self.ask("GET", f"/admin/v1/dead?limit=4&after={first['next']}").json
        self.assertEqual([row["id"] for row in rest["rows"]], ids[4:] + others)
        self.assertIsNone(rest["next"])
        for query, expected in (("exchange=x", others), ("exchange=", ids), ("reason=refused", others), ("ordering_key=k", ids),
                                ("type=user.created", ids), ("routing_key=nowhere", []), ("since=1h", ids + others),
                                (f"id={ids[2]}", [ids[2]])):
            self.assertEqual([row["id"] for row in self.ask("GET", "/admin/v1/dead?" + query).json["rows"]], expected, query)
        one = self.ask("GET", f"/admin/v1/dead/{ids[0]}", name="/admin/v1/dead/{id}").json
        self.assertEqual(one["body_beginning"], '{"n": 1}')
        self.stack.sql(f"UPDATE outbox.messages SET payload = NULL, payload_bytes = '\\x00ff' WHERE id = {ids[0]}")
        self.assertEqual(self.ask("GET", f"/admin/v1/dead/{ids[0]}", name="/admin/v1/dead/{id}").json["body_beginning_hex"], "00ff")
        self.assertEqual(self.ask("GET", "/admin/v1/dead/999999", name="/admin/v1/dead/{id}").status, 404)

    def test_retry_and_discard_do_what_was_chosen_and_are_written_down(self):
        insert_dead(self.stack, 3)
        insert_dead(self.stack, 2, reason="refused: 406")
        before = len(lines(self.relay, "admin.action"))
        dry = self.ask("POST", "/admin/v1/dead/retry", {"all": True, "dry_run": True}).json
        self.assertEqual(dry, {"action": "retry", "rows": 5, "done": False})
        self.assertEqual(self.count("dead"), 5)
        done = self.ask("POST", "/admin/v1/dead/discard", {"reason": "refused"}).json
        self.assertEqual(done, {"action": "discard", "rows": 2, "done": True})
        self.assertEqual(self.ask("POST", "/admin/v1/dead/retry", {"reason": "too_large"}).json["rows"], 3)
        eventually("the rows are sent", lambda: self.count("sent") == 3)
        written = lines(self.relay, "admin.action")[before:]
        self.assertEqual([(w["action"], w["rows"], w["dry_run"], w["result"]) for w in written],
                         [("retry", 5, True, "done"), ("discard", 2, False, "done"), ("retry", 3, False, "done")])
        self.assertEqual(written[1]["remote"], "127.0.0.1")
        self.assertEqual(json.loads(written[1]["filter"]), {"reason": "refused"})

    def test_pauses_begin_are_listed_and_end(self):
        self.assertEqual(self.ask("GET", "/admin/v1/pauses").json, {"pauses": []})
        for body in ({"reason": "a new consumer", "for": "15m"}, {"exchange": "x"}, {"ordering_key": "k"}):
            self.assertEqual(self.ask("PUT", "/admin/v1/pause", body).status, 204)
        everything, exchange, key = self.ask("GET", "/admin/v1/pauses").json["pauses"]
        self.assertEqual((everything["exchange"], everything["ordering_key"], everything["reason"]), (None, None, "a new consumer"))
        self.assertIsNotNone(everything["until"])
        self.assertEqual((exchange["exchange"], exchange["until"], key["ordering_key"]), ("x", None, "k"))
        for query in ("", "?exchange=x", "?ordering_key=k"):
            self.assertEqual(self.ask("DELETE", "/admin/v1/pause" + query).status, 204)
            self.assertEqual(self.ask("DELETE", "/admin/v1/pause" + query).status, 404)
        self.assertEqual(self.ask("GET", "/admin/v1/pauses").json, {"pauses": []})
        self.stack.sql("SELECT outbox.pause(ordering_key => 'k' || n) FROM generate_series(1, 256) AS n")
        self.assertEqual(self.ask("PUT", "/admin/v1/pause", {"ordering_key": "one more"}).status, 409)

    def test_what_is_paused_waits_until_it_is_resumed(self):
        self.ask("PUT", "/admin/v1/pause", {"reason": "test"})
        eventually("a pause is obeyed", lambda: self.relay.metric("outbox_paused") + self.locked.metric("outbox_paused") >= 1)
        self.stack.insert_backlog(3, 10)
        self.assertEqual(self.count("sent"), 0)
        self.ask("DELETE", "/admin/v1/pause")
        eventually("the rows are sent", lambda: self.count("sent") == 3)

    # --- what it does not describe ---

    def test_other_methods_are_405_and_say_which_there_are(self):
        for name, item in self.description.whole["paths"].items():
            allowed = {method.upper() for method in item} | ({"HEAD"} if "get" in item else set())
            for method in METHODS:
                if method.upper() in allowed:
                    continue
                answer = ask(self.port, method.upper(), self.concrete(name))
                self.assertEqual(answer.status, 405, f"{method} {name}")
                self.assertEqual(set(answer.headers["Allow"].split(", ")), allowed)
        for path in ("/admin/v1", "/admin/v1/", "/admin/v1/messages", "/metrics", "/livez", "/status.json"):
            self.assertEqual(ask(self.port, "GET", path).status, 404, path)

    def test_the_read_only_listener_changes_nothing(self):
        for method, name, operation in self.description.operations():
            answer = ask(self.relay.port, method, self.concrete(name), self.body_for(operation))
            self.assertIn(answer.status, (404, 405))

    # --- limits ---

    def test_bodies_and_headers_are_limited(self):
        self.assertEqual(ask(self.port, "POST", "/admin/v1/dead/retry", b" " * 16385).status, 413)
        self.assertEqual(ask(self.port, "POST", "/admin/v1/dead/retry", b" " * 16384).status, 400)
        self.assertEqual(ask(self.port, "GET", "/admin/v1/status", Cookie="c" * 9000).status, 431)
        with socket.create_connection(("127.0.0.1", self.port), 60) as nonsense:
            nonsense.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
            self.assertTrue(nonsense.recv(100).startswith(b"HTTP/1.1 400 "))

    def test_slow_clients_are_dropped_and_cost_nobody_else_a_place_for_long(self):
        slow = [socket.create_connection(("127.0.0.1", self.port), 60) for _ in range(16)]
        for s in slow:
            s.sendall(b"POST /admin/v1/dead/retry HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      b"Content-Length: 10\r\n\r\n{")
        for s in slow:
            self.assertEqual(s.recv(100), b"", "closed without an answer")
            s.close()

        def served():
            try:
                return ask(self.port, "GET", "/admin/v1/status").status == 200
            except (http.client.HTTPException, ConnectionError):
                return False

        eventually("there is a place again", served)

    def test_a_shutdown_cuts_off_what_waits_for_the_database(self):
        [row] = insert_dead(self.stack, 1)
        with relay(self.stack) as third:
            port, answers = admin_port(third), []
            holder = subprocess.Popen(
                ["psql", "-qAtX", self.stack.database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                holder.stdin.write(f"BEGIN; SELECT id FROM outbox.messages WHERE id = {row} FOR UPDATE;\n")
                holder.stdin.flush()
                self.assertEqual(holder.stdout.readline().strip(), str(row))
                asking = threading.Thread(target=lambda: answers.append(ask(port, "POST", "/admin/v1/dead/retry", {"id": row})))
                asking.start()
                waiting = ("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outboxd admin' "
                           "AND wait_event_type = 'Lock'")
                eventually("it waits for the row", lambda: self.stack.sql(waiting) == "1")
                third.process.send_signal(signal.SIGTERM)
                asking.join(60)
                self.assertEqual(third.process.wait(60), 0)
            finally:
                holder.communicate()  # ends its input, and so its transaction
        self.assertEqual(answers[0].status, 503)
        self.assertIn("shutting down", answers[0].text)
        [written] = lines(third, "admin.action")
        self.assertEqual((written["result"], written["level"]), ("unknown", "warn"))

    # --- at the end ---

    def test_zz_everything_that_the_file_promises_was_given(self):
        self.assertEqual(self.description.promised - self.description.given, set())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    options, rest = parser.parse_known_args()
    import pathlib

    BUILD = pathlib.Path(options.build)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
