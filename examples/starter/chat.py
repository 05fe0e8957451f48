"""The form of a conversation: what chat_template.jinja writes, as pieces with and without loss."""

import json

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKS = ["<tool_call>", "</tool_call>"]
END = "<|im_end|>"
CALL = '<tool_call>\n{"name": "'     # what a call begins with


def tool(name, description, parameters, required=None):
    """A tool in OpenAI's form. `parameters` maps a name to a type, or to a list of allowed texts."""
    properties = {
        key: {"type": "string", "enum": kind} if isinstance(kind, list) else {"type": kind}
        for key, kind in parameters.items()
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(parameters) if required is None else required,
    }
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def call(name, arguments):
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


def result(content):
    return {"role": "tool", "tool_call_id": "call_1", "content": content}


def spoken(name):
    """The words of a name."""
    text = "".join(f" {c.lower()}" if c != c.lower() else c for c in name)
    return text.replace("_", " ").replace("-", " ")


def signature(it):
    """A tool in a line: the words of its name, what it does, and how it is called."""
    it = it["function"]
    schema = it["parameters"]
    parts = []
    for name, of in schema["properties"].items():
        kind = "|".join(of["enum"]) if "enum" in of else of["type"]
        parts.append(f"{name}{'' if name in schema['required'] else '?'}: {kind}")
    description = it["description"].split(".")[0][:80]
    return spoken(it["name"]) + (f": {description}" if description else "") + f" = {it['name']}({', '.join(parts)})"


def body(message):
    text = message.get("content") or ""
    for at, item in enumerate(message.get("tool_calls") or []):
        function = item["function"]
        text += "\n" if text or at else ""
        text += f'{CALL}{function["name"]}", "arguments": {function["arguments"]}}}\n</tool_call>'
    return text + END


def pieces(messages, tools=None):
    """Pieces of the text with whether they are learned: an assistant's words and their end are.

    A request stands for itself: what was said before it is left out. The tools stand after it, and each line begins
    with what the tool does: so a name is read by a model that knows already what is asked for and what the tool is for.
    """
    last = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=-1)
    out, plain = [], ""
    for at, message in enumerate(messages):
        if at < last and message["role"] != "system":
            continue
        plain += f"<|im_start|>{message['role']}\n"
        if message["role"] == "assistant":
            out += [(plain, False), (body(message), True)]
            plain = "\n"
        else:
            plain += body(message) + "\n"
        if tools and at == last:
            plain += "<|im_start|>system\nTools:" + "".join("\n" + signature(it) for it in tools) + END + "\n"
    return out


def text(messages, tools=None):
    return "".join(piece for piece, _ in pieces(messages, tools))
