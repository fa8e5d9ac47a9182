"""embed.py - writes files as C arrays, for the page that the program carries with it.

usage: embed.py OUT.inc NAME=FILE ...
"""

import sys


def array_of(name, content):
    rows = [",".join(map(str, content[i : i + 32])) for i in range(0, len(content), 32)]
    return f"static const uint8_t {name}[{len(content)}] = {{\n" + ",\n".join(rows) + "};\n"


def main():
    out, *files = sys.argv[1:]
    with open(out, "w", encoding="ascii") as written:
        for name, path in (word.split("=", 1) for word in files):
            with open(path, "rb") as read:
                written.write(array_of(name, read.read()))


main()
