"""What every pod with outboxd must be, whether it comes from deploy/kubernetes or from the chart."""
import deployed

SECRETS = "/run/secrets/outboxd/"


def check_pod(test, spec):
    """The checks of a pod: allowed as "restricted", and its outboxd has what it needs."""
    test.assertEqual(deployed.restricted_violations(spec), [])
    test.assertIs(spec["automountServiceAccountToken"], False)
    container = deployed.outboxd_in(spec)
    context = container["securityContext"]
    test.assertTrue(context["readOnlyRootFilesystem"])
    test.assertEqual((context["runAsUser"], context["runAsGroup"]), (65532, 65532))
    test.assertIn(" ".join(container["args"]), deployed.verbs())
    test.assertIn("memory", container["resources"]["limits"])
    test.assertNotIn("cpu", container["resources"]["limits"])
    check_secrets(test, spec, container)


def check_secrets(test, spec, container):
    """Secrets come as files, and every file is mounted."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    there = set()
    for volume in spec["volumes"]:
        for item in volume.get("secret", {}).get("items", []):
            there.add(f"{mounts[volume['name']]}/{item['path']}")
    wanted = {e["value"] for e in container["env"] if e["name"].endswith("_FILE")}
    test.assertEqual(wanted, there)
    test.assertTrue(wanted)
    test.assertTrue(all(path.startswith(SECRETS) for path in wanted))


def check_relay(test, spec):
    """The checks of a container that relays: its port, its probes, and time to end."""
    container = deployed.outboxd_in(spec)
    test.assertEqual(container["args"], ["run"])
    (port,) = container["ports"]
    test.assertEqual(port, {"name": "outbox-metrics", "containerPort": deployed.metrics_port()})
    test.assertLessEqual(len(port["name"]), 15)
    for probe, path in {"startupProbe": "/startupz", "livenessProbe": "/livez"}.items():
        test.assertEqual(container[probe]["httpGet"], {"path": path, "port": port["name"]})
        test.assertIn(path, deployed.http_paths())
    # A hang of 30 s ends the process by itself: the kubelet does not come before that.
    liveness = container["livenessProbe"]
    test.assertGreaterEqual(liveness["periodSeconds"] * liveness["failureThreshold"], 60)
    check_memory(test, container)
    pod_name = [e for e in container["env"] if e["name"] == "POD_NAME"]
    test.assertEqual(pod_name[0]["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name")

    before = 0
    if "lifecycle" in container:
        command, before = container["lifecycle"]["preStop"]["exec"]["command"]
        test.assertEqual(command, "sleep")
    test.assertGreaterEqual(spec["terminationGracePeriodSeconds"], deployed.shutdown_seconds() + int(before))


def check_memory(test, container):
    """The limit has room for rows of any size, as docs/operations/sizing.md says how much that is."""
    wanted = 3 * int(deployed.setting_default("OUTBOX_MAX_IN_FLIGHT_BYTES").removesuffix("MiB")) + 80
    test.assertIn(f"{wanted} MiB with the defaults", deployed.text("docs/operations/sizing.md"))
    limit = container["resources"]["limits"]["memory"]
    test.assertGreaterEqual(int(limit.removesuffix("Mi")), wanted)


def check_migration(test, job):
    """The checks of the Job: it migrates, and gives up where trying again does not help."""
    spec = job["spec"]["template"]["spec"]
    check_pod(test, spec)
    container = deployed.outboxd_in(spec)
    test.assertEqual(container["args"], ["migrate", "up"])
    test.assertEqual(spec["restartPolicy"], "Never")
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    test.assertEqual(rule["action"], "FailJob")
    test.assertEqual(rule["onExitCodes"]["containerName"], container["name"])
    refused = set(rule["onExitCodes"]["values"])
    test.assertLessEqual(refused, deployed.exit_statuses())
    test.assertNotIn(69, refused, "a database that is away comes back")
