"""What other first stages would let through: the share of pairs that each bound cannot rule out.

    python3 benches/alternatives.py [--model ../shared/data/population/faces512_gen_model.npz] [--threshold 0.48]

The bounds are computed in f64 with exact norms; docs/search-log.md says what came of them. Needs numpy.
"""

import argparse

import numpy as np

ROWS, PROBES, BLOCK, WINDOW = 40_960, 192, 32, 2048


def fitted(path, count, chance):
    model = np.load(path)
    rank = model["between_half"].shape[1]
    spread = 1.05 * np.exp(0.30 * chance.standard_normal((count, 1)) - 0.09)
    features = model["mean"] + chance.standard_normal((count, rank)) @ model["between_half"].T
    features += spread * (chance.standard_normal((count, rank)) @ model["within_half"].T)
    features += 0.002 * chance.standard_normal(features.shape)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def norms(values):
    return np.linalg.norm(values, axis=1)


def coded(values, levels):
    """Values at the nearest of so many levels to each side, one step for all; and the norms of what is left."""
    step = np.quantile(np.abs(values).max(axis=1), 0.999) / levels
    codes = np.clip(np.round(values / step), -levels, levels) * step
    return codes, norms(values - codes)


def share(bound, threshold):
    return f"{(bound >= threshold).mean() * 100:9.4f} %"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="../shared/data/population/faces512_gen_model.npz")
    parser.add_argument("--threshold", type=float, default=0.48)
    args = parser.parse_args()
    chance = np.random.default_rng(1)
    rows, probes = fitted(args.model, ROWS, chance), fitted(args.model, PROBES, chance)
    _, axes = np.linalg.eigh(rows[:16384].T @ rows[:16384])
    axes = axes[:, ::-1]
    y, p = rows @ axes, probes @ axes
    print(f"{ROWS} references, {PROBES} probes, threshold {args.threshold}")
    print("lead   8 bits      blocks of 32  sorted by tail  4 bits      two tails   + sign of tail")
    for lead in (64, 80, 96, 112, 128, 144, 160):

        def bound(levels, row_tail, probe_tail):
            codes, error = coded(y[:, :lead], levels)
            probe, own_error = coded(p[:, :lead], 127)
            slack = np.outer(norms(probe), error) + own_error[:, None]
            return probe @ codes.T, slack, np.outer(probe_tail, row_tail)

        row_tail, probe_tail = norms(y[:, lead:]), norms(p[:, lead:])
        inner, slack, tails = bound(127, row_tail, probe_tail)
        own = inner + slack + tails

        def greatest(tail):
            return np.repeat(tail.reshape(-1, BLOCK).max(axis=1), BLOCK)

        block = inner + slack + np.outer(probe_tail, greatest(row_tail))
        order = np.concatenate([start + np.argsort(row_tail[start : start + WINDOW]) for start in range(0, ROWS, WINDOW)])
        sorted_tail = np.empty(ROWS)
        sorted_tail[order] = greatest(row_tail[order])
        in_order = inner + slack + np.outer(probe_tail, sorted_tail)
        coarse = sum(bound(7, row_tail, probe_tail))
        middle = (lead + 160) // 2
        two = inner + slack + np.outer(norms(p[:, lead:middle]), norms(y[:, lead:middle]))
        two += np.outer(norms(p[:, middle:]), norms(y[:, middle:]))
        # The tail up to 160 dimensions as signs times one length, the rest of it by its norm.
        signs = np.where(y[:, lead:160] >= 0, 1.0, -1.0)
        length = np.abs(y[:, lead:160]).mean(axis=1, keepdims=True) if lead < 160 else np.zeros((ROWS, 1))
        left = np.sqrt(norms(y[:, lead:160] - signs * length) ** 2 + norms(y[:, 160:]) ** 2)
        signed = inner + slack + p[:, lead:160] @ (signs * length).T + np.outer(probe_tail, left)
        shares = [share(b, args.threshold) for b in (own, block, in_order, coarse, two, signed)]
        print(f"{lead:4d}", "  ".join(shares))


if __name__ == "__main__":
    main()
