#!/usr/bin/env python3
"""One sentence per line in every Markdown page of the project, so that a diff shows the sentence that has changed.

    sentences.py [--write]

Prints each line that holds more or less than a sentence, and ends with 1; `--write` mends them. Tables, headings, code
and what is generated between `<!-- …:begin -->` and `<!-- …:end -->` stay as they are. What stands in brackets belongs to
the sentence around it.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# They end with a full stop and no sentence does.
ABBREVIATIONS = ("e.g.", "i.e.", "vs.", "cf.", "approx.", "No.")

MARKER = re.compile(r"( *)([*+-] |\d+\. )")
VERBATIM = re.compile(r" *(\||#|<!--|\[[^\]]+\]: |>)|$")
END = re.compile(r"[.!?][\"'”’*_)\]]* ")


def sentences(text):
    """The sentences of a paragraph that stands on one line."""
    out, begin = [], 0
    for end in END.finditer(text):
        before = text[begin:end.end() - 1]
        if is_open(before) or before.endswith(ABBREVIATIONS):
            continue
        out.append(before)
        begin = end.end()
    return [*out, text[begin:]]


def is_open(text):
    """Whether code, or a bracket, is begun here and not ended."""
    if text.count("`") % 2:
        return True
    prose = re.sub(r"`[^`]*`", "", text)
    return prose.count("(") > prose.count(")") or prose.count("[") > prose.count("]")


class Page:
    """Reads a page line by line, and writes it anew."""

    def __init__(self):
        self.out, self.paragraph, self.indent, self.first = [], [], "", ""
        self.in_code = self.in_generated = self.in_list = False

    def flush(self):
        lines = sentences(" ".join(self.paragraph)) if self.paragraph else []
        self.out += [(self.indent if at else self.first) + line for at, line in enumerate(lines)]
        self.paragraph = []

    def begin(self, first, indent, text):
        self.flush()
        self.first, self.indent, self.paragraph = first, indent, [text]

    def keep(self, line):
        self.flush()
        self.out.append(line)

    def take(self, line):
        if line.lstrip().startswith("```"):
            self.in_code = not self.in_code
            return self.keep(line)
        if ":begin -->" in line or ":end -->" in line:
            self.in_generated = ":begin -->" in line
            return self.keep(line)
        is_code = line.startswith("    ") and not self.in_list and not self.paragraph
        if self.in_code or self.in_generated or is_code or VERBATIM.match(line):
            self.in_list &= not line or line.startswith(" ")
            return self.keep(line)
        self.prose(line)

    def prose(self, line):
        marker = MARKER.match(line)
        if marker:
            self.in_list = True
            self.begin(marker[0], " " * len(marker[0]), line[marker.end():].strip())
        elif self.paragraph:
            self.paragraph.append(line.strip())
        else:
            indent = line[:len(line) - len(line.lstrip())]
            self.in_list &= bool(indent)
            self.begin(indent, indent, line.strip())


def rewritten(text):
    page = Page()
    for line in text.splitlines():
        page.take(line.rstrip())
    page.flush()
    return "".join(line + "\n" for line in page.out)


def main():
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    wrong = 0
    for name in filter(None, names):
        path = os.path.join(ROOT, name)
        with open(path) as file:
            text = file.read()
        right = rewritten(text)
        if text == right:
            continue
        wrong += 1
        if "--write" in sys.argv[1:]:
            with open(path, "w") as file:
                file.write(right)
            continue
        good = set(right.splitlines())
        bad = next((number for number, line in enumerate(text.splitlines(), 1) if line not in good), 1)
        print(f"{name}:{bad}: this is not one sentence on one line; run tests/sentences.py --write")
    return 1 if wrong and "--write" not in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
