# bench/common.py -- what the measurements share: servers, generators, rounds.
#
# A measurement runs its sides in turn, in alternating order, on one machine in one run; medians
# count, and the spread stands beside them. results.py has what it leaves, judged.py whether it may
# be judged, recipe.py what it takes to repeat it.
import contextlib
import json
import math
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import counters
import judged
import recipe
from counters import (DIRECTORY, TOP, buried_cpu, device_of, fio, flushes,  # noqa: F401
                      idle_cpu, lacks, no_flushes, system_calls, window)
from judged import percentile, watched  # noqa: F401
from recipe import DURABILITY, POSTFIX_TUNING  # noqa: F401
from results import (GOALS, Result, parser, print_machine, print_rows,  # noqa: F401
                     verdict)

sys.path.insert(0, os.path.join(TOP, "tests/system"))
import harness  # noqa: E402
import peers    # noqa: E402

POLL_SECONDS = 0.05  # the machine that is asked is the machine that is measured


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
    shard, on that core. `domains`: other ones than example.com, with their primaries."""

    def __init__(self, directory, primary_port=None, settings=None, core=None, domains=None,
                 start=True):
        merged = {"smtp": {"max_connections_per_client": 100000},
                  "spool": {"segment_size": "256MiB", "reserve": "1GiB"}}
        for section, values in (settings or {}).items():
            merged[section] = merged.get(section, {}) | values
        if core is not None:
            merged["smtp"]["shards"] = 1
        self.daemon = harness.Daemon(directory, primary_port or harness.free_port(),
                                     merged | ({"domain": domains} if domains else {}))
        recipe.settings("backstay", merged)
        if core is not None:
            self.daemon.limits = ["taskset", "-c", str(core)]
        if start:
            self.daemon.start()
        self.port = self.daemon.port

    def pids(self):
        return [self.daemon.process.pid]

    def close(self):
        """That it has ended before, or ends badly, is held against the run."""
        daemon, status = self.daemon, 0
        if daemon.process and daemon.process.poll() is None:
            status = daemon.stop()
        elif daemon.process:
            daemon.kill()  # which says whether it had died
        if status or daemon.died is not None:
            judged.died("backstayd", status or daemon.died, daemon.log())
            daemon.died = None


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
            found = load(self.port, "--connections", 0, "--idle", connections, "--duration", "5s",
                         is_measured=False)
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
        recipe.command(self.sink.process.args)

    def pids(self):
        return [self.sink.process.pid]

    def close(self):
        if self.sink.process.poll() is not None:
            judged.died("smtp-sink", self.sink.process.returncode)
        self.sink.close()


class BackstaySink(Server):
    """A scripted primary; close() returns what it has seen."""

    def __init__(self, *arguments, port=None, directory=None):
        self.port = port or harness.free_port()
        self.directory = directory or tempfile.mkdtemp(prefix="backstay-sink-")
        self.own = directory is None
        self.ledger = os.path.join(self.directory, "sink.ledger")
        self.json = os.path.join(self.directory, "sink.json")
        command = [harness.binary("backstay-sink"), "--listen", f"127.0.0.1:{self.port}",
                   "--ledger", self.ledger, "--json", self.json, *arguments]
        recipe.command(command)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
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
        elif self.process.returncode:
            judged.died("backstay-sink", self.process.returncode)
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
    recipe.command([*pinned, "backstay-load", f"127.0.0.1:{port}", *flags])
    return [*pinned, harness.binary("backstay-load"), f"127.0.0.1:{port}", "--quiet",
            *map(str, flags)]


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


def load(port, *flags, seconds=300, core=None, is_measured=True):
    """backstay-load with these flags, to its end."""
    with counters.window():
        result = finish_load(start_load(port, *flags, core=core), seconds)
    if is_measured:
        judged.hear(result)
    return result


def smtp_source(port, connections, messages, size):
    """Seconds of the run, and CPU seconds of the generator."""
    flags = ["-d", "-s", str(connections), "-m", str(messages), "-l", str(size)]
    recipe.command(["smtp-source", *flags, f"127.0.0.1:{port}"])
    with counters.window():
        cpu, begin = children_cpu(), time.monotonic()
        peers.smtp_source(port, *flags, seconds=900)
        return time.monotonic() - begin, children_cpu() - cpu


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def fill(directory, messages, shards, size, domains=1):
    """A spool in which so many messages of that size are queued."""
    command = [harness.binary("backstay-fill"), "--spool", os.path.join(directory, "spool"),
               "--messages", str(messages), "--bytes", str(size), "--domains", str(domains),
               "--shards", str(shards)]
    recipe.command(command)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measured_load(server, seconds, *flags, warm_up=0, core=None, refusals=False):
    """backstay-load for so many whole seconds behind a warm-up. Everything beside its own result is
    of these seconds alone: what was acknowledged, and the CPU of both sides and of everybody else.
    What it began before and finishes within is counted, what it finishes behind them is not.
    `refusals`: they are what is measured, and speak against nothing."""
    seconds = math.ceil(seconds)
    begin = time.monotonic()
    process = start_load(server.port, "--warm-up", f"{warm_up}s", "--duration", f"{seconds}s",
                         *flags, core=core)

    def reading(moment):
        time.sleep(max(0, begin + moment - time.monotonic()))
        return server.cpu(), harness.process_cpu(process.pid), counters.others_reading()

    try:
        first = reading(warm_up)
        last = reading(warm_up + seconds)
    finally:
        result = finish_load(process)
    judged.hear(result, refusals)
    counters.close_window(first[2], last[2])
    within = [sum(column) for column in zip(*result["series"][:seconds])] or [0, 0, 0, 0]
    return result | {"window_s": seconds, "acknowledged": within[0], "refused": within[1],
                     "offered": within[3], "rate": within[0] / seconds,
                     "server_cpu": last[0] - first[0], "generator_cpu": last[1] - first[1],
                     "all_errors": judged.added(result["errors"], result["session_errors"])}


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
            "opened": result["sessions"], "errors": result["all_errors"],
            "p50_us": result["commit_us"]["p50"], "p99_us": percentile(result["commit_us"])}


# ---- rounds ----

def alternate(sides, rounds, measure):
    """Runs of measure(side) of each, in turn: forwards, backwards, forwards. By side."""
    results = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else list(reversed(sides)):
            results[side].append(watched(measure, side))
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
