#!/usr/bin/env python3
"""Computes FNIR and FPIR from the split that `limen demo --templates … --export DIR` wrote, with NumPy and
without Limen, and compares them with Limen's own.

    python3 tests/demo_rates.py TEMPLATES.npy DIR [MEAN.npy]

Scores that lie within 2e-6 of the threshold may fall on either side, as summation orders differ in the last
bits; they are counted and allowed for. Exits with 1 when the rates disagree by more.
"""
import csv
import json
import pathlib
import sys

import numpy as np


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main():
    templates, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    features = unit(np.load(templates).astype(np.float64))
    if len(sys.argv) > 3:
        features = unit(features - np.load(sys.argv[3]).astype(np.float64).ravel())
    limen = json.loads((folder / "rates.json").read_text())
    threshold = limen["threshold"]
    rows = {"enrolled": [], "mated": [], "nonmated": []}
    with open(folder / "split.csv", newline="") as file:
        for line in csv.DictReader(file):
            rows[line["role"]].append((int(line["row"]), line["subject"]))
    enrolled = [row for row, _ in rows["enrolled"]]
    subjects = np.array([subject for _, subject in rows["enrolled"]])
    scores = {role: features[[row for row, _ in rows[role]]] @ features[enrolled].T for role in ("mated", "nonmated")}
    mates = [scores["mated"][i][subjects == subject].max() for i, (_, subject) in enumerate(rows["mated"])]
    highest = scores["nonmated"].max(axis=1)
    near = sum(abs(np.concatenate([mates, highest]) - threshold) < 2e-6)
    found = {}
    with open(folder / "answers.csv", newline="") as file:
        for line in csv.DictReader(file):
            found[int(line["row"])] = line
    agree = True
    for name, own, count in (
        ("FNIR", int(np.sum(np.array(mates) < threshold)), len(mates)),
        ("FPIR", int(np.sum(highest >= threshold)), len(highest)),
    ):
        theirs = limen[name.lower()] * count
        same = abs(own - theirs) <= near + 1e-9
        agree &= same
        print(f"{name}: NumPy {own / count:.6f} ({own} of {count}), Limen {limen[name.lower()]:.6f}: {'equal' if same else 'DIFFERENT'}")
    worst = 0.0
    for role in ("mated", "nonmated"):
        for i, (row, _) in enumerate(rows[role]):
            if found[row]["first_score"]:
                worst = max(worst, abs(float(found[row]["first_score"]) - scores[role][i].max()))
    agree &= worst < 2e-6
    print(f"highest scores differ by at most {worst:.1e}; {near} scores lie within 2e-6 of the threshold")
    print(f"1 passed, 0 failed" if agree else "0 passed, 1 failed")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
