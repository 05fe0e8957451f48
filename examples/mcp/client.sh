#!/bin/sh
# A client of the host's MCP server, with nothing but curl.
#
#     sh client.sh [http://127.0.0.1:8080/mcp]
#
# The three requests of client.py, in the revision without sessions: each stands for itself, and
# what it is about stands in its headers too. MCP_KEY is sent as the key, if it is set.
set -eu
url=${1:-http://127.0.0.1:8080/mcp}
version=2026-07-28
meta='"io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {}'

# ask MEDIA METHOD NAME PARAMS: one request; an answer is a JSON object or a stream of events.
ask() {
  curl --silent --show-error --no-buffer --fail-with-body "$url" \
    -H 'content-type: application/json' -H "accept: $1" \
    -H "mcp-protocol-version: $version" -H "mcp-method: $2" ${3:+-H} ${3:+"mcp-name: $3"} \
    ${MCP_KEY:+-H} ${MCP_KEY:+"authorization: Bearer $MCP_KEY"} \
    --data "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"$2\", \"params\": $4}"
  echo
}

ask 'application/json' tools/list '' "{\"_meta\": {$meta}}"

# With a progress token and an answer in events, the text comes as it is written.
ask 'application/json, text/event-stream' tools/call generate '{
  "name": "generate",
  "arguments": {"prompt": "Once upon a time", "max_tokens": 32, "temperature": 0},
  "_meta": {"progressToken": "text", '"$meta"'}}'

ask 'application/json' tools/call generate_code '{
  "name": "generate_code", "arguments": {"description": "add two numbers"},
  "_meta": {'"$meta"'}}'
