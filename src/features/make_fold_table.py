"""make_fold_table.py - writes the C table that folds Traditional to Simplified Chinese characters.

usage: make_fold_table.py TSCharacters.txt fold_table.inc

The input is OpenCC's TSCharacters as text (opencc_dict -f ocd2 -t text): a line is
"traditional<TAB>simplified[ simplified...]", the first candidate counts. The output is a two-level
table of pages of 64 code points; 0 where a character stands for itself.
"""
import sys


def read_folds(path):
    folds = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            traditional, simplified = line.rstrip("\n").split("\t")
            first = simplified.split(" ")[0]
            if len(traditional) == 1 and len(first) == 1 and traditional != first:
                folds[ord(traditional)] = ord(first)
    return folds


def flatten(folds):
    """A fold of a fold goes to the end of the chain, so that folding twice changes nothing."""
    flat = {}
    for traditional, simplified in folds.items():
        seen = {traditional}
        while simplified in folds and simplified not in seen:
            seen.add(simplified)
            simplified = folds[simplified]
        if simplified != traditional:
            flat[traditional] = simplified
    return flat


def pages_of(folds):
    first = min(folds) // 64
    last = max(folds) // 64
    index, pages = [], [(0,) * 64]
    for page in range(first, last + 1):
        targets = tuple(folds.get(page * 64 + i, 0) for i in range(64))
        if targets not in pages:
            pages.append(targets)
        index.append(pages.index(targets))
    return first * 64, last * 64 + 63, index, pages


def rows(numbers, a_row=8):
    for i in range(0, len(numbers), a_row):
        yield "    " + ", ".join(str(n) for n in numbers[i : i + a_row]) + ","


def main(source, target):
    folds = flatten(read_folds(source))
    if len(folds) < 3000:
        sys.exit(f"{source}: only {len(folds)} folds; is it TSCharacters as text?")
    first, last, index, pages = pages_of(folds)
    with open(target, "w", encoding="ascii") as out:
        out.write(f"/* Made by make_fold_table.py: {len(folds)} folds. */\n#include <stdint.h>\n\n")
        out.write(f"#define FOLD_FIRST {first:#x}u\n#define FOLD_LAST  {last:#x}u\n\n")
        out.write(f"static const uint16_t fold_page[{len(index)}] = {{\n")
        out.write("\n".join(rows(index)) + "\n};\n\n")
        out.write(f"static const uint32_t fold_target[{len(pages)}][64] = {{\n")
        for page in pages:
            out.write("    {\n" + "\n".join("    " + row for row in rows(page)) + "\n    },\n")
        out.write("};\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
