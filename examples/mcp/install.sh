#!/bin/sh
# Installs the servers of servers.json below $MCP_SERVERS, each in a folder of its own: the versions
# that were tried, and packages of two servers never meet.
#
#     MCP_SERVERS=~/mcp-servers sh install.sh [NAME ..]
#
# Without a name: all of them. It needs Node.js 20 with npm and Python 3.11 with venv.
set -eu
: "${MCP_SERVERS:?set it to the folder to install into}"

# A server reads no scripts of packages that it is made of, so none are run.
from_npm() {
  mkdir -p "$MCP_SERVERS/$1"
  npm install --prefix "$MCP_SERVERS/$1" --no-audit --no-fund --ignore-scripts "$2"
}

from_pypi() {
  name=$1
  shift
  python3 -m venv "$MCP_SERVERS/$name"
  "$MCP_SERVERS/$name/bin/python3" -m pip install --quiet "$@"
}

install_one() {
  case $1 in
    memory) from_npm memory @modelcontextprotocol/server-memory@2026.8.31 ;;
    filesystem) from_npm filesystem @modelcontextprotocol/server-filesystem@2026.8.31 ;;
    sequential-thinking)
      from_npm sequential-thinking @modelcontextprotocol/server-sequential-thinking@2026.8.31 ;;
    github) from_npm github @modelcontextprotocol/server-github@2025.4.8 ;;
    fetch) from_pypi fetch mcp-server-fetch==2026.10.24 ;;
    time) from_pypi time mcp-server-time==2026.10.19 tzdata ;;
    serena) from_pypi serena serena-agent==2.1.0 ;;
    desktop-commander)
      # A later version of this dependency cannot be installed.
      mkdir -p "$MCP_SERVERS/desktop-commander"
      echo '{"overrides": {"typedarray.prototype.slice": "1.0.5"}}' \
        >"$MCP_SERVERS/desktop-commander/package.json"
      from_npm desktop-commander @wonderwhy-er/desktop-commander@0.2.52 ;;
    redis) from_pypi redis redis-mcp-server==0.5.1 ;;
    *) echo "install.sh: no server is called $1" >&2 && return 2 ;;
  esac
}

if [ $# -eq 0 ]; then
  set -- memory filesystem sequential-thinking github fetch time serena desktop-commander redis
fi
for name in "$@"; do
  install_one "$name"
done
