#!/bin/sh
# What lookups notice of rebuilds: so many references of 512 features are looked up steadily over HTTP, first alone, then while one
# generation after the other is built and put in place. Usage: tests/rebuilds.sh [ROWS [REBUILDS]]
set -eu
umask 077
cd "$(dirname "$0")/.."
cargo build --quiet --release --bins
rows=${1:-100000} rebuilds=${2:-50}
place=$(mktemp -d "${TMPDIR:-/tmp}/limen-rebuilds.XXXXXX")
trap 'rm -rf "$place"' EXIT
python3 tests/rows.py "$rows" "$place"
export LIMEN_FOLDER="$place/data" RUST_LOG=warn
tool() { target/release/limen-index "$@"; }
tool init --model m --dimension 512 > /dev/null
list=$(tool watchlist add --nation UTO --name first --purpose border_control --legal-basis eu_2018_1861 --handling H1 \
  --category wanted --model m --threshold 0.9 --retention-days 30)
tool grant officers --nation UTO --name first --name second | split -l 1 - "$place/officer-"
grant() { tool grant add --token-file "$place/officer-aa" --approver "$place/officer-ab" "$@" | cut -f2; }
guard=$(grant --name guard --role checkpoint --raw-probes --searches-per-hour 100000 --watchlist "$list" \
  --purpose border_control)
keeper=$(grant --name keeper --role index_admin --own)
tool enrol --nation UTO --features "$place/features.npy" --rows "$place/rows.csv" > /dev/null
rm "$place/features.npy"
tool rebuild --nation UTO > /dev/null
tool certificate --to "$place/tls" > /dev/null
export LIMEN_SERVE_TLS_CERTIFICATE="$place/tls/node.pem" LIMEN_SERVE_TLS_KEY="$place/tls/node.key"
printf '{ "watchlists": ["%s"], "purpose": "border_control", "legal_basis": "eu_2018_1861", "case_reference": "c", "probe": { "model": "m", %s } }' \
  "$list" "$(cat "$place/probe.json")" > "$place/lookup.json"
python3 - "$guard" "$keeper" "$place" "$rows" "$rebuilds" <<'PYTHON'
import http.client, json, ssl, subprocess, sys, threading, time
guard, keeper, place, rows, rebuilds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
body = open(place + "/lookup.json", "rb").read()
tls = ssl.create_default_context(cafile=place + "/tls/ca.pem")
server = subprocess.Popen(["target/release/limen", "serve", "--listen", "127.0.0.1:0", "--folder", place + "/data"], stdout=subprocess.PIPE)
port = int(server.stdout.readline().decode().rsplit(":", 1)[1])

def memory():
    with open(f"/proc/{server.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

times, errors, generations, peak, stop = [], [], set(), [0.0], threading.Event()

def look():
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls)
    headers = {"Authorization": "Bearer " + guard, "Content-Type": "application/json"}
    while not stop.is_set():
        began = time.monotonic()
        connection.request("POST", "/v1/lookups", body, headers)
        response = connection.getresponse()
        answer = json.load(response)
        times.append((time.monotonic() - began) * 1000)
        if response.status != 200 or answer["decision"] != "hit" or answer["certificate"]["compared"] != rows:
            errors.append(answer)
        else:
            generations.add(answer["certificate"]["generation"])
        stop.wait(0.02)  # a steady load

def watch():
    while not stop.wait(0.02):
        peak[0] = max(peak[0], memory())

def p99():
    ordered = sorted(times)
    times.clear()
    return ordered[len(ordered) * 99 // 100]

def ask(connection, method, path):
    connection.request(method, path, headers={"Authorization": "Bearer " + keeper})
    return json.load(connection.getresponse())

def build():
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls)
    job = ask(connection, "POST", "/v1/generations")["job"]
    while (state := ask(connection, "GET", "/v1/jobs/" + job))["state"] == "running":
        time.sleep(0.05)
    assert state["state"] == "done", state

threads = [threading.Thread(target=look) for _ in range(2)] + [threading.Thread(target=watch)]
[thread.start() for thread in threads]
time.sleep(10)
idle, steady = p99(), memory()
for _ in range(rebuilds):
    build()
busy = p99()
stop.set()
[thread.join() for thread in threads]
server.terminate()
server.wait()
print(f"{rebuilds} rebuilds of {rows} references: {len(errors)} errors (wanted 0), answers from {len(generations)} generations")
print(f"p99 {busy:.1f} ms while rebuilding, {idle:.1f} ms before: {busy / idle:.2f} times (wanted: at most 2)")
print(f"memory {peak[0]:.0f} MiB at most, {steady:.0f} MiB before: {peak[0] / steady:.2f} times (wanted: at most 2.2)")
sys.exit(1 if errors else 0)
PYTHON
