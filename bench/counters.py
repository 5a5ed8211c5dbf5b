# bench/counters.py -- what is read of the machine: CPU, system calls, flushes, fio, what it is.
import contextlib
import glob
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

import recipe

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
# Of spools and queues. Not the system's choice: its directory for temporary files is often memory.
DIRECTORY = "/var/tmp"
NO_DISK = ("tmpfs", "ramfs", "overlay")  # who syncs there has proved nothing


def lacks(program):
    """Why a row without it has no value; None if it is there."""
    return None if shutil.which(program) else f"no {program}"


def system_calls(pids, seconds):
    """Of these processes, all threads, while somebody else loads them; None without perf."""
    if not shutil.which("perf"):
        return None
    command = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p"]
    rest = ["--", "sleep", str(seconds)]
    recipe.command([*command, "SERVER", *rest])
    done = subprocess.run([*command, ",".join(map(str, pids)), *rest], capture_output=True,
                          text=True, timeout=seconds + 30, check=False)
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
    command = ["fio", "--name=commit", f"--directory={directory}", "--rw=write", f"--bs={block}",
               "--fdatasync=1", "--ioengine=psync", "--percentile_list=50:99:99.9",
               "--output-format=json", *state]
    recipe.command(command)
    with window():
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    job = json.loads(out[out.index("{"):])["jobs"][0]
    sync, write = job["sync"]["lat_ns"]["percentile"], job["write"]["clat_ns"]["percentile"]
    return {"bytes_per_second": job["write"]["bw_bytes"],
            "median_us": (sync["50.000000"] + write["50.000000"]) / 1000,
            "sync_p50_us": sync["50.000000"] / 1000, "sync_p99_us": sync["99.000000"] / 1000,
            "sync_p999_us": sync["99.900000"] / 1000, "syncs": job["sync"]["total_ios"]}


def device_of(directory):
    """The folder of the disk in /sys/dev/block, of a partition's parent; None where a file system
    has none of its own (memory, overlay, several disks)."""
    number = os.stat(directory).st_dev
    path = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not os.path.exists(path):
        return None
    return path if os.path.exists(os.path.join(path, "queue")) else os.path.dirname(path)


def flushes(device):
    """So far, of everybody; None without a device."""
    if device is None:
        return None
    with open(os.path.join(device, "stat"), encoding="ascii") as file:
        return int(file.read().split()[15])


def no_flushes(directory):
    """Why the flushes of its disk cannot be counted; None: they can. What has no cache that can be
    lost (write through), or is put together of other devices, may count none. So it is tried."""
    device = device_of(directory)
    if device is None:
        return "no flush can be counted: the file system has no disk of its own"
    before, tries = flushes(device), 3
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(tries):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
    if flushes(device) - before >= tries:
        return None
    with open(os.path.join(device, "queue/write_cache"), encoding="ascii") as file:
        cache = file.read().strip()
    return f"no flush is counted on {os.path.basename(device)} (write cache: {cache})"


def file_system(directory):
    """What it is on: type, options of the mount and of the file system, device."""
    path, found = os.path.realpath(directory), ("", "?", "?", "?")
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            point = fields[4].encode().decode("unicode_escape")  # a blank is \040
            kind, device, options = fields[fields.index("-", 6) + 1:]
            # The last of the same place lies over the others.
            if os.path.commonpath([path, point]) == point and len(point) >= len(found[0]):
                found = (point, kind, f"{fields[5]};{options}", device)
    return found[1:]


def commit():
    """Of this tree; -dirty: there is something else in it. What --keep adds does not count."""
    def git(*arguments):
        return subprocess.run(["git", "--no-optional-locks", "-C", TOP, *arguments], check=False,
                              capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".",
                  ":(exclude)bench/history.jsonl")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def machine(directory=None):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if "model name" in line), "?")
    directory = directory or DIRECTORY
    kind, options, device = file_system(directory)
    found = {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
             "commit": commit(), "load_before": round(os.getloadavg()[0], 2),
             "time": time.strftime("%F %T"), "directory": directory, "file_system": kind,
             "mount": options, "device": device}
    if kind in NO_DISK:
        found["no_disk"] = f"{kind} is no disk: who syncs there has proved nothing"
        print(f"\n*** WARNING: {directory}: {found['no_disk']}; no goal is judged. Another "
              "--directory! ***\n", file=sys.stderr, flush=True)
    return found


# name: the command that says its version, and where in what it says
VERSIONS = {
    "backstayd": (("build/release/bin/backstayd", "--version"), r"\S+$"),
    "postfix": (("build/peers/bin/run-postfix", f"{TOP}/build/peers/root/usr/sbin/postconf", "-d",
                 "-h", "mail_version"), r"\S+"),
    "exim": (("zcat", f"{TOP}/build/peers/exim/usr/share/doc/exim4-daemon-light/"
              "changelog.Debian.gz"), r"\(([^)]+)"),  # by itself it asks for its users first
    "opensmtpd": (("build/peers/opensmtpd/usr/sbin/smtpd", "-h"), r"version: OpenSMTPD (\S+)"),
    "node": (("node", "--version"), r"\S+"), "fio": (("fio", "--version"), r"\S+"),
    "perf": (("perf", "--version"), r"version (\S+)"),
    "compiler": (("c++", "--version"), r"[^\n]+"),
}


def versions():
    """Of what is measured and what measures, as far as it is here."""
    found = {}
    for name, (command, pattern) in VERSIONS.items():
        said = said_by(command)
        if said and (match := re.search(pattern, said)):
            found[name] = match[match.re.groups]
    haraka = os.path.join(TOP, "build/peers/npm/node_modules/Haraka/package.json")
    if os.path.exists(haraka):
        with open(haraka, encoding="utf-8") as file:
            found["haraka"] = json.load(file)["version"]
    return found


def said_by(command):
    program = os.path.join(TOP, command[0]) if "/" in command[0] else command[0]
    root = re.match(r".*/build/peers/\w+(?=/usr)", program)
    libraries = ":".join(glob.glob(f"{root[0]}/usr/lib/*-linux-gnu")) if root else ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=10,
                              check=False, stdin=subprocess.DEVNULL,
                              env=os.environ | ({"LD_LIBRARY_PATH": libraries} if root else {}))
    except OSError:
        return None
    return done.stdout.strip() or done.stderr.strip()


def idle_cpu(pid):
    """Seconds of all its threads, the ended ones included, by the process's own clock: for what is
    less than a tick (10 ms) now and then."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9  # as clock_getcpuclockid(3) makes it


def buried_cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


# ---- others ----

KERNEL_THREAD = 0x00200000  # PF_KTHREAD
WINDOW_SECONDS_MIN = 0.5    # in less of them ticks of 10 ms say nothing
windows = []                # cores that others had, of each window of the run that is under way


def processes():
    """Of each, by its pid: parent, session, flags, ticks of CPU with those that it has buried."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
            found[int(name)] = (int(fields[1]), int(fields[3]), int(fields[6]),
                                sum(map(int, fields[11:15])))
    return found


def others_ticks(found, own):
    """Of what neither descends from `own`, nor is of a session that such a one has begun, nor is a
    thread of the kernel: those do what somebody has asked for."""
    ours = {own: True, 0: False}

    def is_ours(pid):
        if pid not in ours:
            ours[pid] = False  # whatever happens to the tree while it is read
            parent, session, *_ = found.get(pid, (0, 0))
            ours[pid] = is_ours(parent) or (session != found[own][1] and session != pid and
                                            is_ours(session))
        return ours[pid]

    return sum(ticks for pid, (_, _, flags, ticks) in found.items()
               if not flags & KERNEL_THREAD and not is_ours(pid))


def others_reading():
    """The moment; seconds of CPU so far of everybody else and of what the hypervisor took away."""
    with open("/proc/stat", encoding="ascii") as file:
        stolen = int(file.readline().split()[8])
    return (time.monotonic(),
            (others_ticks(processes(), os.getpid()) + stolen) / os.sysconf("SC_CLK_TCK"))


def others_cores(first, last):
    """Between two readings."""
    return max(0.0, last[1] - first[1]) / max(1e-3, last[0] - first[0])


@contextlib.contextmanager
def window():
    """What others have of the machine within it counts."""
    first = others_reading()
    yield
    close_window(first, others_reading())


def close_window(first, last):
    if last[0] - first[0] >= WINDOW_SECONDS_MIN:
        windows.append(others_cores(first, last))
