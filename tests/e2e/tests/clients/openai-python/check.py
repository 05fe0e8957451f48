"""OpenAI's Python client against a host: chats, tools, formats, embeddings, responses, errors.

Needs BASE_URL, MODEL (a chat model) and EMBED_MODEL. What an answer says is not looked at.
"""

import json
import os

import openai

MODEL, EMBED_MODEL = os.environ["MODEL"], os.environ["EMBED_MODEL"]
MESSAGES = [{"role": "user", "content": "Tell me of a dog."}]
COLOURS = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
FUNCTION = {"name": "paint", "description": "Paints a wall.", "parameters": COLOURS}
CHAT = {"model": MODEL, "messages": MESSAGES, "temperature": 0}

client = openai.OpenAI(
    base_url=os.environ["BASE_URL"] + "/v1", api_key="none", timeout=60, max_retries=0
)


def check_models():
    ids = [model.id for model in client.models.list()]
    assert {MODEL, EMBED_MODEL} <= set(ids), ids
    assert client.models.retrieve(MODEL).id == MODEL


def check_chat():
    whole = client.chat.completions.create(**CHAT, max_tokens=24)
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        **CHAT, max_tokens=24, stream=True, stream_options=options
    )
    chunks = list(stream)
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    assert text and text == whole.choices[0].message.content, (text, whole)
    assert choices[-1].finish_reason == whole.choices[0].finish_reason == "length"
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert whole.usage.completion_tokens == 24


def check_tools():
    tools = [{"type": "function", "function": FUNCTION}]
    forced = {"type": "function", "function": {"name": "paint"}}
    ask = {**CHAT, "max_tokens": 200, "tools": tools, "tool_choice": forced}
    call = client.chat.completions.create(**ask).choices[0].message.tool_calls[0]
    assert call.function.name == "paint"
    assert json.loads(call.function.arguments)["colour"] in ("red", "green")

    with client.chat.completions.stream(**ask) as stream:
        final = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert final.function.name == "paint"
    assert json.loads(final.function.arguments) == json.loads(call.function.arguments)

    answer = {"role": "tool", "tool_call_id": call.id, "content": "done"}
    said = {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}
    history = [*MESSAGES, said, answer]
    after = client.chat.completions.create(model=MODEL, messages=history, max_tokens=4)
    assert after.choices[0].message.role == "assistant"


def check_format():
    schema = {"name": "colours", "strict": True, "schema": COLOURS}
    kind = {"type": "json_schema", "json_schema": schema}
    answer = client.chat.completions.create(**CHAT, max_tokens=200, response_format=kind)
    assert json.loads(answer.choices[0].message.content)["colour"] in ("red", "green")


def check_embeddings():
    texts = ["a dog", "a small dog"]
    ask = {"model": EMBED_MODEL, "input": texts}
    # Without an encoding the client asks for base64 and decodes it.
    decoded = client.embeddings.create(**ask)
    floats = client.embeddings.create(**ask, encoding_format="float")
    for one, other in zip(decoded.data, floats.data, strict=True):
        assert len(one.embedding) == len(other.embedding) > 0
        apart = max(abs(a - b) for a, b in zip(one.embedding, other.embedding))
        assert apart < 1e-6, apart
    assert floats.data[0].embedding != floats.data[1].embedding


def check_responses():
    ask = {"model": MODEL, "input": "Tell me of a dog.", "temperature": 0}
    whole = client.responses.create(**ask, max_output_tokens=24)
    with client.responses.stream(**ask, max_output_tokens=24) as stream:
        events = list(stream)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert whole.output_text and "".join(deltas) == whole.output_text
    assert events[0].type == "response.created", events[0]
    assert events[-1].type == "response.incomplete", events[-1]
    assert events[-1].response.output_text == whole.output_text


def check_errors():
    refused = [
        (openai.NotFoundError, {"model": "nobody"}),
        (openai.BadRequestError, {"temperature": 9}),
        (openai.BadRequestError, {"messages": []}),
        (openai.BadRequestError, {"messages": [{"role": "user", "content": "dog " * 5000}]}),
    ]
    for kind, change in refused:
        try:
            client.chat.completions.create(**{**CHAT, "max_tokens": 4, **change})
        except kind as error:
            assert error.body["message"] and error.type, error.body
        else:
            raise AssertionError(f"no {kind.__name__} for {list(change)}")


for check in (
    check_models,
    check_chat,
    check_tools,
    check_format,
    check_embeddings,
    check_responses,
    check_errors,
):
    check()
    print("ok", check.__name__)
