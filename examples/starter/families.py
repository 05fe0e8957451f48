"""Families of tools that people know, from `families/`: names, descriptions, schemas and prompts.

A block of lines is a family: `N` names, `D` descriptions, `S` schemas, `P` prompts, each apart by ` | `.
Blocks with the same first name are one family.
A schema is `argument=slot, argument=slot`, or `-` without arguments; a slot says what kind of value an
argument takes, and `{0}`, `{1}` in a prompt are the values in the order of the schema.
"""

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "families"
# Slots whose values are not strings.
TYPES = {"integer": "integer", "number": "number", "switch": "boolean"}
SLOTS = {"place", "person", "phrase", "text", "word", "expression", "path", "language", "unit", "room", "date",
         "clock", "email", "url", "identifier", "weekday", "colour", "code"} | set(TYPES)


class Family(NamedTuple):
    names: list
    descriptions: list
    schemas: list
    prompts: list


def schema_of(text):
    if text.strip() == "-":
        return {}
    schema = dict(part.split("=") for part in text.strip().split(", "))
    unknown = set(schema.values()) - SLOTS
    if unknown:
        raise ValueError(f"schema {text!r}: no slot {sorted(unknown)}; there are {sorted(SLOTS)}")
    return schema


def parts_of(block):
    """The parts of a block by their marks."""
    parts = {"N": [], "D": [], "S": [], "P": []}
    for line in block.splitlines():
        if line and not line.startswith("#"):
            mark, _, rest = line.partition(": ")
            parts[mark] += [part.strip() for part in rest.split(" | ")]
    return parts


def checked(parts):
    family = Family(parts["N"], parts["D"], [schema_of(text) for text in parts["S"]], parts["P"])
    slots = list(family.schemas[0].values())
    for schema in family.schemas:
        if list(schema.values()) != slots:
            raise ValueError(f"{family.names[0]}: the slots {list(schema.values())} differ from {slots}")
    for prompt in family.prompts:
        if any(prompt.count(f"{{{at}}}") != 1 for at in range(len(slots))) or prompt.count("{") != len(slots):
            raise ValueError(f"{family.names[0]}: prompt {prompt!r}: each of {len(slots)} values once expected")
    return family


def blocks(path):
    """The parts of each family of a file, or of the files of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    merged = {}
    for block in "\n\n".join(file.read_text(encoding="utf-8") for file in files).split("\n\n"):
        parts = parts_of(block)
        if parts["N"]:
            known = merged.setdefault(parts["N"][0], {mark: [] for mark in parts})
            for mark, more in parts.items():
                known[mark] += [part for part in more if part not in known[mark]]
    return list(merged.values())


def read(split):
    """The families of a split, `train` or `heldout`. What is held out is not trained on, whoever wrote it again."""
    if split == "heldout":
        return [checked(parts) for parts in blocks(FOLDER / "heldout.txt")]
    heldout = {plain(text) for parts in blocks(FOLDER / "heldout.txt") for mark in "NDP" for text in parts[mark]}
    for parts in (families := blocks(FOLDER / "train")):
        for mark in "NDP":
            parts[mark] = [text for text in parts[mark] if plain(text) not in heldout]
    return [checked(parts) for parts in families]


def plain(text):
    """A text without what makes no difference."""
    return re.sub(r"[^a-z{}]", "", text.lower())
