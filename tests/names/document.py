"""docs/names.md: the table and the tests beside it, as a page for users."""
import inspect
import os
import re

from check import OPEN_FAULTS, TESTS
from tables import GROUPS

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/names.md")
HEAD = """\
# Names

Names lead where the machine's own programs go: what getaddrinfo(3) of glibc finds, with `hosts: files dns`.
It is not called: its threads cannot be cancelled, and each waits for one name.
Each line of the tables is a test that asks both on the same machine.
The proxy leads to the same addresses, asks for the same names in the same order, and takes at most 50 ms longer.
`unknown` means that there is no such name, `fails` that nobody could say (both are 502 or 504), `refused` that it is not a name (400).
The files have nameserver lines for the servers besides what is shown, and a hosts file has localhost.
In what servers know, `*` stands for any labels, and a name without a line does not exist.
`nx`, `nodata`, `servfail`, `refused` and `notimp` are answers, `silent` is none, `closed` means that nobody listens there.
`delay` is in milliseconds; `truncated` answers are whole over TCP; `lie-id` and `lie-name` are forged ones that come first.

This page is written by `python3 tests/names/run.py --write-docs`.
"""
DIFFERENCES = """\
## Where it differs from getaddrinfo

"""
BESIDE = {
    "count_tests": "## How often servers are asked\n\n",
    "bound_tests": "## What look-ups may cost\n\n",
    "fault_tests": "## When servers and files fail\n\nAll this while requests come.\n\n",
}


def write():
    with open(PATH, "w") as file:
        file.write(text())


def check():
    """Why the page is not what the table says, or ''."""
    with open(PATH) as file:
        return "" if file.read() == text() else "docs/names.md is not what the table says: run.py --write-docs"


def text():
    parts = [HEAD]
    for group in GROUPS:
        title, _, words = inspect.getdoc(group).partition("\n")
        parts.append(f"\n## {title}\n{words}\n\n{table([row for row in group.ROWS if row.id not in OPEN_FAULTS])}")
    differing = [row for group in GROUPS for row in group.ROWS if row.differs]
    parts.append("\n" + DIFFERENCES + "".join(f"* {row.says}\n  With getaddrinfo, {row.differs}.\n" for row in differing))
    for module, head in BESIDE.items():
        tests = [test for id, test in TESTS.items() if test.__module__ == module and id not in OPEN_FAULTS]
        parts.append("\n" + head + "".join(f"* {inspect.getdoc(test)}\n" for test in tests))
    return "".join(parts)


def table(rows):
    lines = ["| What holds | Name | Files | What the servers know | Asked for, in order | Leads to |\n", "|---|---|---|---|---|---|\n"]
    return "".join(lines + [line(row) for row in rows])


def line(row):
    asked = code(row.asks.replace(" ", "\n")) or "nothing"
    return f"| {row.says} | {code(row.name)} | {files(row)} | {servers(row)} | {asked} | {leads(row)} |\n"


def leads(row):
    return code(row.leads.replace(" ", "\n")) if "." in row.leads or ":" in row.leads else row.leads


def files(row):
    host = f"host `{row.host}`" if row.host != "box" else ""
    resolv = "resolv.conf is empty" if row.resolv == "-" else code(row.resolv.lstrip("-"))
    return ", ".join(part for part in (resolv, "hosts " + code(row.hosts) if row.hosts else "", host) if part)


def servers(row):
    zones = [code(zone) or "nothing" for zone in row.zones()]
    return zones[0] if len(zones) == 1 else "; ".join(f"{n}. {zone}" for n, zone in enumerate(zones, 1))


def code(text):
    """Lines as code, shortened where only their length matters."""
    lines = [re.sub(r"(.)\1{19,}", lambda run: f"{run[1]}…({len(run[0])})", line) for line in text.splitlines()]
    if len(lines) > 12:
        lines = [lines[0], f"… {len(lines) - 2} lines …", lines[-1]]
    shown = [printable(line) for line in lines if line.strip()]
    return ", ".join(f"`{line}`" for line in shown)


def printable(line):
    return "".join(c if " " <= c <= "~" or c == "…" else f"\\x{ord(c):02x}" for c in line).replace("|", "\\|").strip()

