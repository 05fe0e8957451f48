"""LangChain's OpenAI package against a host: chats, tools, structured answers, embeddings.

Needs BASE_URL, MODEL (a chat model) and EMBED_MODEL. What an answer says is not looked at.
"""

import os
from typing import Literal

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

HOST = {"base_url": os.environ["BASE_URL"] + "/v1", "api_key": "none", "max_retries": 0}


class Paint(BaseModel):
    """Paints a wall."""

    colour: Literal["red", "green"]


def chat(max_tokens):
    model = os.environ["MODEL"]
    return ChatOpenAI(model=model, temperature=0, max_tokens=max_tokens, timeout=60, **HOST)


def check_chat():
    question = [("system", "You tell stories."), ("user", "Tell me of a dog.")]
    whole = chat(24).invoke(question)
    streamed = "".join(chunk.content for chunk in chat(24).stream(question))
    assert whole.content and streamed == whole.content, (streamed, whole)
    assert whole.usage_metadata["output_tokens"] == 24


def check_tools():
    asked = chat(200).bind_tools([Paint], tool_choice="Paint")
    (call,) = asked.invoke("Paint it.").tool_calls
    assert call["name"] == "Paint" and Paint(**call["args"])
    chunks = list(asked.stream("Paint it."))
    whole = sum(chunks[1:], chunks[0])
    assert whole.tool_calls[0]["args"] == call["args"], whole


def check_structured():
    for method in ("json_schema", "function_calling"):
        paint = chat(200).with_structured_output(Paint, method=method).invoke("Paint it.")
        assert isinstance(paint, Paint), paint


def check_embeddings():
    # With the check of lengths on, it cuts texts by a tokenizer that it would have to download.
    embedder = OpenAIEmbeddings(
        model=os.environ["EMBED_MODEL"], check_embedding_ctx_length=False, **HOST
    )
    one, other = embedder.embed_documents(["a dog", "a small dog"])
    assert len(one) == len(other) > 0 and one != other
    apart = max(abs(a - b) for a, b in zip(one, embedder.embed_query("a dog"), strict=True))
    assert apart < 1e-6, apart


for check in (check_chat, check_tools, check_structured, check_embeddings):
    check()
    print("ok", check.__name__)
