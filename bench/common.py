# bench/common.py -- what the measurements share: servers, generators, rounds, goals, results.
#
# A measurement runs its sides in turn, in alternating order, on one machine in one run; medians
# count, and the spread stands beside them. Its result is one JSON file: machine, rows (one for each
# goal: ours, theirs, ratio, spread), runs (everything that was seen), and what report.py plots.
import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
import harness  # noqa: E402
import peers    # noqa: E402

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
# What is to be reached (DESIGN "numbers to reach"), then the stretch; "least": smaller is better.
GOALS = {
    "P1": (60, 100, "most"), "P2": (100, 150, "most"), "P3": (1.5, 2.5, "most"),
    "P4": (0.3, 0.2, "least"), "P5": (0.85, 0.95, "most"), "P6": (10, 4, "least"),
    "P7": (1.25, 1.1, "least"), "P8": (3, 2, "least"), "P9 goodput": (0.95, 0.99, "most"),
    "P9 refusal": (50, None, "least"), "P9 memory": (0, None, "least"),
    "P10": (0.25, 0.1, "least"), "P11": (320, 192, "least"), "P12": (4, 1, "least"),
    "P13 banner": (0.2, None, "least"), "P13 queue": (0.1, 0.02, "least"),
    "P14 smtp-sink": (0.95, None, "most"), "P14 backstay-sink": (2, 3, "most"),
    "P14 first": (1, None, "least"), "P15": (0.1, None, "least"), "P16": (0.75, 0.9, "most"),
    "P17 64 KiB": (1.03, 1.01, "least"), "P17 4 KiB": (1.15, 1.08, "least"),
    "drain beside": (1.5, None, "least"), "generator": (3, None, "most"),
}


# ---- servers ----

class Server:
    """Something on a port whose CPU can be read; `pids` are its processes."""
    port = 0

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
    def __init__(self, directory, primary_port=None, settings=None, processes=300):
        self.port = harness.free_port()
        self.postfix = peers.Postfix(os.path.join(directory, "postfix"), self.port,
                                     primary_port or harness.free_port(),
                                     POSTFIX_TUNING | (settings or {}), processes=processes)

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


def buried_cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def queued(daemon):
    """Recipients that wait in a backstayd."""
    done = subprocess.run([harness.binary("backstay"), "--endpoint",
                           daemon.settings["admin"]["socket"], "primary", "list", "--json"],
                          capture_output=True, text=True, timeout=60, check=True)
    return sum(json.loads(line)["queued"] for line in done.stdout.splitlines())


@contextlib.contextmanager
def scratch(directory=None):
    path = tempfile.mkdtemp(prefix="backstay-bench-", dir=directory)
    os.chmod(path, 0o755)  # Postfix drops its privileges
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


# ---- generators ----

def load_command(port, *flags, core=None):
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    return [*pinned, harness.binary("backstay-load"), f"127.0.0.1:{port}", "--quiet", *map(str, flags)]


def load(port, *flags, seconds=300, core=None):
    """backstay-load with these flags: its result. Nothing acknowledged is a result too."""
    done = subprocess.run(load_command(port, "--json", "-", *flags, core=core),
                          capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"backstay-load ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


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


def measured_load(server, *flags, core=None):
    """load() with the CPU of both sides, and of everybody else on the machine, beside it."""
    cpu, busy, begin = server.cpu(), busy_seconds(), time.monotonic()
    result = load(server.port, *flags, core=core)
    seconds = time.monotonic() - begin
    result["server_cpu"] = server.cpu() - cpu
    result["generator_cpu"] = sum(result["cpu_s"].values())
    ours = result["server_cpu"] + result["generator_cpu"]
    result["others_cores"] = max(0.0, (busy_seconds() - busy - ours) / seconds)
    _others.append(result["others_cores"])
    return result


def busy_seconds():
    """Of all cores, since the machine's start; what the hypervisor took away included."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def flood(server, connections, seconds, *flags, warm_up=1, size=4096, core=None):
    """A closed loop against it: rate, and CPU a message on both sides, in microseconds."""
    load(server.port, "--connections", connections, "--duration", f"{warm_up}s", "--size", size,
         *flags, core=core)
    result = measured_load(server, "--connections", connections, "--duration", f"{seconds}s",
                           "--size", size, *flags, core=core)
    messages = max(1, result["messages"]["acknowledged"])
    return {"rate": result["rate"], "messages": messages, "seconds": result["seconds"],
            "cpu_us": result["server_cpu"] / messages * 1e6,
            "generator_us": result["generator_cpu"] / messages * 1e6,
            "others_cores": result["others_cores"],
            "errors": result["errors"] | result["session_errors"],
            "p50_us": result["commit_us"]["p50"], "p99_us": result["commit_us"]["p99"]}


# ---- counters of the machine ----

def system_calls(pids, seconds):
    """Of these processes, all threads, while somebody else loads them; None without perf."""
    if not shutil.which("perf"):
        return None
    done = subprocess.run(["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p",
                           ",".join(map(str, pids)), "--", "sleep", str(seconds)],
                          capture_output=True, text=True, timeout=seconds + 30, check=False)
    for line in done.stderr.splitlines():
        if "raw_syscalls:sys_enter" in line and line.split(",")[0].isdigit():
            return int(line.split(",")[0])
    return None


def fio(directory, seconds, block=4096, overwrite=True):
    """Write and fdatasync: bytes/s, medians and 99th percentiles of both in microseconds. A file
    that is not overwritten was allocated and never written, as a segment of a growing spool is."""
    if not shutil.which("fio"):
        return None
    state = ["--size=256m", "--overwrite=1", "--time_based", f"--runtime={seconds}"] if overwrite \
        else ["--size=1g", "--fallocate=posix", "--unlink=1", f"--runtime={seconds}"]
    out = subprocess.run(
        ["fio", "--name=commit", f"--directory={directory}", "--rw=write", f"--bs={block}",
         "--fdatasync=1", "--ioengine=psync", "--percentile_list=50:99:99.9",
         "--output-format=json", *state], capture_output=True, text=True, check=True).stdout
    job = json.loads(out[out.index("{"):])["jobs"][0]
    sync, write = job["sync"]["lat_ns"]["percentile"], job["write"]["clat_ns"]["percentile"]
    return {"bytes_per_second": job["write"]["bw_bytes"],
            "median_us": (sync["50.000000"] + write["50.000000"]) / 1000,
            "sync_p50_us": sync["50.000000"] / 1000, "sync_p99_us": sync["99.000000"] / 1000,
            "sync_p999_us": sync["99.900000"] / 1000, "syncs": job["sync"]["total_ios"]}


def device_of(directory):
    """The folder of the disk in /sys/dev/block, of a partition's parent."""
    number = os.stat(directory).st_dev
    path = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    return path if os.path.exists(os.path.join(path, "queue")) else os.path.dirname(path)


def flushes(device):
    with open(os.path.join(device, "stat"), encoding="ascii") as file:
        return int(file.read().split()[15])


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if "model name" in line), "?")
    commit = subprocess.run(["git", "-C", TOP, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "commit": commit, "load_before": round(os.getloadavg()[0], 2),
            "time": time.strftime("%F %T")}


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


class Result:
    """Rows and runs of one measurement; printed as a table and kept as one JSON file."""

    def __init__(self, name, arguments):
        self.path = arguments.json or os.path.join(
            TOP, "build/bench", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json")
        self.keeps = arguments.keep
        self.data = {"bench": name, "machine": machine(), "postfix": POSTFIX_TUNING,
                     "arguments": {k: v for k, v in vars(arguments).items() if k != "json"},
                     "rows": [], "runs": {}, "plots": []}

    def row(self, goal, what, value, *, ours=None, theirs=None, unit="", baseline="", spreads=None):
        """`value` is what the goal speaks of: a ratio or a measure."""
        reach, then, better = GOALS.get(goal, (None, None, "most"))
        met = None
        if value is not None and reach is not None:
            met = value >= reach if better == "most" else value <= reach
        self.data["rows"].append({"goal": goal, "what": what, "value": value, "reach": reach,
                                  "then": then, "better": better, "met": met, "ours": ours,
                                  "theirs": theirs, "unit": unit, "baseline": baseline,
                                  "spreads": spreads})

    def plot(self, **plot):
        """kind: bars, percentiles, lines; see report.py."""
        self.data["plots"].append(plot)

    def keep(self):
        """A line for each row: what was measured at this commit, on this machine."""
        with open(os.path.join(TOP, "bench/history.jsonl"), "a", encoding="utf-8") as file:
            for row in self.data["rows"]:
                kept = ("goal", "what", "value", "reach", "met", "ours", "theirs", "unit", "baseline")
                file.write(json.dumps({"bench": self.data["bench"], "machine": self.data["machine"]} |
                                      {key: row[key] for key in kept}) + "\n")

    def finish(self):
        if _others:
            low, high = round(min(_others), 2), round(max(_others), 2)
            self.data["machine"]["cores others had meanwhile"] = f"{low} to {high}"
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(self.data, file, indent=1)
        if self.keeps:
            self.keep()
        print("machine:", ", ".join(f"{k} {v}" for k, v in self.data["machine"].items()))
        print_rows(self.data["rows"])
        print(f"result: {os.path.relpath(self.path)}")


def print_rows(rows):
    print("| goal | what | value | reach | backstay | baseline | |\n|---|---|---:|---:|---:|---:|---|")
    for row in rows:
        theirs = f"{number(row['theirs'])} {row['baseline']}".strip()
        what = row["what"] + (f" ({row['script']})" if "script" in row else "")
        print(f"| {row['goal']} | {what} | {number(row['value'])} | "
              f"{number(row['reach'])} | {number(row['ours'])} {row['unit']} | {theirs} | "
              f"{ {True: 'met', False: 'not met', None: ''}[row['met']]} |")


def number(value):
    if value is None:
        return ""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def parser(description, seconds=4, rounds=3):
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--seconds", type=float, default=seconds, help="of each measured run, about")
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--directory", help="where spools and queues are put (default: /tmp)")
    made.add_argument("--json", metavar="FILE", help="default: build/bench/NAME-TIME.json")
    made.add_argument("--keep", action="store_true", help="add the rows to bench/history.jsonl")
    return made
