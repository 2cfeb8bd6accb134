#!/bin/sh
# How fast images are: templates a second of portraits of 250 and 640 pixels, lookups by image against so many references
# over HTTPS, and what hostile files do to the lookups of others. Needs the demonstration model, pip, and the golden
# photographs of the shared test data. Usage: tests/images.sh [REFERENCES [HOSTILE_FILES]]
set -eu
umask 077
cd "$(dirname "$0")/.."
references=${1:-100000} hostile=${2:-1000}
photographs=${LIMEN_SHARED:-../shared}/data/golden
[ -d "$photographs" ] || { echo "SKIPPED: no golden photographs (LIMEN_SHARED)"; exit 0; }
cargo build --quiet --release --bins
place=$(mktemp -d "${TMPDIR:-/tmp}/limen-images.XXXXXX")
server=
trap 'if [ -n "$server" ]; then kill -9 "$server" 2>/dev/null || true; fi; rm -rf "$place"' EXIT
python3 -c 'import numpy, PIL' 2>/dev/null || python3 -m pip install --quiet numpy pillow
export LIMEN_FOLDER="$place/data" LIMEN_MODELS="${LIMEN_MODELS:-target/models}" RUST_LOG=warn
tool() { target/release/limen-index "$@"; }
tool model verify > /dev/null 2>&1 || tool model install > /dev/null
model=$(tool model list | sed -n 's/^\(sface[^[:space:]]*\).*/\1/p' | head -n 1)
LIMEN_HOSTILE=$hostile LIMEN_HOSTILE_TO="$place/hostile" cargo test --quiet --release -p tests hostile_files::files_are_written > "$place/said"
python3 - "$references" "$place" "$photographs" <<'PYTHON'
import glob, numpy, os, sys
from PIL import Image
references, place, photographs = int(sys.argv[1]), sys.argv[2], sys.argv[3]
numpy.save(place + "/features.npy", numpy.random.default_rng(1).standard_normal((references, 128), dtype=numpy.float32))
with open(place + "/rows.csv", "w") as file:
    file.write("subject,encounter,watchlist,category\n")
    file.writelines(f"p{i},e1,first,wanted\n" for i in range(references))
for path in sorted(glob.glob(photographs + "/*.png")):
    picture = Image.open(path).convert("RGB")
    for side in (250, 640):
        if max(picture.size) >= side:
            copy = picture.copy()
            copy.thumbnail((side, side))
            copy.save(f"{place}/{side}-{os.path.basename(path)[:-4]}.jpg", quality=92)
PYTHON
tool init --model "$model" > /dev/null
list=$(tool watchlist add --nation UTO --name first --purpose border_control --legal-basis eu_2018_1861 --handling H1 \
  --category wanted --model "$model" --threshold 0.5 --retention-days 30 --only-this-quality)
tool grant officers --nation UTO --name first --name second | split -l 1 - "$place/officer-"
grant() { tool grant add --token-file "$place/officer-aa" --approver "$place/officer-ab" "$@" | cut -f2; }
guard=$(grant --name guard --role checkpoint --raw-probes --searches-per-hour 100000 --watchlist "$list" --purpose border_control)
maker=$(grant --name maker --role integrator --verb extract --own)
tool enrol --nation UTO --features "$place/features.npy" --rows "$place/rows.csv" > /dev/null
tool rebuild --nation UTO > /dev/null
tool certificate --to "$place/tls" > /dev/null
export LIMEN_SERVE_TLS_CERTIFICATE="$place/tls/node.pem" LIMEN_SERVE_TLS_KEY="$place/tls/node.key"
export LIMEN_SERVE_IMAGE_MODEL="$model" LIMEN_SERVE_MODELS_FOLDER="$LIMEN_MODELS" LIMEN_SERVE_INSECURE_UNLIMITED_SEARCHES=true
target/release/limen serve --listen 127.0.0.1:0 --folder "$LIMEN_FOLDER" > "$place/address" &
server=$!
while [ ! -s "$place/address" ]; do sleep 0.1; done
python3 tests/images.py "$place" "$server" "$guard" "$maker" "$model" "$list"
