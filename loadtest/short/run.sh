#!/usr/bin/env bash
# Short connections, as a client in C makes them, through dc_client to dc_server -memory, both from BIN:
#
#     loadtest/short/run.sh [BIN [CALLERS...]]
#
# ROUNDS (3) of SECONDS_EACH (3).
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-bin}
shift || true
[ $# -gt 0 ] || set -- 1 16 64
command -v gcc >/dev/null || { echo "gcc is not installed: nothing was measured"; exit 0; }
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -r "$dir"' EXIT
gcc -O2 -Wall -o "$dir/short" loadtest/short/short.c
"$bin/dc_server" -memory -sessions 0 -listen "UNIX:$dir/server" >"$dir/log" 2>&1 &
"$bin/dc_client" -listen "UNIX:$dir/client" -server "UNIX:$dir/server" >"$dir/log" 2>&1 &
for _ in $(seq 100); do
	[ -S "$dir/client" ] && [ -S "$dir/server" ] && break
	sleep 0.05
done
for _ in $(seq "${ROUNDS:-3}"); do
	for callers; do
		"$dir/short" "$dir/client" "$callers" "${SECONDS_EACH:-3}"
	done
done
