#!/usr/bin/env python3
"""Checks proofs of a log (c2sp.org/tlog-proof), written a second time and with the standard library alone.

Reads JSON Lines with `proof`, `leaf_hash` (hexadecimal) and `log_key` (c2sp.org/signed-note); with `event` and `salt` (hexadecimal) instead of
`leaf_hash`, the leaf's hash is that of the event. Prints `holds` or `does not: ` and why, line by line.
"""
import base64
import hashlib
import json
import sys


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# Ed25519 (RFC 8032, section 5.1), as it is defined and no faster.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    s, m = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = m - s, d - c, d + c, m + s
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def decode_point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        raise ValueError("no point")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        raise ValueError("no point")
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public, message, signature):
    try:
        key, r = decode_point(public), decode_point(signature[:32])
    except ValueError:
        return False
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(h, key))
    same = lambda i: (left[i] * right[2] - right[i] * left[2]) % P == 0
    return same(0) and same(1)


def root_of(leaf, index, size, path):
    """The root that a proof leads to (RFC 6962, section 2.1.1), read from its definition."""
    if size == 1:
        if path:
            raise ValueError("the path is too long")
        return leaf
    if not path:
        raise ValueError("the path is too short")
    k = 1 << (size - 1).bit_length() - 1
    if index < k:
        return sha256(b"\x01", root_of(leaf, index, k, path[:-1]), path[-1])
    return sha256(b"\x01", path[-1], root_of(leaf, index - k, size - k, path[:-1]))


def check(line):
    name, _, key = line["log_key"].split("+", 2)
    key = base64.b64decode(key, validate=True)
    if "event" in line:
        leaf = sha256(b"\0", sha256(b"limen/leaf/v1\0", bytes.fromhex(line["salt"]), line["event"].encode()))
    else:
        leaf = bytes.fromhex(line["leaf_hash"])
    head, note = line["proof"].split("\n\n", 1)
    lines = head.split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise ValueError("it is no proof")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    word, index = lines.pop(0).split(" ")
    if word != "index" or str(int(index)) != index:
        raise ValueError("it has no index")
    path = [base64.b64decode(step, validate=True) for step in lines]
    if any(len(step) != 32 for step in path):
        raise ValueError("a step is no hash")
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    key_id = sha256(name.encode(), b"\n", key)[:4]
    ours = []
    for signature in signatures.rstrip("\n").split("\n"):
        dash, signer, data = signature.split(" ")
        data = base64.b64decode(data, validate=True)
        if dash == "\u2014" and signer == name and data[:4] == key_id:
            ours.append(data[4:])
    if not ours or not all(signed(key[1:], text.encode(), one) for one in ours):
        raise ValueError("the log has not signed the checkpoint")
    origin, size, root = text.split("\n")[:3]
    if origin != name or str(int(size)) != size:
        raise ValueError("it is another log's checkpoint")
    if not 0 <= int(index) < int(size):
        raise ValueError("the log is shorter")
    if root_of(leaf, int(index), int(size), path) != base64.b64decode(root, validate=True):
        raise ValueError("the leaf is not there")


for text in sys.stdin:
    try:
        check(json.loads(text))
        print("holds")
    except (ValueError, IndexError, KeyError) as error:
        print(f"does not: {error}")
