"""What a page quotes is what stands in the file: <!-- FILE --> before a block of code says that the block is a part of it.

Every example must be quoted somewhere.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
QUOTE = re.compile(r"<!-- (examples/writing/\S+) -->\n```\w*\n(.*?)```\n", re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = {"python/write.py", "node/write.js", "java/Write.java", "go/main.go", "dotnet/Program.cs"}


faults, quoted = [], set()
for page in PAGES:
    for name, quote in QUOTE.findall(page.read_text()):
        quoted.add(name.removeprefix("examples/writing/"))
        if quote not in (ROOT / name).read_text():
            faults.append(f"{page.relative_to(ROOT)}: what it quotes is not in {name}")
faults += [f"examples/writing/{name} is quoted nowhere" for name in sorted(EXAMPLES - quoted)]
sys.exit("\n".join(faults) or 0)
