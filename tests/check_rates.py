#!/usr/bin/env python3
"""Computes all rates of an evaluation from the scores that it exported (searches.csv, nonmated.f32, candidates.log), with NumPy and without Limen, and
compares them with its report.json and tables, to 1e-9.

    python3 tests/check_rates.py FOLDER

Prints how many numbers were compared, and exits with 1 when one of them differs.
"""
import csv
import json
import math
import pathlib
import sys

import numpy as np

Z = 1.959963984540054
FIXED = ["row", "subject", "mated", "failed", "mate_score", "mate_rank", "highest_nonmated", "quality"]


class Check:
    def __init__(self):
        self.compared, self.wrong = 0, []

    def same(self, what, limen, own):
        self.compared += 1
        both_absent = limen is None and own is None
        if both_absent:
            return
        if what.endswith(("threshold", "best candidate")) and None not in (limen, own):
            limen = float(np.float32(limen))  # written as briefly as 32 bits allow
        if limen is None or own is None or not abs(limen - own) <= 1e-9 * max(1.0, abs(own)):
            self.wrong.append(f"{what}: Limen {limen}, NumPy {own}")

    def rate(self, what, limen, own):
        if limen is None or own is None:
            return self.same(what, None if limen is None else 1.0, None if own is None else 1.0)
        for field in ["count", "of", "rate", "low", "high"]:
            self.same(f"{what} {field}", limen[field], own[field])


def wilson(share, trials):
    centre = (share + Z * Z / (2 * trials)) / (1 + Z * Z / trials)
    half = Z / (1 + Z * Z / trials) * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    low = 0.0 if share <= 0 else max(0.0, centre - half)
    high = 1.0 if share >= 1 else min(1.0, centre + half)
    return low, high


def rate(errors, people):
    """The share of errors, with an interval by people."""
    return grouped(errors, np.ones(len(errors)), people)


def grouped(errors, trials, people):
    """The same, of several trials each."""
    if len(errors) == 0:
        return {"count": 0, "of": 0, "rate": 0.0, "low": 0.0, "high": 1.0}
    _, person = np.unique(people, return_inverse=True)
    count, of = np.bincount(person, weights=errors), np.bincount(person, weights=trials)
    count, of = count[of > 0], of[of > 0]
    total, n, k = count.sum(), of.sum(), len(of)
    share = total / n
    binomial = n * share * (1 - share)
    if binomial <= 0 or k < 2:
        effect = n / k
    else:
        effect = max(1.0, ((count - share * of) ** 2).sum() * k / (k - 1) / binomial)
    low, high = wilson(share, n / effect)
    return {"count": int(total), "of": int(n), "rate": share, "low": low, "high": high}


def threshold_at(scores, trials, share):
    """The lowest threshold that at most such a share of the trials reaches."""
    allowed = math.floor(share * trials * (1 + 1e-12))
    if allowed < 1:
        return None
    scores = np.sort(scores)[::-1]
    if allowed >= len(scores):
        return np.float32(-1.0)
    return np.nextafter(scores[allowed], np.float32(np.inf))


def main():
    folder = pathlib.Path(sys.argv[1])
    report, check = json.loads((folder / "report.json").read_text()), Check()
    with open(folder / "searches.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    number = lambda text: np.float32("nan") if text == "" else np.float32(text)
    subject = np.array([line["subject"] for line in lines])
    mated = np.array([line["mated"] == "1" for line in lines])
    failed = np.array([line["failed"] == "1" for line in lines])
    mate = np.array([number(line["mate_score"]) for line in lines], dtype=np.float32)
    rank = np.array([int(line["mate_rank"] or 0) for line in lines])
    highest = np.array([number(line["highest_nonmated"]) for line in lines], dtype=np.float32)
    comparisons = np.fromfile(folder / "nonmated.f32", dtype="<f4").reshape(len(lines), -1)
    nonmated = comparisons[~np.isnan(comparisons)]
    strangers = highest[~mated]
    stops = lambda threshold, which: highest[which] >= np.float32(threshold)
    misses = lambda threshold, which: ~(mate[which] >= np.float32(threshold))
    fpir = lambda threshold, which=~mated: rate(stops(threshold, which), subject[which])
    fnir = lambda threshold, which=mated: rate(misses(threshold, which), subject[which])
    at = lambda share: threshold_at(strangers[~np.isnan(strangers)], len(strangers), share)

    counts = report["counts"]
    for name, own in [("mated", mated.sum()), ("nonmated", (~mated).sum()), ("failed_searches", failed.sum()),
                      ("mated_people", len(set(subject[mated]))), ("nonmated_people", len(set(subject[~mated])))]:
        check.same(name, counts[name], int(own))
    ties = 0
    for told in report["at"]:
        threshold = np.float32(told["threshold"]) if told["asked"] is None else at(told["asked"])
        name = f"at {told['asked']}"
        check.same(f"{name} threshold", told["threshold"], None if threshold is None else float(threshold))
        check.rate(f"{name} FPIR", told["fpir"], None if threshold is None else fpir(threshold))
        check.rate(f"{name} FNIR", told["fnir"], None if threshold is None else fnir(threshold))
        if threshold is not None:
            ties += int((mate[mated] == threshold).sum() + (strangers == threshold).sum())
    for point in report["det"]:
        threshold = np.float32(point["threshold"])
        ties += int((strangers == threshold).sum() + (mate[mated] == threshold).sum())
        check.same(f"DET {threshold} FPIR", point["fpir"], float((strangers >= threshold).mean()))
        check.same(f"DET {threshold} FNIR", point["fnir"], float(misses(threshold, mated).mean()))
    for place, share in enumerate(report["cmc"], start=1):
        check.same(f"CMC {place}", share, float(((rank[mated] > 0) & (rank[mated] <= place)).mean()))
    for told in report["one_to_one"]:
        threshold = threshold_at(nonmated, len(nonmated), told["asked"])
        name = f"FMR {told['asked']}"
        check.same(f"{name} threshold", told["threshold"], None if threshold is None else float(threshold))
        if threshold is not None:
            none, there = ~failed & mated, ~np.isnan(comparisons)
            own = grouped((comparisons >= threshold).sum(axis=1), there.sum(axis=1), subject)
            check.rate(name, told["fmr"], own)
            check.rate(f"{name} FNMR", told["fnmr"], fnir(threshold, none))
    for scores, name in [(mate[mated], "mated"), (strangers, "highest"), (nonmated, "nonmated")]:
        scores = scores[~np.isnan(scores)].astype(np.float64)
        bins, own = np.unique(np.floor(scores / 0.02).astype(int), return_counts=True)
        own = dict(zip(bins.tolist(), own.tolist()))
        for told in report["bins"]:
            check.same(f"bin {told['from']} {name}", told[name], own.get(round(told["from"] / 0.02), 0))
        check.same(f"bins of {name}", sum(told[name] for told in report["bins"]), len(scores))
    for told in report["differentials"]:
        labels = np.array([line[told["column"]] for line in lines])
        values = {label for label in labels if label}
        if len(values) <= 100:
            check.same("groups", len(told["groups"]), len(values))
        threshold = np.float32(told["threshold"])
        check.same(f"{told['column']} threshold", told["threshold"], float(at(told["fpir"])))
        rates = {"fpir": [], "fnir": []}
        for group in told["groups"]:
            for name, which, count in [("fpir", ~mated, fpir), ("fnir", mated, fnir)]:
                which = which & (labels == group["label"])
                own = count(threshold, which) if which.any() else None
                check.rate(f"{told['column']} {group['label']} {name}", group[name], own)
                rates[name] += [own["rate"]] if own else []
        for name, own in rates.items():
            able = len(own) > 1 and min(own) > 0
            ratios = told[f"{name}_ratios"]
            check.same("ratio", ratios["max_to_min"], max(own) / min(own) if able else None)
            mean = math.exp(np.mean(np.log(own))) if able else None
            check.same("ratio to mean", ratios["max_to_geometric_mean"], max(own) / mean if able else None)
    for told in report["calibration"]:
        if told["threshold"] is not None:
            check.rate(f"calibrated {told['asked']}", told["realised"], fpir(told["threshold"]))
            check.rate(f"calibrated {told['asked']} FNIR", told["fnir"], fnir(told["threshold"]))
    quality = np.array([int(line["quality"]) if line["quality"] else -1 for line in lines])
    graded, usual = mated & (quality >= 0), at(0.01)
    usual = next(it for it in [usual, at(0.03), at(0.1)] if it is not None) if report["discarding"] else None
    levels = len(set(quality[graded])) if usual is not None else 0
    check.same("levels of quality", len(report["discarding"]), levels)
    for told in report["discarding"]:
        left = graded & (quality >= told["quality"])
        check.same("discarded", told["share"], 1 - left.sum() / graded.sum())
        check.rate("after discarding", told["fnir"], fnir(usual, left))
    with open(folder / "candidates.log") as file:
        header, *log = file.read().splitlines()
    assert header == "searchId candidateRank searchRetCode isAssigned templateId score decision", header
    first = [line.split(" ") for line in log if line.split(" ")[1] == "0"]
    check.same("searches in the candidate log", len(first), len(lines))
    for fields, line in zip(first, lines):
        best = max((number(line[name]) for name in ["mate_score", "highest_nonmated"] if line[name]), default=None)
        check.same("best candidate", float(np.float32(fields[5])) if fields[3] == "1" else None, None if best is None else float(best))
    print(f"{check.compared} numbers compared, {ties} scores exactly on a threshold, {len(check.wrong)} differ")
    for line in check.wrong[:20]:
        print(line)
    sys.exit(1 if check.wrong else 0)


main()
