"""Conversations in which a tool is called, and in which its result is used."""

import json

from chat import assistant, call, result, tool, user
from words import LANGUAGES, ROOMS, UNITS

# Families of tools people know: names, arguments (a slot each), and prompts with the slots in them.
# What is held out has other names, other arguments and other words around them.
FAMILIES = {
    "train": [
        (["get_weather", "weather", "current_weather", "weatherReport"],
         ["Weather of a place", "Get the current weather", "Tells the weather in a city"],
         [{"city": "place"}, {"location": "place"}, {"town": "place"}],
         ["What is the weather in {0}?", "How is the weather in {0}?", "weather in {0} please", "Is it raining in {0}?",
          "Tell me the weather of {0}.", "How warm is it in {0} today?", "Do I need a coat in {0}?"]),
        (["get_forecast", "forecast", "weather_days"],
         ["Weather forecast for some days", "Forecast of a city"],
         [{"city": "place", "days": "integer"}, {"location": "place", "day_count": "integer"}],
         ["What will the weather be in {0} for the next {1} days?", "Forecast for {0}, {1} days.",
          "Give me the weather forecast of {0} for {1} days.", "I am in {0} for {1} days, what is the forecast?"]),
        (["get_time", "current_time", "time_in", "clock"],
         ["Current time in a city", "Tells the time of a place", "Get the time"],
         [{"city": "place"}, {"timezone": "place"}, {"where": "place"}],
         ["What time is it in {0}?", "Tell me the time in {0}.", "How late is it in {0}?", "time in {0}?",
          "What is the current time in {0}?"]),
        (["now", "get_time", "current_time", "today"], ["Current date and time", "The time now"], [{}],
         ["What time is it?", "Tell me the time.", "What day is it today?", "Which date is it?", "time please"]),
        (["calculator", "calculate", "evaluate", "compute"],
         ["Evaluate an expression", "Calculator for arithmetic", "Does sums"],
         [{"expression": "expression"}, {"input": "expression"}, {"expr": "expression"}],
         ["What is {0}?", "Calculate {0}.", "How much is {0}?", "Compute {0} for me.", "{0} = ?", "Please work out {0}",
          "Use the calculator for {0}."]),
        (["read_file", "open_file", "cat", "file_read", "get_file"],
         ["Read a file", "Contents of a text file", "Opens a file"],
         [{"path": "path"}, {"file": "path"}, {"file_path": "path"}],
         ["Read {0}.", "What is in the file {0}?", "Show me {0}", "Open the file {0}.", "Print {0} please.",
          "What does {0} say?", "Please read the file {0}."]),
        (["search", "web_search", "find_pages", "lookup"],
         ["Search the web", "Find pages about something", "Looks something up"],
         [{"query": "phrase"}, {"q": "phrase"}, {"text": "phrase"}],
         ["Search for {0}.", "Look up {0}", "Find something about {0}.", "Search the web for {0}.",
          "Can you look for {0}?"]),
        (["send_message", "message", "send_mail", "notify"],
         ["Send a message to a person", "Sends a text to somebody"],
         [{"to": "person", "text": "phrase"}, {"recipient": "person", "message": "phrase"}],
         ["Send {0} the message \"{1}\".", "Tell {0} \"{1}\".", "Write to {0}: {1}", "Message {0}: {1}",
          "Let {0} know: {1}"]),
        (["set_timer", "timer", "start_timer"], ["Start a timer", "Sets a timer in minutes"],
         [{"minutes": "integer"}, {"duration": "integer"}, {"seconds": "integer"}],
         ["Set a timer for {0} minutes.", "Start a timer of {0} seconds", "Wake me in {0} minutes.", "timer {0}"]),
        (["convert", "convert_units", "exchange_rate"], ["Convert an amount", "Converts units or currencies"],
         [{"amount": "number", "from": "unit", "to": "unit"}, {"value": "number", "source": "unit", "target": "unit"}],
         ["Convert {0} {1} to {2}.", "How much is {0} {1} in {2}?", "What are {0} {1} in {2}?", "{0} {1} to {2}"]),
        (["translate", "translate_text"], ["Translate a text", "Translates into a language"],
         [{"text": "phrase", "language": "language"}, {"input": "phrase", "target": "language"}],
         ["Translate \"{0}\" to {1}.", "What is \"{0}\" in {1}?", "Say \"{0}\" in {1}.", "Translate {0} into {1}"]),
        (["set_light", "light", "switch_lamp"], ["Switch a light", "Turn the light of a room on or off"],
         [{"room": "room", "on": "switch"}, {"place": "room", "state": "switch"}],
         ["Turn {1} the light in the {0}.", "Switch the light in the {0} {1}.", "Light {1} in the {0} please.",
          "Turn the {0} light {1}."]),
        (["add_note", "note", "save_note"], ["Save a note", "Keeps a note"], [{"text": "phrase"}, {"note": "phrase"}],
         ["Note: {0}", "Remember {0}.", "Save the note \"{0}\".", "Write down {0}."]),
    ],
    "heldout": [
        (["place_weather", "fetch_conditions"], ["Weather conditions somewhere"], [{"spot": "place"}],
         ["Please tell me the weather in {0}.", "What is the weather like in {0}?", "Is it cold in {0}?"]),
        (["tell_time", "world_clock"], ["The time in some city"], [{"zone": "place"}],
         ["What is the time in {0}?", "Do you know the time in {0}?"]),
        (["solve", "math_tool"], ["Arithmetic on an expression"], [{"formula": "expression"}],
         ["Can you calculate {0}?", "Please compute {0}.", "How much does {0} make?"]),
        (["load_document", "show_text"], ["Read the text of a file"], [{"filename": "path"}],
         ["Please open {0}.", "Read me the file {0}.", "What is written in {0}?"]),
        (["find_article", "encyclopedia"], ["Look up an article"], [{"topic": "phrase"}],
         ["Look for {0}, please.", "Please search for {0}."]),
        (["post_letter", "write_mail"], ["Send a letter to a person"], [{"receiver": "person", "content": "phrase"}],
         ["Send \"{1}\" to {0}.", "Please send {0} the text \"{1}\"."]),
        (["set_alarm", "egg_timer"], ["Start an alarm after minutes"], [{"delay": "integer"}],
         ["Start an alarm in {0} minutes.", "Set an alarm for {0} minutes."]),
        (["change_money", "unit_tool"], ["Convert an amount"],
         [{"sum": "number", "source": "unit", "target": "unit"}],
         ["Please convert {0} {1} to {2}.", "Change {0} {1} into {2}."]),
        (["switch_heater", "heating"], ["Switch the heater of a room on or off"], [{"area": "room", "active": "switch"}],
         ["Turn {1} the heater in the {0}.", "Switch {1} the heater in the {0}, please."]),
    ],
}
TYPES = {"integer": "integer", "number": "number", "switch": "boolean"}


def value(source, slot):
    """A value of a slot, and how a prompt says it."""
    rng = source.rng
    if slot == "switch":
        on = rng.random() < 0.5
        return on, "on" if on else "off"
    lists = {"unit": UNITS, "language": LANGUAGES, "room": ROOMS}
    got = source.one(lists[slot], 0.1) if slot in lists else getattr(source, slot)()
    if slot == "number" and rng.random() < 0.5:
        got = source.integer()
    return got, str(got)


def known(source):
    """A tool of a family, a prompt for it and the right arguments."""
    rng = source.rng
    names, descriptions, schemas, prompts = rng.choice(FAMILIES[source.split])
    slots = rng.choice(schemas)
    name = rng.choice(names) if rng.random() < 0.8 else source.name()
    values = [value(source, slot) for slot in slots.values()]
    prompt = rng.choice(prompts).format(*(said for _, said in values))
    types = {key: TYPES.get(slot, "string") for key, slot in slots.items()}
    it = tool(name, rng.choice(descriptions), types)
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
                 "I want to {words}", "Can you {words}", "Run {name}", "Do {words}", "Call {name} for me"],
        "one": ["{head} with {p} {v}.", "{head}, {p} is {v}", "{head}: {v}", "{head} for {v}.", "{head} {v}",
                "With {p} {v}: {head}", "{head} ({p}: {v})", "{head} with {v}"],
        "many": ["{head} with {list}.", "{head}: {list}", "{head}, {list}", "With {list}, {head}."],
        "pair": ["{p} {v}", "{p} = {v}", "{p}: {v}", "{p} is {v}", "{p} {v}", "{v} as {p}"],
        "join": [", ", " and ", ", "],
    },
    "heldout": {
        "head": ["Please call {name}", "Please use {name}", "Could you {words}", "I need you to {words}", "Now {words}"],
        "one": ["{head}, with {p} {v}.", "{head}; the {p} is {v}.", "{head} with {p} = {v}"],
        "many": ["{head}, with {list}.", "{head} and take {list}."],
        "pair": ["{p} {v}", "{p} = {v}", "the {p} is {v}"],
        "join": [", ", " and "],
    },
}


def spoken(name):
    """The words of a name."""
    text = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return text.replace("_", " ").replace("-", " ")


def invented(source):
    """A tool that nobody has seen, a prompt for it and the right arguments."""
    rng = source.rng
    forms = FORMS[source.split]
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
    head = rng.choice(forms["head"]).format(name=name, words=spoken(name))
    if not said:
        prompt = head + "."
    elif len(said) == 1:
        prompt = rng.choice(forms["one"]).format(head=head, p=spoken(said[0][0]), v=said[0][1])
    else:
        pair, join = rng.choice(forms["pair"]), rng.choice(forms["join"])
        if rng.random() < 0.3:
            rng.shuffle(said)
        pairs = [pair.format(p=spoken(key), v=text) for key, text in said]
        prompt = rng.choice(forms["many"]).format(head=head, list=join.join(pairs))
    return tool(name, description, types, required), prompt, arguments


def one_call(source, tools_max=3):
    """Tools, a prompt, and the call that is right."""
    rng = source.rng
    it, prompt, arguments = (known if rng.random() < 0.5 else invented)(source)
    tools = [it]
    names = {it["function"]["name"]}
    families = {family_of(source, it)}
    for _ in range(rng.randrange(tools_max)):
        other, _, _ = (known if rng.random() < 0.5 else invented)(source)
        family = family_of(source, other)
        if other["function"]["name"] in names or family in families:
            continue
        tools.append(other)
        names.add(other["function"]["name"])
        families.add(family)
    rng.shuffle(tools)
    if rng.random() < 0.15:
        prompt = prompt[:1].lower() + prompt[1:] if prompt.split()[0] not in names else prompt
    return tools, prompt, it["function"]["name"], arguments


def family_of(source, it):
    """What a tool is about, so that no other tool beside it would do as well."""
    about = it["function"]["description"]
    for at, (_, descriptions, _, _) in enumerate(FAMILIES[source.split]):
        if about in descriptions:
            # Weather and forecast, time here and there: one or the other beside each other is unfair.
            return {1: 0, 3: 2}.get(at, at) if source.split == "train" else at
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
