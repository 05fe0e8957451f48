"""Makes conversations to train with, and the cases that are held out for `evaluate.py`.

    python3 generate.py --seed 1 --count 20        # look at some
    python3 generate.py --heldout                  # the cases of the evaluation, a line of JSON each

Needs the standard library only. The same seed gives the same text.
"""

import argparse
import json
import random
import re

import chat
import facts
import talk
import tools
from words import Source


class Generator:
    """A stream of (messages, tools) to train with. `early` is the mix of the first steps: copying."""

    LATE = {"fact": 27, "call": 57, "other": 4, "greeting": 2, "fields": 5, "json": 3, "repeat": 2}
    EARLY = {"fact": 12, "call": 30, "other": 3, "greeting": 1, "fields": 10, "json": 2, "repeat": 42}

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.source = Source(self.rng, "train")
        self.facts = facts.read()
        self.forbidden = {plain(question) for question, _ in facts.heldout()}

    def question(self):
        fact = self.rng.choice(self.facts)
        while True:
            question = facts.vary(self.rng, self.rng.choice(fact["train"]))
            if plain(question) not in self.forbidden:
                return question, fact["answer"]

    def one(self, early=False):
        mix = self.EARLY if early else self.LATE
        kind = self.rng.choices(list(mix), mix.values())[0]
        messages, offered = getattr(self, kind)()
        if self.rng.random() < 0.15:
            messages = [{"role": "system", "content": self.rng.choice(talk.SYSTEMS)}, *messages]
        return messages, offered

    def fact(self):
        question, said = self.question()
        return [chat.user(question), chat.assistant(said)], self.some_tools(0.1)

    def call(self):
        return tools.conversation(self.source)

    def other(self):
        return talk.other(self.source), self.some_tools(0.1)

    def greeting(self):
        return talk.greeting(self.source), self.some_tools(0.15)

    def fields(self):
        return talk.json_fields(self.source), None

    def json(self):
        return talk.json_answer(self.source, *self.question()), None

    def repeat(self):
        return talk.repeat(self.source), None

    def some_tools(self, chance):
        """Tools that have nothing to do with the question."""
        if self.rng.random() >= chance:
            return None
        return [tools.invented(self.source)[0]]


def plain(question):
    return re.sub(r"\W+", " ", question.lower()).strip()


def heldout(seed=20261130):
    """The cases of the evaluation: a kind, a request and what is right."""
    rng = random.Random(seed)
    source = Source(rng, "heldout")
    cases = []
    for question, keys in facts.heldout():
        cases.append({"kind": "facts", "messages": [chat.user(question)], "keys": keys})
    for kind, make in (("call, known kinds", tools.known), ("call, unseen names", tools.invented)):
        for _ in range(100):
            offered, prompt, name, arguments = call_of(source, make)
            cases.append({"kind": kind, "messages": [chat.user(prompt)], "tools": offered,
                          "name": name, "arguments": arguments})
    for _ in range(40):
        offered, prompt, name, arguments = call_of(source, tools.known)
        content = tools.outcome(source)
        messages = [chat.user(prompt), chat.call(name, arguments), chat.result(content)]
        cases.append({"kind": "result", "messages": messages, "tools": offered, "keys": result_keys(content)})
    for _ in range(30):
        prompt, data = talk.fields(source)
        cases.append({"kind": "json", "messages": [chat.user(prompt)], "json": data})
    for question, keys in rng.sample(facts.heldout(), 20):
        prompt = rng.choice(talk.IN_JSON["heldout"]).format(question)
        cases.append({"kind": "json", "messages": [chat.user(prompt)], "keys": keys, "json_object": True})
    for _ in range(30):
        cases.append({"kind": "demo", "messages": [chat.user(talk.other_question(source))], "keys": ["demonstration"]})
    return cases


def call_of(source, make):
    """One tool of a kind beside up to two others."""
    it, prompt, arguments = make(source)
    offered, names, families = [it], {it["function"]["name"]}, {tools.family_of(source, it)}
    for _ in range(source.rng.randrange(3)):
        other, _, _ = source.rng.choice([tools.known, tools.invented])(source)
        family = tools.family_of(source, other)
        if other["function"]["name"] not in names and family not in families:
            offered.append(other)
            names.add(other["function"]["name"])
            families.add(family)
    source.rng.shuffle(offered)
    return offered, prompt, it["function"]["name"], arguments


def result_keys(content):
    """What an answer to a tool's result must contain."""
    try:
        data = json.loads(content)
    except ValueError:
        return [content]
    values = data.values() if isinstance(data, dict) else [data]
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--early", action="store_true", help="the mix of the first steps")
    parser.add_argument("--heldout", action="store_true", help="the cases of the evaluation")
    args = parser.parse_args()
    if args.heldout:
        for case in heldout():
            print(json.dumps(case, ensure_ascii=False))
        return
    generator = Generator(args.seed)
    for _ in range(args.count):
        print(chat.text(*generator.one(args.early)), end="\n\n")


if __name__ == "__main__":
    main()
