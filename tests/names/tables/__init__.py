"""The table of combinations, from which docs/names.md is written."""
from . import answers, hosts, names, search, servers

GROUPS = (hosts, search, names, answers, servers)
ROWS = {row.id: row for group in GROUPS for row in group.ROWS}
assert len(ROWS) == sum(len(group.ROWS) for group in GROUPS), "two rows have the same id"
