"""The measurements of images.sh: FOLDER SERVER_PROCESS GUARD MAKER MODEL LIST."""
import base64, glob, http.client, json, multiprocessing, os, queue, random, ssl, struct, subprocess, sys, threading, time

place, process, guard, maker, model, watchlist = sys.argv[1:]
port = int(open(place + "/address").readline().rsplit(":", 1)[1])
tls = ssl.create_default_context(cafile=place + "/tls/ca.pem")
ground = {"watchlists": [watchlist], "purpose": "border_control", "legal_basis": "eu_2018_1861", "case_reference": "c"}


def connect():
    return http.client.HTTPSConnection("127.0.0.1", port, context=tls)


def send(connection, path, token, request, photograph=None):
    """Status, answer and milliseconds."""
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    body = json.dumps(request).encode()
    if photograph is not None:
        headers["Content-Type"] = "multipart/form-data; boundary=limen"
        part = b'--limen\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        body = part % (b"request", body) + part % (b"photo", photograph) + b"--limen--\r\n"
    began = time.monotonic()
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    return response.status, answer, (time.monotonic() - began) * 1000


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def told(values):
    return f"p50 {percentile(values, 0.5):.1f} ms, p99 {percentile(values, 0.99):.1f} ms, {len(values)} asked"


def resident_mib():
    lines = open(f"/proc/{process}/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def by_image(photograph):
    return "/v1/lookups", guard, {**ground, "probe": {"image": {"part": "photo"}}}, photograph


def by_vector(chance):
    features = struct.pack("<128f", *(chance.gauss(0, 1) for _ in range(128)))
    return "/v1/lookups", guard, {**ground, "probe": {"model": model, "features": base64.b64encode(features).decode()}}


def others(file, kept=[]):
    """Asks with a file, on a connection that is kept: status, reason and milliseconds."""
    try:
        if not kept:
            kept.append(connect())
        status, answer, ms = send(kept[0], *by_image(file))
        return status, answer.get("reason"), ms
    except (http.client.HTTPException, OSError) as error:
        kept.clear()
        return 0, str(error), 0


for side in (250, 640):
    portraits = [open(path, "rb").read() for path in sorted(glob.glob(f"{place}/{side}-*.jpg"))]
    count = 600 if side == 250 else 300
    work = queue.SimpleQueue()
    [work.put(portraits[i % len(portraits)]) for i in range(count)]

    def extract():
        connection = connect()
        while True:
            try:
                photograph = work.get_nowait()
            except queue.Empty:
                return
            status, answer, _ = send(connection, "/v1/extractions", maker, {"image": {"part": "photo"}}, photograph)
            assert status == 200, answer

    began = time.monotonic()
    threads = [threading.Thread(target=extract) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    rate = count / (time.monotonic() - began)
    print(f"{side} px portraits: {rate:.1f} templates a second over HTTPS, {len(os.sched_getaffinity(0))} cores", flush=True)
    connection = connect()
    asked = [send(connection, *by_image(portraits[i % len(portraits)])) for i in range(300)]
    assert all(status == 200 for status, _, _ in asked), [answer for status, answer, _ in asked if status != 200][0]
    print(f"{side} px portraits: lookups one after the other, {asked[0][1]['certificate']['compared']} references: {told([ms for _, _, ms in asked])}", flush=True)

files = [open(path, "rb").read() for path in sorted(glob.glob(place + "/hostile/*"))]
if files:
    def beside(work):
        """Lookups of one client by vectors, while two others ask with these files, and what these are told."""
        stop, chance, milliseconds, answers, most = threading.Event(), random.Random(2), [], [], 0

        def vectors():
            connection = connect()
            while not stop.is_set():
                status, answer, ms = send(connection, *by_vector(chance))
                assert status == 200, answer
                milliseconds.append(ms)
                time.sleep(0.01)

        before = resident_mib()
        thread = threading.Thread(target=vectors)
        thread.start()
        if work:
            # Others' machines: processes of their own, which take as little as may be of the server's time.
            with multiprocessing.Pool(2, initializer=lambda: os.nice(19)) as two:
                pending = two.map_async(others, work, chunksize=1)
                while not pending.ready():
                    most = max(most, resident_mib())
                    time.sleep(0.02)
                answers = pending.get()
        else:
            time.sleep(20)
        stop.set()
        thread.join()
        return milliseconds, answers, most - before

    quiet, _, _ = beside([])
    # The floor: whoever takes all of the processor that nobody else wants.
    loops = [subprocess.Popen(["nice", "-n", "19", "sh", "-c", "while :; do :; done"]) for _ in os.sched_getaffinity(0)]
    floor, _, _ = beside([])
    [loop.kill() for loop in loops]
    ordinary, _, _ = beside([portraits[i % len(portraits)] for i in range(len(files) // 2)])
    busy, answers, growth = beside(files)
    limits = [ms for status, reason, ms in answers if reason == "limits"]
    refused = [ms for status, reason, ms in answers if status == 422 and reason != "limits"]
    others = sorted({status for status, _, _ in answers} - {422})
    unread = [ms for status, reason, ms in answers if reason == "unreadable"]
    late = sum(ms > 100 for ms in unread)
    print(f"{len(files)} hostile files: {len(refused)} refused, of these {len(unread)} unread ({told(unread)}, {late} after more than 100 ms), {len(limits)} ended by the worker's limits"
          f"{' (most ' + format(max(limits), '.0f') + ' ms)' if limits else ''}, other statuses {others}")
    print(f"  the server's memory grew by at most {growth:.0f} MiB (wanted: at most 256)")
    print(f"  lookups of another by vectors: alone {told(quiet)}; beside busy loops {told(floor)}; beside ordinary portraits {told(ordinary)}; beside these files {told(busy)}")
    ratios = [percentile(busy, 0.99) / percentile(other, 0.99) for other in (quiet, floor, ordinary)]
    print(f"  p99 {ratios[0]:.2f} times that alone (wanted: at most 2), {ratios[1]:.2f} times that beside busy loops of the lowest priority, {ratios[2]:.2f} times that beside ordinary portraits")
