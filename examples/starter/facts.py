"""Questions about the host with their answers, from `facts/`, and how people vary a question."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "facts"
BEFORE = [
    "please tell me: ", "hi, ", "hello, ", "quick question: ", "I wonder, ", "can you tell me: ",
    "a question: ", "excuse me, ", "help: ", "tell me, ", "one more thing: ", "I am new here. ",
    "for the host: ", "in this host, ", "about the host: ", "ok, ", "so ", "and ",
]
AFTER = [" please", " thanks", " in short", " exactly", " here", " with the host", " again", " now"]
SWAPS = [
    ("how do i", ["how can i", "how would one", "how to", "what do i do to", "how does one", "how should i",
                  "is there a way to", "i want to", "i need to", "show me how to", "how could i"]),
    ("how can i", ["how do i", "how to", "i want to", "i would like to", "what must i do to", "explain how to"]),
    ("what does", ["what would", "explain what", "say what"]),
    ("what is", ["what's", "tell me about", "explain", "describe"]),
    ("which flag", ["what flag", "which option", "what option", "which switch"]),
    ("which route", ["what route", "which path", "what path", "which endpoint", "what endpoint", "which url"]),
    ("which command", ["what command", "which subcommand", "what"]),
    ("the host", ["the server", "this host", "this server", "this program"]),
    ("the server", ["the host", "this host"]),
    ("can i", ["may i", "is it possible to", "could i", "how can i", "am i able to"]),
    ("where is", ["where's", "where can i find", "where do i find", "where lies"]),
    ("set ", ["change ", "choose ", "configure ", "adjust ", "give "]),
    ("limit", ["cap", "bound", "restrict"]),
    ("show", ["print", "display", "list"]),
    ("use ", ["work with ", "apply "]),
    ("why ", ["for what reason ", "how come "]),
    ("several", ["many", "multiple", "more than one"]),
    ("supported", ["available", "possible", "there", "known"]),
    ("support", ["know", "have", "offer", "speak"]),
    ("file", ["document"]), ("start", ["launch", "begin", "run"]),
    ("make", ["get", "create", "produce"]), ("turn off", ["disable", "switch off"]),
    ("need", ["require", "want"]), ("model", ["checkpoint"]), ("see", ["look at", "view", "find out"]),
    ("list", ["show"]), ("measure", ["test", "check"]), ("fetch", ["get", "download"]),
]
SMALL = {"the", "a", "an", "do", "does", "i", "is", "of", "to", "in", "for", "it", "my", "can", "me", "how",
         "what", "which", "that", "are", "there", "with", "and", "one", "be"}


def read():
    """Every fact as {train, heldout, answer, keys}."""
    facts = []
    for path in sorted(FOLDER.glob("*.txt")):
        fact = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            mark, _, rest = line.partition(": ")
            if mark == "T":
                if "answer" in fact or not fact:
                    fact = {"train": []}
                fact["train"] += rest.split(" | ")
            elif mark == "H":
                fact["heldout"] = rest.split(" | ")
            elif mark == "A":
                fact["answer"] = rest
            elif mark == "K":
                fact["keys"] = rest.split(" ; ")
                missing = [key for key in fact["keys"] if key.lower() not in fact["answer"].lower()]
                if missing:
                    raise ValueError(f"{path.name}:{number}: the answer lacks {missing}")
                facts.append(fact)
            else:
                raise ValueError(f"{path.name}:{number}: T, H, A or K expected, found {mark!r}")
    return facts


def typo(rng, text):
    words = [at for at, word in enumerate(text.split(" ")) if len(word) > 4 and word.isalpha()]
    if not words:
        return text
    parts = text.split(" ")
    at = rng.choice(words)
    word = parts[at]
    place = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        word = word[:place] + word[place + 1:]
    elif kind == 1:
        word = word[:place] + word[place + 1] + word[place] + word[place + 2:]
    else:
        word = word[:place] + word[place] + word[place:]
    parts[at] = word
    return " ".join(parts)


def swap(rng, question):
    lower = question.lower()
    fitting = [(old, new) for old, new in SWAPS if old in lower]
    if not fitting:
        return question
    old, new = rng.choice(fitting)
    return re.sub(re.escape(old), lambda _: rng.choice(new), question, count=1, flags=re.IGNORECASE)


def keywords(rng, question):
    """The words that matter, some of them dropped: what somebody types into a search box."""
    words = re.sub(r"[?.,]", "", question).split()
    kept = [word for word in words if word.lower() not in SMALL]
    if len(kept) > 3 and rng.random() < 0.4:
        kept.pop(rng.randrange(len(kept)))
    return " ".join(kept) if kept else question


def drop(rng, question):
    words = question.split()
    small = [at for at, word in enumerate(words) if word.lower() in SMALL]
    if small:
        words.pop(rng.choice(small))
    return " ".join(words)


def vary(rng, question):
    """One way to ask the same."""
    roll = rng.random()
    if roll < 0.2:
        return question
    if roll < 0.32:
        question = keywords(rng, question)
    for _ in range(rng.choice([0, 1, 1, 2])):
        question = swap(rng, question)
    if rng.random() < 0.2:
        question = drop(rng, question)
    if rng.random() < 0.12:
        question = typo(rng, question)
    if rng.random() < 0.25:
        question = rng.choice(BEFORE) + question[:1].lower() + question[1:]
    if rng.random() < 0.15:
        question = question.rstrip("?.") + rng.choice(AFTER) + "?"
    if rng.random() < 0.3:
        question = question.rstrip("?.")
    if rng.random() < 0.3:
        question = question.lower()
    return question


def heldout():
    return [(question, fact["keys"]) for fact in read() for question in fact["heldout"]]
