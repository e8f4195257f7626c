#!/usr/bin/env python3
"""The settings of values.schema.json, made from docs/reference/configuration.md (which the program prints).

usage: settings_schema.py --write    bring deploy/helm/outboxd/values.schema.json up to date; a test compares
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference/configuration.md"
SCHEMA = ROOT / "deploy/helm/outboxd/values.schema.json"

# The chart sets these itself, or, the last one, has a Job with the owner's login instead.
OF_THE_CHART = {"OUTBOX_HTTP_LISTEN", "OUTBOX_INSTANCE_ID", "OUTBOX_AUTO_MIGRATE"}

DURATION = r"^(0|[0-9]+(ms|s|m|h|d))$"
SIZE = r"^(0|[0-9]+(B|KiB|MiB|GiB|kB|MB|GB))$"


def settings():
    """Name, default, what is accepted and meaning of every setting in the reference."""
    row = re.compile(r"^\| `(OUTBOX_[A-Z_]+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
    return row.findall(REFERENCE.read_text(encoding="utf-8"))


def names():
    """Every OUTBOX_* variable there is, with the files of secrets."""
    known = set()
    for name, _, accepted, _ in settings():
        known.add(name)
        if accepted.startswith("a secret"):
            known.add(name + "_FILE")
    return known


def constraint(accepted):
    """What the chart can check of a value before the program does."""
    number = re.fullmatch(r"a whole number from (\d+) to (\d+)", accepted)
    if number:
        return {"type": "integer", "minimum": int(number[1]), "maximum": int(number[2])}
    if accepted.startswith("a duration"):
        # A bare 0 of YAML is a number.
        return {"anyOf": [{"type": "string", "pattern": DURATION}, {"const": 0}]}
    if accepted.startswith("a size"):
        return {"type": "string", "pattern": SIZE}
    if accepted == "true or false":
        return {"enum": [True, False, "true", "false"]}
    choice = re.fullmatch(r"\w+(?: or \w+)+", accepted)
    if choice:
        return {"enum": accepted.split(" or ")}
    return {"type": "string"}


def schema():
    properties = {}
    for name, _, accepted, meaning in settings():
        if name in OF_THE_CHART or accepted.startswith("a secret") or "Not in this version" in meaning:
            continue
        properties[name] = {"description": meaning, **constraint(accepted)}
    return {
        "description": "Made by tests/deploy/settings_schema.py. Secrets come from existingSecret.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def main():
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    whole = json.loads(SCHEMA.read_text(encoding="utf-8"))
    whole["properties"]["settings"] = schema()
    SCHEMA.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
