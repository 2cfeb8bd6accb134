#!/bin/sh
# How fast `limen-index enrol` is: rows of 512 features, three times into a new folder; beside it, how fast the
# disk takes as many bytes. Usage: tests/bulk_enrol.sh [ROWS]
set -eu
cd "$(dirname "$0")/.."
cargo build --quiet --release --package index-tools
rows=${1:-100000}
place=$(mktemp -d "${TMPDIR:-/tmp}/limen-bulk.XXXXXX")
trap 'rm -rf "$place"' EXIT
python3 - "$rows" "$place" <<'PYTHON'
import array, random, sys
rows, place = int(sys.argv[1]), sys.argv[2]
chance = random.Random(1)
pool = array.array("f", (chance.gauss(0, 1) for _ in range(1 << 20)))
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 512), }" % rows
header += " " * (117 - len(header)) + "\n"
with open(place + "/features.npy", "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    for _ in range(rows):
        start = chance.randrange(len(pool) - 512)
        pool[start] = chance.gauss(0, 1)  # no two rows alike
        pool[start:start + 512].tofile(file)
with open(place + "/rows.csv", "w") as file:
    file.write("subject,encounter,watchlist,category\n")
    file.writelines(f"p{i},e1,first,wanted\n" for i in range(rows))
PYTHON
dd if="$place/features.npy" of="$place/copy" bs=1M conv=fdatasync 2>&1 | tail -n 1
rm "$place/copy"
tool() { target/release/limen-index "$@"; }
for run in 1 2 3; do
  LIMEN_FOLDER="$place/folder-$run"
  export LIMEN_FOLDER
  tool init --model bulk --dimension 512 > "$place/said"
  tool watchlist add --nation UTO --name first --purpose border_control --legal-basis eu_2018_1861 --handling H1 \
    --category wanted --model bulk --threshold 0.4 --retention-days 365 > "$place/said"
  began=$(date +%s%N)
  tool enrol --nation UTO --features "$place/features.npy" --rows "$place/rows.csv"
  took=$(( ($(date +%s%N) - began) / 1000000 ))
  echo "$took ms, $(( rows * 1000 / took )) references a second, wanted: more than 20000"
done
