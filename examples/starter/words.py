"""Words to make prompts of: each list has a part to train with, in `words/`, and a part held out."""

from pathlib import Path

FOLDER = Path(__file__).parent / "words"
HELDOUT = {
    "places": "Oslo Lima Quito Havana Bogota Reykjavik Turin Leeds Austin Manila Hanoi Tunis Ghent Basel Malaga",
    "people": "Ada Boris Clara Dario Elsa Felix Gina Henry Irma Kurt",
    "things": "anchor barrel copper desert feather guitar hammer jacket lantern meadow onion parrot quartz ribbon "
              "saddle turtle umbrella velvet walnut kettle pepper tiger lamp fence glove",
    "verbs": "query drop pick track record launch sort merge collect submit",
    "languages": "Swedish Finnish Danish Korean",
    "units": "SEK NOK CAD inches ounces gallons",
    "rooms": "cellar library nursery studio",
    "colours": "grey pink violet",
}


def read(name):
    """A list of words of both splits: the file's to train with, without those held out."""
    heldout = HELDOUT[name].split()
    words = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").split()
    return {"train": [word for word in words if word not in heldout], "heldout": heldout}


LISTS = {name: read(name) for name in HELDOUT}
LISTS["weekdays"] = dict.fromkeys(
    ("train", "heldout"), "monday tuesday wednesday thursday friday saturday sunday".split())
SITES = "com org net io dev example test".split()
FOLDERS = "src docs notes data tmp home etc var logs reports music work".split()
ENDINGS = "txt md json toml csv log py rs".split()
ONSETS = "b bl c ch d dr f fl g gr h j k kr l m n p pl qu r s sh st t tr v w z".split()
VOWELS = "a e i o u ai ea oo y".split()
CODAS = ["", "", "", "n", "r", "l", "s", "t", "m", "x", "nd", "rk"]


def made_up(rng, most=3):
    """A word that nobody has seen."""
    syllables = rng.randrange(1, most) + (rng.random() < 0.5)
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(max(1, syllables)))


class Source:
    """Random words and values of one split."""

    def __init__(self, rng, split):
        self.rng = rng
        self.split = split

    def one(self, words, made=0.25):
        """A word of the list, or a made-up one so that it cannot be learned by heart."""
        if self.rng.random() < made:
            return made_up(self.rng)
        return self.rng.choice(LISTS[words][self.split])

    def place(self):
        name = self.one("places", 0.4).capitalize()
        return f"{self.rng.choice(['New', 'San', 'Port', 'East'])} {name}" if self.rng.random() < 0.1 else name

    def person(self):
        return self.one("people", 0.3).capitalize()

    def word(self):
        return self.one("things", 0.4)

    def phrase(self, low=2, high=4):
        return " ".join(self.word() for _ in range(self.rng.randint(low, high)))

    def path(self):
        stem = self.word() + self.rng.choice(["", "", str(self.rng.randrange(10)), "_" + self.word()])
        parts = [self.rng.choice(FOLDERS) for _ in range(self.rng.choice([0, 0, 1, 2]))]
        name = "/".join([*parts, f"{stem}.{self.rng.choice(ENDINGS)}"])
        return self.rng.choice(["", "/", ""]) + name

    def identifier(self):
        letters = "".join(self.rng.choice("ABCDEFGHKLMNPRSTXZ") for _ in range(self.rng.randint(1, 3)))
        return letters + self.rng.choice(["-", ""]) + str(self.rng.randrange(10, 10000))

    def integer(self):
        return self.rng.choice([self.rng.randrange(1, 10), self.rng.randrange(10, 100), self.rng.randrange(100, 10000)])

    def number(self):
        return round(self.rng.uniform(0, 500), self.rng.choice([1, 2]))

    def date(self):
        return f"20{self.rng.randrange(20, 40)}-{self.rng.randrange(1, 13):02}-{self.rng.randrange(1, 29):02}"

    def clock(self):
        return f"{self.rng.randrange(24):02}:{self.rng.choice([0, 0, 15, 30, 45, self.rng.randrange(60)]):02}"

    def email(self):
        return f"{self.person().lower()}@{self.word()}.{self.rng.choice(SITES)}"

    def url(self):
        path = "/".join(self.word() for _ in range(self.rng.choice([0, 0, 1, 2])))
        return f"https://{self.word()}.{self.rng.choice(SITES)}" + ("/" + path if path else "")

    def code(self):
        return made_up(self.rng)

    def expression(self):
        def term():
            return str(self.rng.choice([self.rng.randrange(2, 10), self.rng.randrange(10, 1000)]))

        text = term()
        space = self.rng.choice(["", " "])
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            text += space + self.rng.choice("+-*/") + space + term()
        if self.rng.random() < 0.2:
            text = f"({text}){space}{self.rng.choice('*/+-')}{space}{term()}"
        return text

    def text(self):
        """Any text that may be a value."""
        return self.rng.choice([self.word, self.word, self.person, self.place, self.phrase, self.identifier, self.path])()

    def one_verb(self):
        return self.one("verbs", 0.1).capitalize()

    def name(self):
        """A name of a function or an argument."""
        parts = [self.one("verbs", 0.15), self.word()][-self.rng.choice([1, 2, 2]):]
        if self.rng.random() < 0.12:
            parts.append(self.word())
        if self.rng.random() < 0.15:
            return parts[0] + "".join(part.capitalize() for part in parts[1:])
        return self.rng.choice(["_", "_", "_", "-"]).join(parts)
