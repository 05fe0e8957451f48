"""Families of tools that people know, from `families/`: names, descriptions, schemas and prompts.

A block of lines is a family: `N` names, `D` descriptions, `S` schemas, `P` prompts, each apart by ` | `.
A schema is `argument=slot, argument=slot`, or `-` without arguments; a slot says what kind of value an
argument takes, and `{0}`, `{1}` in a prompt are the values in the order of the schema.
"""

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


def family_of(block):
    parts = {"N": [], "D": [], "S": [], "P": []}
    for line in block.splitlines():
        if not line.startswith("#"):
            mark, _, rest = line.partition(": ")
            parts[mark] += [part.strip() for part in rest.split(" | ")]
    family = Family(parts["N"], parts["D"], [schema_of(text) for text in parts["S"]], parts["P"])
    for prompt in family.prompts:
        for schema in family.schemas:
            if any(prompt.count(f"{{{at}}}") != 1 for at in range(len(schema))) or prompt.count("{") != len(schema):
                raise ValueError(f"prompt {prompt!r}: each of {len(schema)} values once expected")
    return family


def read(split):
    """The families of a split, `train` or `heldout`."""
    text = (FOLDER / f"{split}.txt").read_text(encoding="utf-8")
    blocks = [block for block in text.split("\n\n") if any(line.startswith("N: ") for line in block.splitlines())]
    return [family_of(block) for block in blocks]
