"""Everything else: greetings, what the model cannot do, answers in JSON, and exact repetition."""

import json

from chat import assistant, user

DEMO = ("I am only a small demonstration model: I answer questions on how to use this host and call tools. "
        "I do not know that.")
HELLO = "Hello! Ask me how to use this host, or give me tools to call."
WELCOME = "You are welcome."
BYE = "Goodbye!"

GREETINGS = {
    "train": [
        (["Hi", "Hello", "Hey", "Good morning", "Hi there", "Hello there", "Good evening", "hallo", "Hey you", "hello!",
          "Hi!", "Greetings"], HELLO),
        (["Thanks", "Thank you", "Thanks a lot", "thank you very much", "Great, thanks", "thx", "Nice, thank you"], WELCOME),
        (["Bye", "Goodbye", "See you", "Bye bye", "See you later", "Good night"], BYE),
    ],
    "heldout": [
        (["Hello, good morning!", "hi hello", "Hey there"], HELLO),
        (["Many thanks", "ok thanks"], WELCOME),
        (["bye, see you", "Goodbye then"], BYE),
    ],
}

OTHER = {
    "train": [
        "What is the capital of {place}?", "Who wrote {thing}?", "Write a poem about {thing}.", "Tell me a joke.",
        "Who won the game in {place}?", "How old is {person}?", "What do you think about {thing}?", "Tell me a story.",
        "Write an essay on {thing}.", "How do I cook {thing}?", "Who is the president of {place}?", "Why is the sky blue?",
        "What is the meaning of life?", "Give me advice about {thing}.", "Write a song for {person}.",
        "How tall is the {thing} of {place}?", "Explain the history of {place}.", "Who is {person}?",
        "Recommend a book about {thing}.", "How do I grow a {thing}?", "Is {thing} healthy?", "Sing a song about {thing}.",
        "How many people live in {place}?", "What happened in {number}?", "Which film should I watch?",
        "How far is {place} from {place}?", "Write code that sorts {thing}.", "Where was {person} born?",
        "What is the best {thing}?", "Do you love {thing}?", "How do planes fly?", "What is love?",
        "Write a letter to {person}.", "Plan a trip to {place}.", "What should I eat today?", "Can you draw a {thing}?",
        "Why do cats sleep?", "Who painted the {thing}?", "How much does a {thing} cost?", "Solve my homework on {thing}.",
        "What colour is a {thing}?", "How do I learn {thing}?", "Tell me about {person}.", "Tell me about {place}.",
        "Which river flows through {place}?", "When was {place} founded?", "What language do they speak in {place}?",
        "Who discovered {thing}?", "Summarise the book about {thing}.", "Give me three names for a {thing}.",
        "How long does it take to boil a {thing}?", "Is {person} a good name?", "Compose a haiku on {thing}.",
        "What is the square root of {number}?", "How do I repair a {thing}?", "Should I buy a {thing}?",
        "Write a speech for {person}.", "What is the best way to clean a {thing}?", "How many legs has a {thing}?",
        "Describe {place}.", "Describe a {thing}.", "Who built the {thing} in {place}?", "Translate {thing} for me.",
        "What is the currency of {place}?", "What does {person} do for a living?", "Can I eat a {thing}?",
        "Where does {thing} come from?", "Which is better, {thing} or {thing}?", "Invent a tale about {person}.",
        "What is the history of the {thing}?", "How do I get rid of a {thing}?", "Where can I buy a {thing}?",
        "Why do people like {thing}?", "What happened in {place} yesterday?", "Give me a recipe with {thing}.",
        "Help me with my {thing}.", "How was your day?", "Are you alive?", "What is your favourite {thing}?",
        "Do you dream?", "Explain gravity.", "What is a black hole?", "How does a {thing} work?", "Who are your friends?",
        "Write a program in Python.", "Fix my code.", "What is {number} in Roman numerals?", "When is {person}'s birthday?",
        "Name a song about {thing}.", "How big is a {thing}?", "How fast is a {thing}?", "Who is the mayor of {place}?",
        "What should I wear in {place}?", "Give me a riddle.", "Make me laugh.", "I feel sad.", "I am bored.",
        "Tell me something about {thing}.", "Is there life on Mars?", "What is philosophy?", "Who was {person}?",
        "What does {thing} mean?", "Is {place} a country?", "Which team does {person} play for?", "Do my taxes.",
        "How do I lose weight?", "Is it going to rain?", "How can I learn to play the piano?", "What is art?",
        "Write an email to {person} about the {thing}.", "Who is older, {person} or {person}?", "Draw a {thing}.",
        "Why did {person} go to {place}?", "How deep is the sea?", "What is the speed of light?", "Play a game with me.",
    ],
    "heldout": [
        "What is the population of {place}?", "Write a short story about a {thing}.", "Who invented the {thing}?",
        "How do I bake a {thing}?", "Tell me a joke about {person}.", "Why is the {thing} yellow?",
        "Who is the king of {place}?", "How heavy is a {thing}?", "Write a poem for {person}.", "Is {place} beautiful?",
    ],
}

IN_JSON = {
    "train": ["Answer in JSON: {}", "{} Answer in JSON.", "In JSON: {}", "{} Reply as JSON.", "As JSON, {}",
              "{} Give the answer as a JSON object.", "{} JSON please.", "Use JSON to answer: {}", "Reply in JSON. {}",
              "I want JSON. {}", "{} Your answer must be JSON.", "Return JSON: {}", "{} (as JSON)",
              "{} Respond with a JSON object.", "Only JSON: {}", "{} Write the answer as JSON.",
              "Could you answer in JSON? {}", "Tell me in JSON: {}", "Format the answer as JSON: {}"],
    "heldout": ["Please answer in JSON: {}", "{} Please reply in JSON."],
}
FIELDS = {
    "train": ["Write {} as JSON.", "Make a JSON object with {}.", "As JSON: {}", "Answer in JSON: {}", "JSON with {}",
              "Turn {} into JSON.", "{} as JSON, please", "I need JSON with {}.", "Create JSON: {}", "Put {} in JSON.",
              "Convert to JSON: {}", "Show {} as a JSON object.", "Return JSON for {}.", "Could you write JSON with {}?",
              "{}. Answer in JSON.", "Encode {} as JSON.", "Build an object in JSON from {}", "Format {} as JSON",
              "Please turn this into JSON: {}", "Extract JSON from: {}"],
    "heldout": ["Please write {} as JSON.", "Give me a JSON object with {}."],
}
SYSTEMS = ["You are a helpful assistant.", "You are a helpful assistant", "Be short.", "Answer briefly.",
           "You are the assistant of this host.", "Be polite and helpful.", "You help people."]


def greeting(source):
    words, said = source.rng.choice(GREETINGS[source.split])
    return [user(source.rng.choice(words)), assistant(said)]


def other_question(source):
    form = source.rng.choice(OTHER[source.split])
    while "{" in form:
        head, _, rest = form.partition("{")
        slot, _, rest = rest.partition("}")
        form = head + str({"place": source.place, "thing": source.word, "person": source.person,
                           "number": source.integer}[slot]()) + rest
    return form


def other(source):
    return [user(other_question(source)), assistant(DEMO)]


def fields(source):
    """Fields that are written as JSON."""
    rng = source.rng
    data = {}
    for _ in range(rng.randint(1, 3)):
        got = rng.choice([source.word, source.person, source.integer, source.number, source.phrase, source.place])()
        data[rng.choice(["name", "age", "city", "price", source.word(), source.word()])] = got
    pair, join = rng.choice(["{} {}", "{} is {}", "{} = {}", "{}: {}", "the {} is {}"]), rng.choice([", ", " and "])
    said = join.join(pair.format(key, got) for key, got in data.items())
    return rng.choice(FIELDS[source.split]).format(said), data


def json_fields(source):
    prompt, data = fields(source)
    return [user(prompt), assistant(json.dumps(data, ensure_ascii=False))]


def json_answer(source, question, said):
    """A question answered as an object with the one key `answer`."""
    prompt = source.rng.choice(IN_JSON[source.split]).format(question)
    return [user(prompt), assistant(json.dumps({"answer": said}, ensure_ascii=False))]


def repeat(source, low=3, high=14):
    """Words to say again exactly: what copying is learned from first."""
    rng = source.rng
    parts = [str(rng.choice([source.word, source.word, source.name, source.integer, source.text])())
             for _ in range(rng.randint(low, high))]
    text = " ".join(parts)
    return [user(rng.choice(["Repeat: {}", "Say: {}", "Repeat {}", "Echo: {}"]).format(text)), assistant(text)]
