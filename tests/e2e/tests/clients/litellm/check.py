"""LiteLLM against a host: the routes to a server that speaks as OpenAI does, as vLLM does, and as
Anthropic and Ollama do.

Needs BASE_URL, MODEL (a chat model) and EMBED_MODEL. What an answer says is not looked at.
"""

import json
import os

# Otherwise it looks up prices on the web.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402

URL, MODEL = os.environ["BASE_URL"], os.environ["MODEL"]
ROUTES = {"openai": URL + "/v1", "hosted_vllm": URL + "/v1", "anthropic": URL, "ollama_chat": URL}
MESSAGES = [{"role": "user", "content": "Tell me of a dog."}]
PARAMETERS = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green"]}},
    "required": ["colour"],
}


def ask(provider, **fields):
    where = {"model": f"{provider}/{MODEL}", "api_base": ROUTES[provider], "api_key": "none"}
    fields = {"messages": MESSAGES, "temperature": 0, "max_tokens": 24, **fields}
    return litellm.completion(**where, timeout=60, max_retries=0, **fields)


def check_chats():
    for provider in ROUTES:
        whole = ask(provider).choices[0].message.content
        chunks = [chunk.choices[0].delta.content or "" for chunk in ask(provider, stream=True)]
        assert whole and "".join(chunks) == whole, (provider, chunks, whole)


def check_tools():
    function = {"name": "paint", "description": "Paints.", "parameters": PARAMETERS}
    fields = {
        "max_tokens": 200,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "paint"}},
    }
    for provider in ("openai", "hosted_vllm", "anthropic"):
        call = ask(provider, **fields).choices[0].message.tool_calls[0].function
        assert call.name == "paint", (provider, call)
        assert json.loads(call.arguments)["colour"] in ("red", "green"), (provider, call)


def check_embeddings():
    answer = litellm.embedding(
        model="hosted_vllm/" + os.environ["EMBED_MODEL"],
        input=["a dog", "a small dog"],
        api_base=ROUTES["hosted_vllm"],
        api_key="none",
        timeout=60,
    )
    one, other = (entry["embedding"] for entry in answer.data)
    assert len(one) == len(other) > 0 and one != other


def check_errors():
    try:
        ask("openai", temperature=9)
    except litellm.BadRequestError as error:
        assert "temperature" in str(error), error
    else:
        raise AssertionError("a temperature of 9 was taken")


for check in (check_chats, check_tools, check_embeddings, check_errors):
    check()
    print("ok", check.__name__)
