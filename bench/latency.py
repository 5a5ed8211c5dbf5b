#!/usr/bin/env python3
# bench/latency.py -- how long a sender waits for its 250, open loop, at a share of saturation (P8).
#
# latency.py [--share 0.8] [--connections 256] [--seconds 8] [--rounds 3] [--sides backstay,postfix]
#
# Each side's own saturation is measured first (closed loop), then messages become due at that share
# of it, at random moments, and latency counts from the moment they were due: whoever stalls is not
# asked less. fio's fdatasync on the same disk is the floor. Without root Postfix is left out,
# without fio there is no floor and nothing is judged.
import common


def measure(side, arguments):
    with common.scratch(arguments.directory) as directory:
        if side == "fio":
            return common.fio(directory, arguments.seconds) or {}
        server = common.Backstay(directory) if side == "backstay" else \
            common.Postfix(directory, processes=arguments.connections + 50)
        try:
            peak = common.flood(server, arguments.connections, 3)["rate"]
            rate = max(1, peak * arguments.share)
            found = common.measured_load(server, arguments.seconds, "--connections",
                                         arguments.connections, "--rate", rate, "--poisson",
                                         warm_up=1)
            latency, lost = found["latency_us"], found["messages"]["lost"]
            return {"peak": peak, "offered": rate, "rate": found["rate"],
                    "unsent": found["unsent"], "errors": found["all_errors"],
                    "latency_us": latency, "commit_us": found["commit_us"],
                    "samples": latency["count"], "latency_p50": latency["p50"],
                    "latency_p99": common.percentile(latency, beyond=lost)}
        finally:
            server.close()


def main():
    parser = common.parser("latency at a share of saturation, beside fio", seconds=8)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--sides", default="backstay,postfix,fio")
    arguments = parser.parse_args()
    sides = common.as_root(arguments.sides.split(","), ("backstay", "fio"))
    result = common.Result("latency", arguments)
    runs = common.alternate(sides, arguments.rounds, lambda side: measure(side, arguments))
    result.data["runs"] = runs
    floor = common.median(runs.get("fio", []), "sync_p99_us")
    for side in [s for s in sides if s != "fio"]:
        ours = common.median(runs[side], "latency_p99")
        result.row("P8" if side == "backstay" else "", f"{side}: p99 from due to 250, at "
                   f"{arguments.share:.0%} of {common.median(runs[side], 'peak'):,.0f}/s",
                   common.ratio(ours, floor), ours=ours, theirs=floor, unit="us",
                   baseline="fio fdatasync p99",
                   unjudged=common.lacks("fio"), runs=runs[side] + runs.get("fio", []),
                   samples="samples",
                   spreads={side: common.spread(runs[side], "latency_p99"),
                            "fio": common.spread(runs.get("fio", []), "sync_p99_us")})
    middle = {side: sorted(runs[side], key=lambda r: r["latency_p99"] or 0)[len(runs[side]) // 2]
              for side in sides if side != "fio"}
    result.plot(kind="percentiles", title=f"From due to 250, at {arguments.share:.0%} of its own "
                "saturation", unit="us",
                series={f"{side}, {run['offered']:,.0f}/s": run["latency_us"]["parts"]
                        for side, run in middle.items()},
                marks={"fio fdatasync p99": floor})
    result.finish()


if __name__ == "__main__":
    main()
