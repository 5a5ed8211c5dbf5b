# bench/quota.py -- a share of a core for one process, so that what is offered can be a multiple of
# what it can take.
import contextlib
import os
import time

# Short, so that a pause of the process is not what is measured.
PERIOD_US = 10_000
ROOTS = ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup")


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(text))


def _limit(group, cores):
    quota = int(cores * PERIOD_US)
    if os.path.exists(f"{group}/cpu.max"):
        _write(f"{group}/cpu.max", f"{quota} {PERIOD_US}")
    else:
        _write(f"{group}/cpu.cfs_period_us", PERIOD_US)
        _write(f"{group}/cpu.cfs_quota_us", quota)


@contextlib.contextmanager
def share(pid, cores):
    """`pid` and what it starts gets `cores` of a core; None: everything."""
    if cores is None:
        yield
        return
    root = next((path for path in ROOTS if os.path.exists(f"{path}/cgroup.procs")), None)
    if root is None:
        raise SystemExit("no control groups: run without --share, or where /sys/fs/cgroup is mounted")
    group = f"{root}/backstay-bench-{pid}"
    try:
        if os.path.exists(f"{root}/cgroup.subtree_control"):
            _write(f"{root}/cgroup.subtree_control", "+cpu")
        os.mkdir(group)
    except OSError as error:
        raise SystemExit(f"{group}: {error.strerror}: run as root, or without --share") from error
    try:
        _limit(group, cores)
        _write(f"{group}/cgroup.procs", pid)
        yield
    finally:
        _remove(root, group)


def _remove(root, group):
    """Whoever is left goes back to where it was."""
    with open(f"{group}/cgroup.procs", encoding="ascii") as file:
        left = file.read().split()
    for pid in left:
        with contextlib.suppress(OSError):
            _write(f"{root}/cgroup.procs", pid)
    for _ in range(100):
        with contextlib.suppress(OSError):
            return os.rmdir(group)
        time.sleep(0.01)
