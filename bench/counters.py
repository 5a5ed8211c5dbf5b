# bench/counters.py -- what is read of the machine: CPU, system calls, flushes, fio, what it is.
import glob
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time

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


def machine(directory=None):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if "model name" in line), "?")
    commit = subprocess.run(["git", "-C", TOP, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True, check=False).stdout.strip()
    directory = directory or DIRECTORY
    kind, options, device = file_system(directory)
    found = {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
             "commit": commit, "load_before": round(os.getloadavg()[0], 2),
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
    """Seconds of all its threads that live, by the scheduler's clock: for what is less than a tick
    (10 ms) now and then."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def busy_seconds():
    """Of all cores, since the machine's start; what the hypervisor took away included."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def buried_cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
