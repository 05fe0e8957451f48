"""Asks a served model everything that was held out, and counts what is right.

    python3 evaluate.py --url http://127.0.0.1:8080 --json evaluation.json

Needs the standard library only. Requests go to /v1/chat/completions at temperature 0.
"""

import argparse
import collections
import json
import urllib.request

import generate

GOALS = {"facts": 0.85, "call, known kinds": 0.95, "call, unseen names": 0.95}


def ask(url, key, case, tokens=160):
    body = {"messages": case["messages"], "temperature": 0, "max_tokens": tokens}
    if case.get("tools"):
        body["tools"] = case["tools"]
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["choices"][0]


def has(text, keys):
    return all(key.lower() in text.lower() for key in keys)


def object_of(text):
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def judge(case, choice):
    """What is right about an answer: a name for each thing that was looked at."""
    message = choice["message"]
    text, calls = message.get("content") or "", message.get("tool_calls") or []
    out = {"stops": choice["finish_reason"] in ("stop", "tool_calls")}
    if case["kind"].startswith("call"):
        function = calls[0]["function"] if len(calls) == 1 else {"name": None, "arguments": ""}
        arguments = object_of(function["arguments"])
        out["valid"] = arguments is not None
        out["name"] = function["name"] == case["name"]
        out["right"] = out["name"] and arguments == case["arguments"]
    elif case["kind"] == "json":
        data = object_of(text)
        out["valid"] = data is not None
        out["right"] = data == case["json"] if "json" in case else data is not None and has(text, case["keys"])
    else:
        out["right"] = not calls and has(text, case["keys"])
    return out


def told(case, choice):
    """A case that went wrong, in a line."""
    message = choice["message"]
    calls = [it["function"] for it in message.get("tool_calls") or []]
    said = json.dumps(calls, ensure_ascii=False) if calls else message.get("content")
    wanted = case.get("keys") or case.get("json") or [case.get("name"), case.get("arguments")]
    return f"[{case['kind']}] {case['messages'][0]['content']}\n    said: {said}\n    wanted: {wanted}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--key", default="", help="API key, where the host asks for one")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--every", type=int, default=1, help="ask only each so many-th case")
    parser.add_argument("--wrong", action="store_true", help="show what went wrong")
    args = parser.parse_args()
    counts = collections.defaultdict(collections.Counter)
    for case in generate.heldout()[:: args.every]:
        choice = ask(args.url, args.key, case)
        outcome = judge(case, choice)
        counts[case["kind"]]["asked"] += 1
        counts[case["kind"]].update({name: int(good) for name, good in outcome.items()})
        if args.wrong and not outcome["right"]:
            print(told(case, choice))
    figures = {kind: {name: seen["asked"] if name == "asked" else round(number / seen["asked"], 4)
                      for name, number in seen.items()} for kind, seen in counts.items()}
    print(f"{'':20} {'asked':>6} {'right':>7} {'stops':>7} {'valid':>7} {'name':>7}  goal")
    for kind, seen in figures.items():
        shares = (f"{seen[name]:7.1%}" if name in seen else "      -" for name in ("right", "stops", "valid", "name"))
        goal = f"{GOALS[kind]:.0%}" if kind in GOALS else ""
        print(f"{kind:20} {seen['asked']:6}", *shares, "", goal)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
