"""python3 -m unittest, in this folder: what the training text must keep. Needs no package."""

import json
import re
import unittest
from pathlib import Path

import chat
import evaluate
import facts
import families
import generate
import words

try:
    import jinja2
except ImportError:
    jinja2 = None


class Text(unittest.TestCase):
    def test_there_are_enough_facts_and_each_answer_has_its_keys(self):
        known = facts.read()
        self.assertGreaterEqual(len(known), 110)
        for fact in known:
            self.assertGreaterEqual(len(fact["train"]), 3, fact)
            self.assertGreaterEqual(len(fact["heldout"]), 2, fact)

    def test_the_same_seed_gives_the_same_text(self):
        def made(seed):
            generator = generate.Generator(seed)
            return [chat.text(*generator.one()) for _ in range(50)]

        self.assertEqual(made(5), made(5))
        self.assertNotEqual(made(5), made(6))

    def test_no_question_of_the_evaluation_is_trained_on(self):
        generator = generate.Generator(9)
        for _ in range(2000):
            question, _ = generator.question()
            self.assertNotIn(generate.plain(question), generator.forbidden)

    def test_no_tool_and_no_word_of_the_evaluation_is_trained_on(self):
        def said(split):
            return {families.plain(text) for it in families.read(split)
                    for text in (*it.names, *it.descriptions, *it.prompts)}

        self.assertGreater(len(families.read("train")), 300)
        self.assertEqual(said("train") & said("heldout"), set())
        for name, lists in words.LISTS.items():
            if name != "weekdays":
                self.assertEqual(set(lists["train"]) & set(lists["heldout"]), set(), name)

    def test_calls_fit_their_schemas(self):
        kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
        for case in generate.heldout():
            if not case["kind"].startswith("call"):
                continue
            schema = next(it["function"]["parameters"] for it in case["tools"]
                          if it["function"]["name"] == case["name"])
            for key, value in case["arguments"].items():
                self.assertIsInstance(value, kinds[schema["properties"][key]["type"]])
            self.assertLessEqual(set(schema["required"]), set(case["arguments"]))

    def test_a_right_answer_is_judged_right_and_a_wrong_one_wrong(self):
        case = {"kind": "call, unseen names", "name": "zed", "arguments": {"a": 1}}

        def choice(arguments):
            function = {"name": "zed", "arguments": json.dumps(arguments)}
            return {"finish_reason": "tool_calls", "message": {"tool_calls": [{"function": function}]}}

        self.assertTrue(evaluate.judge(case, choice({"a": 1}))["right"])
        self.assertFalse(evaluate.judge(case, choice({"a": 2}))["right"])

    @unittest.skipIf(jinja2 is None, "skipped: jinja2 is not installed")
    def test_the_template_writes_what_training_sees(self):
        source = Path(chat.__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")
        template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(source)
        generator = generate.Generator(3)
        for _ in range(300):
            earlier, _ = generator.one()
            messages, tools = generator.one()
            if messages[0]["role"] != "system":
                messages = earlier + messages
            written = template.render(messages=messages, tools=tools)
            self.assertEqual(re.sub(r"\n$", "", written), chat.text(messages, tools))


if __name__ == "__main__":
    unittest.main()
