"""Results as numbers that people read: medians, paired ratios with their spread, units."""
import statistics

BASE = "haproxy"


def summary(scenario):
    """For each proxy of a scenario its median, its paired ratio to HAProxy, and what a reader must know."""
    rounds = {}
    for cell in scenario["cells"]:
        rounds.setdefault(cell["proxy"], {})[cell["round"]] = cell
    return {name: _one(cells, rounds.get(BASE, {})) for name, cells in rounds.items()}


def _one(cells, base):
    measured = [cell for cell in cells.values() if "why_not" not in cell]
    if not measured:
        return {"why_not": next(iter(cells.values()))["why_not"]}
    values = [cell["value"] for cell in measured if cell["value"] is not None]
    ratios = [cell["value"] / base[number]["value"] for number, cell in cells.items()
              if cell.get("value") is not None and base.get(number, {}).get("value")]
    one = {
        "value": statistics.median(values) if values else None,
        "disturbed": sum(cell.get("disturbed", False) for cell in measured),
        "rounds": len(measured),
    }
    if ratios:
        one |= {"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    for name in ("per_second", "busy", "user_share", "p50_us", "p99_us", "all"):
        if name in measured[0]:
            one[name] = statistics.median(cell[name] for cell in measured)
    return one


def number(value):
    """Three digits that mean something."""
    if value is None:
        return "never"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(one):
    if "ratio" not in one:
        return "–"
    return f"{one['ratio']:.2f} ({one['least']:.2f}–{one['most']:.2f})" if one["rounds"] > 1 else f"{one['ratio']:.2f}"


def extras(one):
    """What a scenario has beside its prime figure."""
    said = []
    if "p50_us" in one:
        said.append(f"p50 {number(one['p50_us'])} µs, p99 {number(one['p99_us'])} µs")
    elif "per_second" in one:
        said.append(f"{one['per_second']:,.0f}/s at {one['busy']:.0%} of a processor")
    if "all" in one:
        said.append(f"{number(one['all'])} with all others")
    if one.get("disturbed"):
        said.append(f"{one['disturbed']} of {one['rounds']} rounds disturbed by others")
    return "; ".join(said)


def of(name, scenario):
    """A scenario as a table for a terminal."""
    lines = [f"\n{name}: {scenario['title']} ({scenario['unit']})"]
    for proxy, one in summary(scenario).items():
        if "why_not" in one:
            lines.append(f"  {proxy:14} {'–':>10}  {one['why_not']}")
        else:
            lines.append(f"  {proxy:14} {number(one['value']):>10}  {ratio(one):20} {extras(one)}".rstrip())
    return "\n".join(lines)
