# bench/common.py -- what the measurements share: servers, generators, rounds, goals, results.
#
# A measurement runs its sides in turn, in alternating order, on one machine in one run; medians
# count, and the spread stands beside them. Its result is one JSON file: machine, rows (one for each
# goal: ours, theirs, ratio, spread), runs (everything that was seen), and what report.py plots.
# A goal is judged only where what it speaks of was measured; otherwise its row says why not.
import argparse
import collections
import contextlib
import json
import math
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from counters import (DIRECTORY, TOP, buried_cpu, busy_seconds, device_of, fio,  # noqa: F401
                      flushes, idle_cpu, lacks, machine, system_calls, versions)

sys.path.insert(0, os.path.join(TOP, "tests/system"))
import harness  # noqa: E402
import peers    # noqa: E402

POLL_SECONDS = 0.05  # the machine that is asked is the machine that is measured

# What a careful operator of a busy Postfix would set; stands in every result.
POSTFIX_TUNING = {
    "smtpd_client_connection_count_limit": "0",   # all connections come from one address here
    "smtpd_peername_lookup": "no",                # no DNS for 127.0.0.1
    "in_flow_delay": "0s",                        # do not slow intake down for the queue manager
    "max_use": "10000",                           # processes live longer than 100 connections
    "qmgr_message_active_limit": "20000",
    "queue_run_delay": "1h", "minimal_backoff_time": "1h",  # no retries within the run
    "maximal_backoff_time": "4h",
    "default_destination_concurrency_failed_cohort_limit": "1",
}
# What a 250 of each contestant stands for.
DURABILITY = {
    "backstay": "log synced before 250, primary down",
    "postfix": "queue file synced before 250, primary down",
    "exim": "-D and -H files synced before 250, queue_only",
    "opensmtpd": "message and envelope files, primary down",
    "haraka": "queue file, outbound delivery off",
    "smtp-sink": "keeps nothing: the ceiling of the generator",
    "backstay-sink": "keeps nothing, counts and checks",
    "fio": "write and fdatasync, one after the other",
}
ERRORS_MAX = 0.01  # of all messages: with more of them a round has measured something else
# What is to be reached (DESIGN "numbers to reach"), then the stretch; "least": smaller is better.
GOALS = {
    "P1": (60, 100, "most"), "P1 Exim": (25, None, "most"), "P2": (100, 150, "most"),
    "P3": (1.5, 2.5, "most"), "P3 smtp-source": (0.95, None, "most"),
    "P4": (0.3, 0.2, "least"), "P5": (0.85, 0.95, "most"), "P6": (10, 4, "least"),
    "P7": (1.25, 1.1, "least"), "P8": (3, 2, "least"), "P9 goodput": (0.95, 0.99, "most"),
    "P9 refusal": (50, None, "least"), "P9 memory": (0, None, "least"),
    "P10": (0.25, 0.1, "least"), "P11": (320, 192, "least"), "P12": (4, 1, "least"),
    "P13 banner": (0.2, None, "least"), "P13 queue": (0.1, 0.02, "least"),
    "P14 smtp-sink": (0.95, None, "most"), "P14 backstay-sink": (2, 3, "most"),
    "P14 first": (1, None, "least"), "P15": (0.1, None, "least"), "P16": (0.75, 0.9, "most"),
    "P17 64 KiB": (1.03, 1.01, "least"), "P17 4 KiB": (1.15, 1.08, "least"),
    "drain beside": (1.5, None, "least"), "crowd": (0.9, None, "most"), "orders": (100, None, "least"),
    "generator": (3, None, "most"),
}


# ---- servers ----

class Server:
    """Something on a port whose CPU can be read; `pids` are its processes."""
    port = 0
    warm_up = 3  # seconds until all connections of a flood have come

    def prepare(self, connections):
        """Whatever has to be there before so many connections can be served."""

    def pids(self):
        raise NotImplementedError

    def cpu(self):
        """Seconds of all its processes and of those they have buried."""
        total = 0.0
        for pid in self.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += harness.process_cpu(pid)
        return total

    def rss(self):
        return sum(harness.process_rss(pid) for pid in self.pids())

    def close(self):
        raise NotImplementedError


class Backstay(Server):
    """Its primary does not answer, unless a port of one that does is given. With a core it has one
    shard, on that core."""

    def __init__(self, directory, primary_port=None, settings=None, core=None):
        merged = {"smtp": {"max_connections_per_client": 100000},
                  "spool": {"segment_size": "256MiB", "reserve": "1GiB"}}
        for section, values in (settings or {}).items():
            merged[section] = merged.get(section, {}) | values
        if core is not None:
            merged["smtp"]["shards"] = 1
        self.daemon = harness.Daemon(directory, primary_port or harness.free_port(), merged)
        _used["settings"].setdefault("backstay", merged)
        if core is not None:
            self.daemon.limits = ["taskset", "-c", str(core)]
        self.daemon.start()
        self.port = self.daemon.port

    def pids(self):
        return [self.daemon.process.pid]

    def close(self):
        if self.daemon.process:
            self.daemon.stop()


class Postfix(Server):
    def __init__(self, directory, primary_port=None, settings=None, processes=300, port=None):
        self.port = port or harness.free_port()
        self.postfix = peers.Postfix(os.path.join(directory, "postfix"), self.port,
                                     primary_port or harness.free_port(),
                                     POSTFIX_TUNING | (settings or {}), processes=processes)

    def prepare(self, connections):
        """Each connection wants a process of its own, and while others work few of them start. They
        live for 100 s behind the client that they were started for."""
        for _ in range(6):
            found = load(self.port, "--connections", 0, "--idle", connections, "--duration", "5s")
            if found["sessions"] >= connections:
                return

    def pids(self):
        return self.postfix.processes()

    def cpu(self):
        return super().cpu() + buried_cpu(self.postfix.process.pid)

    def close(self):
        self.postfix.close()


class SmtpSink(Server):
    """Stores nothing: what the generator itself can do."""

    def __init__(self, _directory=None, *arguments, port=None):
        self.port = port or harness.free_port()
        self.sink = peers.SmtpSink(self.port, *arguments)

    def pids(self):
        return [self.sink.process.pid]

    def close(self):
        self.sink.close()


class BackstaySink(Server):
    """A scripted primary; close() returns what it has seen."""

    def __init__(self, *arguments, port=None, directory=None):
        self.port = port or harness.free_port()
        self.directory = directory or tempfile.mkdtemp(prefix="backstay-sink-")
        self.own = directory is None
        self.ledger = os.path.join(self.directory, "sink.ledger")
        self.json = os.path.join(self.directory, "sink.json")
        self.process = subprocess.Popen(
            [harness.binary("backstay-sink"), "--listen", f"127.0.0.1:{self.port}", "--ledger",
             self.ledger, "--json", self.json, *arguments], stdin=subprocess.DEVNULL)
        peers.wait_port(self.port, self.process)

    def pids(self):
        return [self.process.pid]

    def result(self):
        """What it has seen so far."""
        if self.process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.json)
            self.process.send_signal(signal.SIGUSR1)
            harness.wait_until(lambda: os.path.exists(self.json), 20, "the sink's result")
        with open(self.json, encoding="utf-8") as file:
            return json.load(file)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        result = self.result()
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)
        return result


class Admin:
    """One connection to a backstayd's operator's socket: asking costs no process."""

    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(daemon.settings["admin"]["socket"])
        self.lines = self.socket.makefile("rb")

    def close(self):
        self.lines.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, verb, **members):
        """The rows of the answer."""
        self.socket.sendall(json.dumps({"verb": verb, **members}).encode() + b"\n")
        rows = []
        while "result" not in (row := json.loads(self.lines.readline())):
            rows.append(row)
        assert row["result"] == "ok", row
        return rows

    def queued(self):
        """Recipients that wait."""
        return sum(row["queued"] for row in self.ask("primaries"))

    def wait_queued(self, enough, seconds):
        """Until `enough(queued)`, looking every POLL_SECONDS."""
        end = time.monotonic() + seconds
        while not enough(waiting := self.queued()):
            assert time.monotonic() < end, f"{waiting} queued after {seconds} s"
            time.sleep(POLL_SECONDS)


def queued(daemon):
    with Admin(daemon) as admin:
        return admin.queued()


@contextlib.contextmanager
def scratch(directory=None):
    path = tempfile.mkdtemp(prefix="backstay-bench-", dir=directory or DIRECTORY)
    os.chmod(path, 0o755)  # Postfix drops its privileges
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def as_root(sides, rootless):
    """The sides that can run: without root only the `rootless` ones, and that is said."""
    if os.getuid() == 0:
        return sides
    out = [side for side in sides if side not in rootless]
    if out:
        print(f"not root, so without {', '.join(out)}", file=sys.stderr)
    return [side for side in sides if side in rootless]


# ---- generators ----

def load_command(port, *flags, core=None):
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    shown = " ".join([*pinned, "backstay-load", "SERVER", *map(str, flags)])
    _used["commands"].setdefault(re.sub(r"(--rate) [\d.]+", r"\1 R", shown), True)
    return [*pinned, harness.binary("backstay-load"), f"127.0.0.1:{port}", "--quiet", *map(str, flags)]


def start_load(port, *flags, core=None):
    return subprocess.Popen(load_command(port, "--json", "-", *flags, core=core), text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def finish_load(process, seconds=300):
    """Its result. Nothing acknowledged is a result too."""
    try:
        result, complaint = process.communicate(timeout=seconds)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode not in (0, 1):
        raise RuntimeError(f"backstay-load ended with {process.returncode}: {complaint}")
    return json.loads(result)


def load(port, *flags, seconds=300, core=None):
    """backstay-load with these flags, to its end."""
    return finish_load(start_load(port, *flags, core=core), seconds)


def smtp_source(port, connections, messages, size):
    """Seconds of the run, and CPU seconds of the generator."""
    cpu, begin = children_cpu(), time.monotonic()
    peers.smtp_source(port, "-d", "-s", str(connections), "-m", str(messages), "-l", str(size),
                      seconds=900)
    return time.monotonic() - begin, children_cpu() - cpu


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


_others = []  # cores that neither server nor generator had, of each measured run
_used = {"commands": {}, "settings": {}}  # of this measurement: a result can be repeated from them
_complaints = collections.Counter()       # what went wrong in its runs


def measured_load(server, seconds, *flags, warm_up=0, core=None):
    """backstay-load for so many whole seconds behind a warm-up. Everything beside its own result is
    of these seconds alone: what was acknowledged, and the CPU of both sides and of everybody else.
    What it began before and finishes within is counted, what it finishes behind them is not."""
    seconds = math.ceil(seconds)
    begin = time.monotonic()
    process = start_load(server.port, "--warm-up", f"{warm_up}s", "--duration", f"{seconds}s",
                         *flags, core=core)

    def reading(moment):
        time.sleep(max(0, begin + moment - time.monotonic()))
        return (time.monotonic(), server.cpu(), harness.process_cpu(process.pid), busy_seconds())

    try:
        first = reading(warm_up)
        last = reading(warm_up + seconds)
    finally:
        result = finish_load(process)
    elapsed, ours, generator, busy = (after - before for before, after in zip(first, last))
    window = [sum(column) for column in zip(*result["series"][:seconds])] or [0, 0, 0, 0]
    result |= {"window_s": seconds, "acknowledged": window[0], "refused": window[1],
               "offered": window[3],
               "rate": window[0] / seconds, "server_cpu": ours, "generator_cpu": generator,
               "others_cores": max(0.0, (busy - ours - generator) / elapsed)}
    _others.append(result["others_cores"])
    for what, count in (result["errors"] | result["session_errors"]).items():
        _complaints[what] += count
    if result["unsent"]:
        _complaints["due and never sent"] += result["unsent"]
    return result


def incomplete(runs):
    """Why rounds that were paced say nothing of a percentile; None: they do."""
    unsent = max((run["unsent"] for run in runs), default=0)
    return f"{unsent:,} messages were due and never sent" if unsent else None


def faulty(runs):
    """Why rounds of a flood say nothing of a rate; None: they do."""
    failed = max((sum(run["errors"].values()) / run["messages"] for run in runs), default=0)
    return f"{failed:.1%} of the messages failed" if failed > ERRORS_MAX else None


def flood(server, connections, seconds, *flags, size=4096, core=None):
    """A closed loop against it, over connections that came during the warm-up: rate, and CPU a
    message on both sides, in microseconds. `opened`: connections that came later all the same."""
    server.prepare(connections)
    result = measured_load(server, seconds, "--connections", connections, "--size", size, *flags,
                           warm_up=server.warm_up, core=core)
    if result["sessions"] and "--per-connection" not in flags:
        print(f"warning: {result['sessions']} connections came behind the warm-up",
              file=sys.stderr)
    messages = max(1, result["acknowledged"])
    return {"rate": result["rate"], "messages": messages, "seconds": result["window_s"],
            "cpu_us": result["server_cpu"] / messages * 1e6,
            "generator_us": result["generator_cpu"] / messages * 1e6,
            "others_cores": result["others_cores"], "opened": result["sessions"],
            "errors": result["errors"] | result["session_errors"],
            "p50_us": result["commit_us"]["p50"], "p99_us": result["commit_us"]["p99"]}


# ---- rounds and results ----

def alternate(sides, rounds, measure):
    """measure(side) of each, in turn: forwards, backwards, forwards. Results by side."""
    results = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else list(reversed(sides)):
            results[side].append(measure(side))
            brief = {k: round(v, 2) for k, v in results[side][-1].items()
                     if isinstance(v, (int, float)) and not isinstance(v, bool)}
            print(f"round {number + 1}, {side}: {brief}", file=sys.stderr, flush=True)
    return results


def median(results, key):
    values = [result[key] for result in results if result.get(key) is not None]
    return statistics.median(values) if values else None


def spread(results, key):
    values = [result[key] for result in results if result.get(key) is not None]
    return [min(values), max(values)] if values else None


def ratio(ours, theirs):
    return ours / theirs if ours is not None and theirs else None


def default_path(name):
    return os.path.join(TOP, "build/bench", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json")


def write(path, data):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)


class Result:
    """Rows and runs of one measurement; printed as a table and kept as one JSON file."""

    def __init__(self, name, arguments):
        self.path = arguments.json or default_path(name)
        self.keeps = arguments.keep
        self.data = {"bench": name, "machine": machine(arguments.directory),
                     "postfix": POSTFIX_TUNING, "versions": versions(),
                     "command": " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]]),
                     "durability": DURABILITY,
                     "arguments": {k: v for k, v in vars(arguments).items() if k != "json"},
                     "rows": [], "runs": {}, "plots": []}

    def row(self, goal, what, value, *, ours=None, theirs=None, unit="", baseline="", spreads=None,
            unjudged=None):
        """`value` is what the goal speaks of: a ratio or a measure. `unjudged`: why it is none."""
        reach, then, better = GOALS.get(goal, (None, None, "most"))
        unjudged = self.data["machine"].get("no_disk") or unjudged
        if value is None:
            unjudged = unjudged or "no value"
        met = None
        if reach is None:
            unjudged = None
        elif not unjudged:
            met = value >= reach if better == "most" else value <= reach
        self.data["rows"].append({"goal": goal, "what": what, "value": value, "reach": reach,
                                  "then": then, "better": better, "met": met, "ours": ours,
                                  "theirs": theirs, "unit": unit, "baseline": baseline,
                                  "spreads": spreads, "unjudged": unjudged})

    def plot(self, **plot):
        """kind: bars, percentiles, lines; see report.py."""
        self.data["plots"].append(plot)

    def keep(self):
        """A line for each row: what was measured at this commit, on this machine."""
        with open(os.path.join(TOP, "bench/history.jsonl"), "a", encoding="utf-8") as file:
            for row in self.data["rows"]:
                kept = ("goal", "what", "value", "reach", "met", "unjudged", "ours", "theirs",
                        "unit", "baseline", "spreads")
                file.write(json.dumps({"bench": self.data["bench"], "machine": self.data["machine"]} |
                                      {key: row[key] for key in kept}) + "\n")

    def finish(self):
        if _others:
            low, high = round(min(_others), 2), round(max(_others), 2)
            self.data["machine"]["cores others had meanwhile"] = f"{low} to {high}"
        self.data |= {"generator": list(_used["commands"]), "settings": _used["settings"],
                      "complaints": dict(_complaints)}
        write(self.path, self.data)
        if self.keeps:
            self.keep()
        print_machine(self.data["machine"])
        print_rows(self.data["rows"])
        if _complaints:
            print("in the runs:", ", ".join(f"{count:,} {what}"
                                            for what, count in sorted(_complaints.items())))
        print(f"result: {os.path.relpath(self.path)}")


def print_machine(found):
    print("machine:", ", ".join(f"{key} {value}" for key, value in found.items()))


def print_rows(rows):
    """A table; with lowest to highest of the rounds where there is more than one."""
    spreads = [spread_text(row) for row in rows]
    head = ["goal", "what", "value", "reach", "backstay", "baseline", "spread", ""]
    skipped = -1 if any(spreads) else head.index("spread")
    table = [head, ["---", "---", *["---:"] * 4, "---", "---"]]
    for row, between in zip(rows, spreads):
        what = row["what"] + (f" ({row['script']})" if "script" in row else "")
        table.append([row["goal"], what, number(row["value"]), number(row["reach"]),
                      f"{number(row['ours'])} {row['unit']}",
                      f"{number(row['theirs'])} {row['baseline']}".strip(), between,
                      verdict(row)])
    for cells in table:
        print(f"| {' | '.join(cell for at, cell in enumerate(cells) if at != skipped)} |")


def spread_text(row):
    between = {name: [number(value) for value in low_high]
               for name, low_high in (row["spreads"] or {}).items() if low_high}
    return "; ".join(f"{name} {low} to {high}" for name, (low, high) in between.items()
                     if low != high)


def verdict(row):
    if row["met"] is None:
        return f"not judged: {row['unjudged']}" if row["unjudged"] else ""
    return "met" if row["met"] else "not met"


def number(value):
    if value is None:
        return ""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def parser(description, seconds=4, rounds=3):
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--seconds", type=float, default=seconds, help="of each measured run, about")
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--directory", default=DIRECTORY,
                      help=f"where spools and queues are put (default: {DIRECTORY})")
    made.add_argument("--json", metavar="FILE", help="default: build/bench/NAME-TIME.json")
    made.add_argument("--keep", action="store_true", help="add the rows to bench/history.jsonl")
    return made
