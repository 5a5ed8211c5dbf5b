#!/usr/bin/env python3
# bench/tls.py -- full handshakes a second of server CPU, beside the library's own primitives (P16).
#
# tls.py [--connections 64] [--seconds 5] [--rounds 3] [--json FILE]
#
# backstay-load greets, says STARTTLS, shakes hands, says EHLO and QUIT, again and again; no ticket
# is ever offered. The client's half costs as much as the server's, so what counts is the server's
# CPU for each, less that of the same sessions in clear (accept, greeting, EHLO, QUIT): against
# backstay-tls-primitives, one signature, one key pair and one agreement of the same BoringSSL. Mail
# over TLS stands beside mail in clear.
import json
import subprocess

import common
import recipe
from common import harness
import tls_peers  # noqa: E402


def primitives(seconds):
    command = [harness.binary("backstay-tls-primitives"), "--seconds", str(seconds)]
    recipe.command(command)
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(side, arguments):
    if side == "primitives":
        with common.window():
            return primitives(1)
    with common.scratch(arguments.directory) as directory:
        certificate = tls_peers.Certificate(directory, "bench")
        server = common.Backstay(directory, settings={"tls": certificate.settings()})
        try:
            if side.startswith("sessions"):
                flags = ("--connections", arguments.connections, "--greet-only",
                         *(["--tls"] if side == "sessions over TLS" else []))
                common.load(server.port, *flags, "--duration", "1s")
                before = server.cpu()
                found = common.load(server.port, *flags, "--duration", f"{arguments.seconds}s")
                cpu = server.cpu() - before
                sessions = max(1, found["sessions"])
                return {"sessions": found["sessions"], "session_rate": found["session_rate"],
                        "cpu_us": cpu / sessions * 1e6,
                        "generator_us": sum(found["cpu_s"].values()) / sessions * 1e6,
                        "errors": found["session_errors"]}
            return common.flood(server, arguments.connections, arguments.seconds,
                                *(["--tls"] if side == "mail over TLS" else []))
        finally:
            server.close()


def main():
    parser = common.parser("TLS handshakes and mail over TLS", seconds=5)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    sides = ["primitives", "sessions in clear", "sessions over TLS", "mail in clear",
             "mail over TLS"]
    result = common.Result("tls", arguments)
    runs = common.alternate(sides, arguments.rounds, lambda side: measure(side, arguments))
    result.data["runs"] = runs
    plain, whole = (common.median(runs[side], "cpu_us") for side in sides[1:3])
    ours, theirs = whole - plain, common.median(runs["primitives"], "handshake_us")
    spreads = {"session over TLS, us": common.spread(runs["sessions over TLS"], "cpu_us"),
               "in clear, us": common.spread(runs["sessions in clear"], "cpu_us"),
               "primitives, us": common.spread(runs["primitives"], "handshake_us")}
    result.row("P16", "full handshakes a core second, the session around them taken off, against "
               "1/(sign + keygen + agree)", common.ratio(theirs, ours), ours=1e6 / ours,
               theirs=1e6 / theirs, unit="/s", baseline="primitives", spreads=spreads,
               runs=sum((runs[side] for side in sides[:3]), []))
    result.row("", "the same with the session: accept to close", common.ratio(theirs, whole),
               ours=1e6 / whole, theirs=1e6 / theirs, unit="/s", baseline="primitives",
               runs=runs[sides[2]] + runs[sides[0]])
    clear, secure = (common.median(runs[side], "rate") for side in sides[3:])
    result.row("", "messages/s over TLS against in clear", common.ratio(secure, clear),
               ours=secure, theirs=clear, unit="/s", baseline="in clear",
               runs=runs[sides[3]] + runs[sides[4]],
               spreads={side: common.spread(runs[side], "rate") for side in sides[3:]})
    result.plot(kind="bars", title="Server's CPU for a full handshake", unit="us",
                values={"backstay, handshake": ours, "sign + keygen + agree": theirs})
    result.finish()


if __name__ == "__main__":
    main()
