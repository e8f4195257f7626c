#!/usr/bin/env python3
"""Every relative link of the pages that are installed leads to a file that is installed, and to a heading of it.

usage: installed_links.py ROOT            what a package was unpacked to
       installed_links.py --build FOLDER  what "cmake --install FOLDER" gives
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*([^)\s]+)\s*\)")


def anchors(page):
    """The headings as the places of code make links of them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def faults(documents):
    pages = sorted(documents.rglob("*.md"))
    followed = 0
    for page in pages:
        for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            followed += 1
            if documents not in pathlib.Path(os.path.normpath(target)).parents or not target.exists():
                yield f"{page.relative_to(documents)}: {link} is not installed"
            elif anchor and anchor not in anchors(target):
                yield f"{page.relative_to(documents)}: {link} names no heading"
    if len(pages) < 20 or followed < 100:
        yield f"only {followed} links in {len(pages)} pages"


def main():
    with tempfile.TemporaryDirectory() as scratch:
        if sys.argv[1:2] == ["--build"] and len(sys.argv) == 3:
            root, environment = pathlib.Path(scratch), {**os.environ, "DESTDIR": scratch}
            subprocess.run(
                ["cmake", "--install", sys.argv[2], "--prefix", "/usr"], env=environment, check=True, stdout=subprocess.DEVNULL
            )
        elif len(sys.argv) == 2:
            root = pathlib.Path(sys.argv[1])
        else:
            sys.exit(__doc__)
        sys.exit("\n".join(faults(root / "usr/share/doc/outboxd")) or 0)


if __name__ == "__main__":
    main()
