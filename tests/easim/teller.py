"""How the demo speaks: headings, lines, tables; colour on a terminal alone."""

import os
import sys

BOLD, DIM, RED, GREEN = "1", "2", "31", "32"
BAR_WIDTH = 24


def paint(text, code):
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return f"\033[{code}m{text}\033[0m"
    return text


def heading(text):
    print(f"\n{paint(text, BOLD)}", flush=True)


def say(text):
    print(f"   {text}", flush=True)


def aside(text):
    print(f"   {paint(text, DIM)}", flush=True)


def verdict(held):
    return paint("held", GREEN) if held else paint("BROKEN", RED)


def shares(instances, counts):
    """What each instance got, beside what its weight says."""
    total, weights = sum(counts.values()), sum(i["weight"] for i in instances)
    most = max(counts.values(), default=1)
    say(f"{'instance':24}{'weight':>7}{'fair':>8}{'got':>6}")
    for instance in instances:
        got = counts.get(instance["ip"], 0)
        fair = total * instance["weight"] / weights
        bar = "#" * round(BAR_WIDTH * got / most)
        where = f"{instance['ip']}:{instance['port']}"
        say(f"{where:24}{instance['weight']:>7}{fair:>8.1f}{got:>6}  {bar}")


def table(scenes):
    width = max(len(scene.name) for scene in scenes)
    heading(f"   {'scene':{width}}  requests  failures  verdict")
    for scene in scenes:
        say(f"{scene.name:{width}}  {scene.requests:8}  {scene.failures:8}  {verdict(scene.held)}")
        for broken in scene.broken:
            say(f"   {paint(broken, RED)}")
