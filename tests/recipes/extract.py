"""extract.py FORMAT DIRECTORY up|down: the SQL in printed files, in the order in which their tool would run it.

For tests without the tool itself. Whatever cannot be found is an error.
"""

import pathlib
import re
import runpy
import sys
import types


def part(pattern, text):
    return re.search(pattern, text, re.DOTALL).group(1)


def whole(path, up):
    return path.read_text() if up == (not path.name.endswith(".down.sql")) else ""


def liquibase(path, up):
    lines = path.read_text().splitlines()
    mark = "--rollback "
    return "\n".join(line.removeprefix(mark) for line in lines if line.startswith(mark) != up)


def dbmate(path, up):
    before, after = path.read_text().split("-- migrate:down\n")
    return before if up else after


def alembic(path, up):
    """Runs the file. What it hands to Alembic is text in which a backslash before a colon is SQLAlchemy's."""
    said = []
    sys.modules["sqlalchemy"] = types.SimpleNamespace(text=lambda sql: sql.replace(r"\:", ":"))
    sys.modules["alembic"] = types.SimpleNamespace(op=types.SimpleNamespace(execute=said.append))
    runpy.run_path(str(path))["upgrade" if up else "downgrade"]()
    return "".join(sql + ";\n" for sql in said)


def ef(path, up):
    return part(rf'string {"Up" if up else "Down"} = """\n(.*?)""";', path.read_text())


def rails(path, up):
    return part(rf"def {'up' if up else 'down'}\n    execute <<-'SQL'\n(.*?\n)SQL\n", path.read_text())


READERS = {"sql": whole, "flyway": whole, "golang-migrate": whole, "liquibase": liquibase, "dbmate": dbmate,
           "alembic": alembic, "ef": ef, "rails": rails}

if __name__ == "__main__":
    name, directory, way = sys.argv[1:]
    files = sorted(pathlib.Path(directory).iterdir(), reverse=way == "down")
    print("".join(READERS[name](path, way == "up") for path in files))
