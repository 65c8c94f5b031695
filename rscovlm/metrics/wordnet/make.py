"""Make the table of synonyms from WordNet's own files: Debian's package wordnet-base puts them in /usr/share/wordnet.

Run ``python -m rscovlm.metrics.wordnet.make /usr/share/wordnet synonyms.txt.gz`` where they are; nothing else needs them.

The table is gzip-compressed text. For each part of speech: a line ``= noun``, then one line per set of synonyms with its
words (lower case, blanks as underscores), then after ``+`` the irregular forms, one per line with what they are forms of.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

PARTS = ("noun", "verb", "adj", "adv")


def synonym_sets(index: Path) -> list[str]:
    """Return the words of each set of synonyms, in the order of the file's offsets.

    Args:
        index: WordNet's ``index.noun`` or one of its like. A line names a word, its part of speech, the number of its
            sets, of its pointers, those pointers, two counts, and the offsets of the sets.
    """
    sets: dict[str, list[str]] = {}
    for line in index.read_text(encoding="ascii").splitlines():
        if line.startswith(" "):
            continue  # the licence
        fields = line.split()
        for offset in fields[-int(fields[2]) :]:
            sets.setdefault(offset, []).append(fields[0])
    return [" ".join(sorted(words)) for _, words in sorted(sets.items())]


def table(folder: Path) -> str:
    """Return the table of all parts of speech."""
    lines = []
    for part in PARTS:
        lines += [f"= {part}", *synonym_sets(folder / f"index.{part}"), "+"]
        lines += (folder / f"{part}.exc").read_text(encoding="ascii").splitlines()
    return "\n".join(lines) + "\n"


def main(folder: str, out: str) -> None:
    """Write the table. The same files give the same bytes."""
    Path(out).write_bytes(gzip.compress(table(Path(folder)).encode("ascii"), compresslevel=9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m rscovlm.metrics.wordnet.make FOLDER_OF_WORDNET_FILES TABLE")
    main(sys.argv[1], sys.argv[2])
