#!/usr/bin/env python3
"""A client of the host's MCP server, with nothing but Python's standard library.

    python3 client.py [http://127.0.0.1:8080/mcp]

It lists the tools, has a text continued and prints it as it is written, and has code written.
The variable MCP_KEY is sent as the key, if it is set.
"""

import json
import os
import sys
import urllib.error
import urllib.request

# The revision without sessions: each request stands for itself.
VERSION = "2026-07-28"
ADDRESS = "http://127.0.0.1:8080/mcp"


class Failed(Exception):
    """What was asked for came to nothing; the text says why."""


class Client:
    """Speaks with one MCP server."""

    def __init__(self, url=ADDRESS, key=os.environ.get("MCP_KEY")):
        self.url = url
        self.key = key

    def tools(self):
        """Every tool; a long list comes in pages."""
        tools, cursor = [], None
        while True:
            page = self.request("tools/list", {"cursor": cursor} if cursor else {})
            tools += page["tools"]
            cursor = page.get("nextCursor")
            if cursor is None:
                return tools

    def call(self, name, arguments, heard=None):
        """The structured result of a tool. `heard` gets each progress message while it runs."""
        params = {"name": name, "arguments": arguments}
        if heard:
            params["_meta"] = {"progressToken": name}
        result = self.request("tools/call", params, name, heard)
        if result.get("isError"):
            raise Failed("\n".join(part.get("text", "") for part in result["content"]))
        return result["structuredContent"]

    def request(self, method, params, name=None, heard=None):
        """The result of one request."""
        meta = params.setdefault("_meta", {})
        meta["io.modelcontextprotocol/protocolVersion"] = VERSION
        meta["io.modelcontextprotocol/clientCapabilities"] = {}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": method,
        }
        if name:
            headers["Mcp-Name"] = name
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                for message in messages(answer):
                    if message.get("id") == 1:
                        return result_of(message)
                    if heard and message.get("method") == "notifications/progress":
                        heard(message["params"])
        except urllib.error.HTTPError as error:
            raise Failed(f"{error}: {error.read().decode(errors='replace')}") from None
        raise Failed(f"the answer to {method} ended before its result")


def messages(answer):
    """The messages of an answer: one JSON object, or a stream of events."""
    if not answer.headers.get_content_type() == "text/event-stream":
        yield json.load(answer)
        return
    for line in answer:
        data = line.decode().partition("data:")[2].strip()
        if data:
            yield json.loads(data)


def result_of(message):
    if "error" in message:
        raise Failed(message["error"]["message"])
    return message["result"]


def write(progress):
    """What is new of the text."""
    print(progress.get("message", ""), end="", flush=True)


def main():
    client = Client(*sys.argv[1:2])
    print("tools:", ", ".join(tool["name"] for tool in client.tools()))
    prompt = {"prompt": "Once upon a time", "max_tokens": 32, "temperature": 0}
    print("generate: ", end="")
    written = client.call("generate", prompt, write)
    print(f"\nfinished: {written['finish_reason']} {written['usage']['completion_tokens']}")
    code = client.call("generate_code", {"description": "add two numbers"})
    print(f"generate_code: {code['language']}\n{code['code']}")


if __name__ == "__main__":
    try:
        main()
    except (Failed, OSError) as failure:
        sys.exit(f"client.py: {failure}")
