"""Conversations in which a tool is called, and in which its result is used."""

import json
import re

import families
from chat import assistant, call, result, spoken, tool, user
from families import TYPES

FAMILIES = {split: families.read(split) for split in ("train", "heldout")}


def value(source, slot):
    """A value of a slot, and how a prompt says it."""
    rng = source.rng
    if slot == "switch":
        on = rng.random() < 0.5
        return on, "on" if on else "off"
    if slot == "expression":
        return expression(source)
    listed = slot in ("unit", "language", "room", "weekday", "colour")
    got = source.one(f"{slot}s", 0.1) if listed else getattr(source, slot)()
    if slot == "number" and rng.random() < 0.5:
        got = source.integer()
    return got, str(got)


# How a person says a sign.
SIGNS = {"+": ["plus"], "-": ["minus"], "*": ["times", "x"], "/": ["divided by", "over"]}


def expression(source):
    """An expression as it is written, or with its signs in words."""
    got = source.expression()
    if source.rng.random() < 0.7 or "(" in got:
        return got, got
    parts = re.findall(r"\d+|[-+*/]", got)
    return " ".join(parts), " ".join(source.rng.choice(SIGNS[part]) if part in SIGNS else part for part in parts)


# What people say around a request.
BEFORE = ["Hi, ", "Hello! ", "ok, ", "Please: ", "Hey, ", "Now ", "Next, ", "Quick one: ", "And now ", "I have a task: ",
          "one more: ", "So, "]
AFTER = [" Thanks!", " please", " Thank you.", " now", " for me", " - thanks", " That is all."]


def around(rng, prompt):
    """A prompt as somebody else would have typed it."""
    roll = rng.random()
    if roll < 0.1:
        prompt = rng.choice(BEFORE) + prompt
    elif roll < 0.25:
        prompt = " ".join([*fill(rng, 3), prompt])
    if rng.random() < 0.08:
        prompt += rng.choice(AFTER)
    return prompt


def family_name(source, family):
    """A name of the family, or one that is not: names are read in the list and not known by heart."""
    rng = source.rng
    roll = rng.random()
    if roll < 0.4:
        return rng.choice(family.names)
    if roll < 0.65:
        return source.name()
    words = re.findall(r"[a-z]+", " ".join([*family.descriptions, *map(spoken, family.names)]).lower())
    parts = list(dict.fromkeys(rng.choice([*words, source.word()]) for _ in range(rng.choice([1, 2, 2, 3]))))
    if rng.random() < 0.2:
        return parts[0] + "".join(part.capitalize() for part in parts[1:])
    return rng.choice(["_", "_", "_", "-", "__"]).join(parts)


def known(source):
    """A tool of a family, a prompt for it and the right arguments."""
    rng = source.rng
    family = rng.choice(FAMILIES[source.split])
    slots = rng.choice(family.schemas)
    name = family_name(source, family)
    if len(slots) == 1 and rng.random() < 0.35:
        slots = {source.name() if rng.random() < 0.5 else source.word(): slot for slot in slots.values()}
    values = [value(source, slot) for slot in slots.values()]
    prompt = rng.choice(family.prompts).format(*(said for _, said in values))
    types = {key: TYPES.get(slot, "string") for key, slot in slots.items()}
    required = list(types)
    if rng.random() < 0.15:
        # An argument that nobody speaks of is left out.
        key, kind, _, _ = argument(source)
        types.setdefault(key, kind)
    if source.split == "train":
        prompt = around(rng, prompt)
    it = tool(name, rng.choice(family.descriptions), types, required)
    return it, prompt, {key: got for key, (got, _) in zip(slots, values)}


def argument(source):
    """A made-up argument: name, type, value, how a prompt says it."""
    rng = source.rng
    kind = rng.choice(["string"] * 5 + ["integer"] * 2 + ["number", "boolean", "enum"])
    name = source.word() if rng.random() < 0.7 else source.name()
    if kind == "integer":
        got = source.integer()
        return name, kind, got, str(got)
    if kind == "number":
        got = source.number()
        return name, kind, got, str(got)
    if kind == "boolean":
        got = rng.random() < 0.5
        return name, kind, got, rng.choice(["true", "yes", "on"] if got else ["false", "no", "off"])
    if kind == "enum":
        choices = list(dict.fromkeys(source.word() for _ in range(rng.randint(2, 4))))
        got = rng.choice(choices)
        return name, choices, got, got
    got = source.text()
    return name, kind, got, f'"{got}"' if rng.random() < 0.35 else got


FORMS = {
    "train": {
        "head": ["Call {name}", "Use {name}", "Please run {name}", "Use the tool {name}", "{words}", "Please {words}",
                 "I want to {words}", "Can you {words}", "Run {name}", "Do {words}", "Call {name} for me",
                 "Would you {words}", "I would like to {words}", "Let us {words}", "It is time to {words}",
                 "Go and {words}", "Execute {name}", "Invoke {name}", "Make a call of {name}", "Try {name}",
                 "Start {name}", "Have {name} do it", "We must {words}", "{name}", "Help me to {words}",
                 "Next {words}", "I'd like you to {words}", "You should {words}"],
        "one": ["{head} with {p} {v}.", "{head}, {p} is {v}", "{head}: {v}", "{head} for {v}.", "{head} {v}",
                "With {p} {v}: {head}", "{head} ({p}: {v})", "{head} with {v}", "{head}, where {p} is {v}.",
                "{head} using {v} as {p}.", "{head} - {p} {v}", "The {p} is {v}. {head}.", "{head} on {v}.",
                "{head} and give it {p} {v}.", "{head}; {p}: {v}", "{head} of {v}", "{v}: {head}",
                "{head}. Its {p} should be {v}.", "For the {p} {v}, {head}."],
        "many": ["{head} with {list}.", "{head}: {list}", "{head}, {list}", "With {list}, {head}.",
                 "{head}, where {list}.", "{head} using {list}", "{head} ({list})", "{head}. Use {list}.",
                 "{head} - {list}", "Given {list}, {head}."],
        "pair": ["{p} {v}", "{p} = {v}", "{p}: {v}", "{p} is {v}", "{p} {v}", "{v} as {p}", "{p} of {v}",
                 "{p} set to {v}", "its {p} {v}", "{v} for the {p}"],
        "join": [", ", " and ", ", ", "; ", ", and "],
    },
    "heldout": {
        "head": ["Please call {name}", "Please use {name}", "Could you {words}", "I need you to {words}", "Now {words}"],
        "one": ["{head}, with {p} {v}.", "{head}; the {p} is {v}.", "{head} with {p} = {v}"],
        "many": ["{head}, with {list}.", "{head} and take {list}."],
        "pair": ["{p} {v}", "{p} = {v}", "the {p} is {v}"],
        "join": [", ", " and "],
    },
}


def invented(source):
    """A tool that nobody has seen, a prompt for it and the right arguments."""
    rng = source.rng
    name = source.name()
    arguments, types, said = {}, {}, []
    for _ in range(rng.choice([1, 1, 2, 2, 3])):
        key, kind, got, text = argument(source)
        if key in arguments or key == name:
            continue
        arguments[key], types[key] = got, kind
        said.append((key, text))
    required = list(types)
    if len(types) > 1 and rng.random() < 0.25:
        left = rng.choice(list(types))
        required.remove(left)
        if rng.random() < 0.6:
            del arguments[left]
            said = [(key, text) for key, text in said if key != left]
    description = rng.choice(["", source.phrase(1, 3).capitalize(), f"{source.one_verb()} the {source.word()}"])
    words = spoken(name)
    if description and rng.random() < 0.25:
        # Somebody who speaks of what a tool does, not of its name.
        words = description.lower()
    if source.split == "train" and rng.random() < 0.5:
        prompt = loosely(rng, rng.choice([name, words, words]), said)
    else:
        prompt = strictly(rng, FORMS[source.split], name, words, said)
    return tool(name, description, types, required), prompt, arguments


def strictly(rng, forms, name, words, said):
    """A prompt in one of the forms."""
    head = rng.choice(forms["head"]).format(name=name, words=words)
    if not said:
        return head + "."
    if len(said) == 1:
        return rng.choice(forms["one"]).format(head=head, p=spoken(said[0][0]), v=said[0][1])
    pair, join = rng.choice(forms["pair"]), rng.choice(forms["join"])
    if rng.random() < 0.3:
        rng.shuffle(said)
    pairs = [pair.format(p=spoken(key), v=text) for key, text in said]
    return rng.choice(forms["many"]).format(head=head, list=join.join(pairs))


FILLERS = ("please just now then kindly could would can you i we need want like to for me us it this that the a with and "
           "take using give let go do make have get as on at in of by from once more again also maybe ok well so here "
           "there is are be set should must will try help thing task today first last only still its my our your").split()
MARKS = [",", ",", ";", ":", ".", " -", "!", "?"]


def fill(rng, most):
    """Words that change nothing."""
    return [rng.choice(FILLERS) for _ in range(rng.randint(0, most))]


def loosely(rng, head, said):
    """A prompt in no form: what matters stands among words and marks that do not, so that it must be
    found by what it is and not by where it stands."""
    parts = [[*fill(rng, 3), head]]
    for key, text in said:
        text = f'"{text}"' if " " in text and not text.startswith('"') else text
        sign = rng.choice([[], [], ["="], ["is"], [":"], fill(rng, 1)])
        parts.append([*fill(rng, 2), spoken(key), *sign, text])
    if rng.random() < 0.3:
        rng.shuffle(parts)
    prompt = ""
    for at, part in enumerate(parts):
        end = rng.choice(MARKS) if rng.random() < 0.5 else ""
        prompt += (" " if at else "") + " ".join(part).replace(" :", ":") + end
    return prompt[:1].upper() + prompt[1:] if rng.random() < 0.5 else prompt


def one_call(source):
    """Tools, a prompt, and the call that is right."""
    rng = source.rng
    it, prompt, arguments = (known if rng.random() < 0.6 else invented)(source)
    tools = [it]
    names = {it["function"]["name"]}
    families = {family_of(source, it)}
    for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3, 4])):
        other, _, _ = (known if rng.random() < 0.5 else invented)(source)
        family = family_of(source, other)
        if other["function"]["name"] in names or family in families:
            continue
        tools.append(other)
        names.add(other["function"]["name"])
        families.add(family)
    rng.shuffle(tools)
    literal = [*names, *map(str, arguments.values())]
    if rng.random() < 0.15 and not prompt.startswith(tuple(literal)):
        prompt = prompt[:1].lower() + prompt[1:]
    return tools, prompt, it["function"]["name"], arguments


def family_of(source, it):
    """What a tool is about, so that no other tool beside it would do as well."""
    about = it["function"]["description"]
    for at, family in enumerate(FAMILIES[source.split]):
        if about in family.descriptions:
            return at
    return it["function"]["name"]


def answer(rng, content):
    """What to say about a tool's result."""
    try:
        data = json.loads(content)
    except ValueError:
        data = None
    if isinstance(data, dict) and "error" in data:
        return f"The tool failed: {data['error']}."
    if isinstance(data, dict):
        parts = [f"{spoken(key)} is {value if isinstance(value, str) else json.dumps(value)}"
                 for key, value in data.items()]
        return "The " + ", the ".join(parts) + "."
    return f"The result is: {content}"


def outcome(source):
    """What a tool may answer."""
    rng = source.rng
    roll = rng.random()
    if roll < 0.3:
        return rng.choice([source.phrase(1, 5), str(source.integer()), str(source.number()), source.identifier()])
    if roll < 0.4:
        return json.dumps({"error": rng.choice([source.phrase(1, 3), f"no {source.word()} found", "not found"])})
    data = {}
    for _ in range(rng.choice([1, 2, 2, 3])):
        got = rng.choice([source.word, source.integer, source.number, source.place, source.phrase])()
        data[rng.choice(["temperature", "condition", "time", "price", source.word(), source.name()])] = got
    return json.dumps(data, ensure_ascii=False)


def conversation(source, with_result=None):
    """A conversation with a call, often with its result and sometimes with a second question."""
    rng = source.rng
    tools, prompt, name, arguments = one_call(source)
    messages = [user(prompt), call(name, arguments)]
    if with_result if with_result is not None else rng.random() < 0.3:
        content = outcome(source)
        messages += [result(content), assistant(answer(rng, content))]
    return messages, tools
