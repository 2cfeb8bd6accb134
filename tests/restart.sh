#!/bin/sh
# How soon a server that was killed gives its first correct answer: a folder of so many references of 512 features with a generation,
# served, killed with -9 and started again, five times; the answer is a hit on the person looked up.
# Usage: tests/restart.sh [ROWS [WANTED_MS]]
set -eu
umask 077
cd "$(dirname "$0")/.."
cargo build --quiet --release --bins
rows=${1:-100000} wanted=${2:-1000}
place=$(mktemp -d "${TMPDIR:-/tmp}/limen-restart.XXXXXX")
server=
trap 'if [ -n "$server" ]; then kill -9 "$server" 2>/dev/null || true; fi; rm -rf "$place"' EXIT
python3 tests/rows.py "$rows" "$place"
export LIMEN_FOLDER="$place/data" RUST_LOG=warn
tool() { target/release/limen-index "$@"; }
tool init --model m --dimension 512 > /dev/null
list=$(tool watchlist add --nation UTO --name first --purpose border_control --legal-basis eu_2018_1861 --handling H1 \
  --category wanted --model m --threshold 0.9 --retention-days 30)
tool grant officers --nation UTO --name first --name second | split -l 1 - "$place/officer-"
token=$(tool grant add --token-file "$place/officer-aa" --approver "$place/officer-ab" --name guard --role checkpoint --raw-probes \
  --watchlist "$list" --purpose border_control | cut -f2)
tool enrol --nation UTO --features "$place/features.npy" --rows "$place/rows.csv" > /dev/null
rm "$place/features.npy"
tool rebuild --nation UTO
tool certificate --to "$place/tls" > /dev/null
export LIMEN_SERVE_TLS_CERTIFICATE="$place/tls/node.pem" LIMEN_SERVE_TLS_KEY="$place/tls/node.key"
printf '{ "watchlists": ["%s"], "purpose": "border_control", "legal_basis": "eu_2018_1861", "case_reference": "c", "probe": { "model": "m", %s } }' \
  "$list" "$(cat "$place/probe.json")" > "$place/lookup.json"
python3 - "$token" "$place" "$rows" "$wanted" <<'PYTHON'
import http.client, json, ssl, os, signal, statistics, subprocess, sys, time
token, place, rows, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
body = open(place + "/lookup.json", "rb").read()
tls = ssl.create_default_context(cafile=place + "/tls/ca.pem")
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
def start():
    began = time.monotonic()
    server = subprocess.Popen(["target/release/limen", "serve", "--listen", "127.0.0.1:0", "--folder", place + "/data"], stdout=subprocess.PIPE)
    port = int(server.stdout.readline().decode().rsplit(":", 1)[1])
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls)
    connection.request("POST", "/v1/lookups", body, headers)
    answer = json.load(connection.getresponse())
    took = (time.monotonic() - began) * 1000
    assert answer["decision"] == "hit" and answer["certificate"]["compared"] == rows, answer
    return server, took
took = []
server, _ = start()
for _ in range(5):
    server.send_signal(signal.SIGKILL)
    server.wait()
    server, ms = start()
    took.append(ms)
server.kill()
server.wait()
print(f"{rows} references: first correct answer {statistics.median(took):.0f} ms after the start (median of 5, most {max(took):.0f} ms), wanted: at most {wanted} ms")
PYTHON
