"""Signs random requests with the official Python SDK and prints them as JSON lines.

usage: sdk.py SEED COUNT

The SDK takes the path encoded and the list of headers as a list, adds every x-bce-* header to the
signature whether listed or not (so a list here always names them), and never leaves out a
parameter called `authorization` (so none is made here).
"""

import json
import random
import sys

from baidubce import utils
from baidubce.auth import bce_credentials, bce_v1_signer

LETTERS = "abzAZ09-._~ /+%&=?#:;,@!$'()*\"<>[]{}|\\^`\t測试üß€🦀é́"


def text(rng, low, high, letters=LETTERS):
    return "".join(rng.choice(letters) for _ in range(rng.randint(low, high)))


def host(rng):
    name = rng.choice(["bcc.bj.baidubce.com", "127.0.0.1", "[::1]", "localhost", "BCC.GZ.baidubce.com"])
    return name + rng.choice(["", ":80", ":8443", ":%d" % rng.randint(1, 65535)])


def query(rng):
    pairs = {}
    for _ in range(rng.randint(0, 6)):
        key = rng.choice(["attach", "detach", "clientToken", "vpcId", "marker", text(rng, 1, 8)])
        if key.lower() != "authorization":
            pairs[key] = rng.choice([None, "", text(rng, 1, 20)])
    items = list(pairs.items())
    rng.shuffle(items)
    return items


def headers(rng, date):
    out = {"Host": host(rng), "x-bce-date": date}
    if rng.random() < 0.5:
        out["Content-Type"] = "application/json; charset=utf-8"
    if rng.random() < 0.5:
        out["Content-Length"] = str(rng.randint(0, 1 << 20))
    if rng.random() < 0.3:
        out["Content-MD5"] = rng.choice(["", " NFzcPqhviddjRNnSOGo4rw== "])
    if rng.random() < 0.4:
        out["x-bce-security-token"] = text(rng, 1, 80, "ABCxyz019+/=|_-")
    if rng.random() < 0.3:
        out["X-Bce-Request-Id"] = rng.choice(["", "  4db2b34d-654d-4d8a-b49b-3049ca786409 "])
    if rng.random() < 0.5:
        out["Accept"] = "*/*"
    items = list(out.items())
    rng.shuffle(items)
    return items


def signed(rng, items):
    """None for the default set, else a sorted list that names every x-bce-* header."""
    if rng.random() < 0.5:
        return None
    names = {k.lower() for k, _ in items}
    return sorted({"host"} | {n for n in names if n.startswith("x-bce-") or rng.random() < 0.3})


def case(rng):
    ak = text(rng, 16, 32, "abcdef0123456789")
    sk = text(rng, 16, 40, "abcdefABCDEF0123456789")
    unix = rng.randint(1, 4102444800)
    date = utils.get_canonical_time(unix).decode()
    path = "/" + text(rng, 0, 30)
    pairs, items = query(rng), headers(rng, date)
    listed = signed(rng, items)
    method = rng.choice(["GET", "PUT", "POST", "DELETE"])
    expiration = rng.choice([1, 60, 1800, 3600])
    params = {k.encode(): None if v is None else v.encode() for k, v in pairs}
    authorization = bce_v1_signer.sign(
        bce_credentials.BceCredentials(ak, sk),
        method.encode(),
        utils.normalize_string(path, encoding_slash=False),
        {k.encode(): v.encode() for k, v in items},
        params,
        unix,
        expiration,
        None if listed is None else [n.encode() for n in listed],
    )
    return {
        "access_key_id": ak,
        "secret_access_key": sk,
        "timestamp_unix": unix,
        "expiration_seconds": expiration,
        "method": method,
        "path_raw": path,
        "path_wire": utils.normalize_string(path, encoding_slash=False).decode(),
        "query": pairs,
        "query_wire": utils.get_canonical_querystring(params, False).decode(),
        "headers": items,
        "headers_to_sign": listed,
        "authorization": authorization.decode(),
    }


def main():
    rng = random.Random(int(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        print(json.dumps(case(rng)))


main()
