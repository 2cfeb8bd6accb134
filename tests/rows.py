"""Makes a matrix of 512 features a row (features.npy), the list of who is in each row (rows.csv) and a lookup's probe of the last of them
(probe.json). As with faces, leading features have most of the spread. Usage: rows.py ROWS FOLDER"""
import array, random, sys

rows, place = int(sys.argv[1]), sys.argv[2]
chance = random.Random(1)
pool = [array.array("f", (chance.gauss(0, (1 + i % 512) ** -0.8) for i in range(512 * 64))) for _ in range(64)]
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 512), }" % rows
header += " " * (117 - len(header)) + "\n"
with open(place + "/features.npy", "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    for _ in range(rows):
        one, other = chance.choice(pool), chance.choice(pool)
        a, b = 512 * chance.randrange(64), 512 * chance.randrange(64)
        weight = chance.random()
        row = array.array("f", one[a:a + 512])
        at = 8 * chance.randrange(64)
        row[at:at + 8] = array.array("f", (weight * x + 0.01 * chance.random() for x in other[b + at:b + at + 8]))
        row[chance.randrange(512)] += 0.05 * chance.gauss(0, 1)
        row.tofile(file)
    last = row
with open(place + "/rows.csv", "w") as file:
    file.write("subject,encounter,watchlist,category\n")
    file.writelines(f"p{i},e1,first,wanted\n" for i in range(rows))
with open(place + "/probe.json", "w") as file:
    file.write('"features": [%s]' % ", ".join(repr(x) for x in last))
