# tests/system/harness.py -- a real backstayd for each test: ports, configuration, life and death.
#
# BACKSTAY_BIN names the directory of the binaries (default: build/release/bin of this tree).
# BACKSTAY_KEEP=1 leaves the temporary directory of a test behind. Everything listens on 127.0.0.1;
# every process is ended by the pid that was started; every wait has a limit.
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BIN = os.environ.get("BACKSTAY_BIN", os.path.join(TOP, "build/release/bin"))
HOSTNAME = "mx2.backstay.test"
QUEUE_ID = r"[0-9B-DF-HJ-NP-TV-Z]{16}"
QUEUED = re.compile(rb"^250 2\.0\.0 Ok: queued as (" + QUEUE_ID.encode() + rb")\r?$", re.M)
# What no log may ever hold: I8 of the checklist.
ALARMS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|ASSERT|"
                    r"UNREACHABLE|terminate called")
START_SECONDS = 20
STOP_SECONDS = 20


def binary(name):
    path = os.path.join(BIN, name)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} is not built (BACKSTAY_BIN names another directory)")
    return path


def is_sanitized(path):
    """Whether a sanitizer is linked in: its memory and speed say nothing about the product."""
    with open(path, "rb") as file:
        return b"__asan_init" in (content := file.read()) or b"__tsan_init" in content


def plain_binary(name):
    """One without sanitizers, whose memory and descriptors can be judged; None if none is built."""
    for path in (os.path.join(BIN, name), os.path.join(TOP, "build/release/bin", name)):
        if os.path.exists(path) and not is_sanitized(path):
            return path
    return None


_next_port = 10000 + os.getpid() * 37 % 20000


def free_port():
    """A port below the range of outgoing connections, so that nobody takes it meanwhile."""
    global _next_port
    for _ in range(2000):
        _next_port = 10000 + (_next_port + 1) % 20000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _next_port))
                return _next_port
            except OSError:
                continue
    raise OSError("no free port")


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.005)


def to_toml(settings):
    def value(item):
        if isinstance(item, bool):
            return str(item).lower()
        return json.dumps(item)

    lines = [f"{key} = {value(item)}" for key, item in settings.items()
             if not isinstance(item, dict) and key != "domain"]
    for name, section in settings.items():
        if isinstance(section, dict):
            lines += ["", f"[{name}]"] + [f"{key} = {value(item)}" for key, item in section.items()]
    for domain in settings["domain"]:
        lines += ["", "[[domain]]"] + [f"{key} = {value(item)}" for key, item in domain.items()
                                       if not isinstance(item, dict)]
        for name, section in domain.items():
            if isinstance(section, dict):
                lines += [f"[domain.{name}]"]
                lines += [f"{key} = {value(item)}" for key, item in section.items()]
    return "\n".join(lines) + "\n"


def process_rss(pid, field="VmRSS"):
    """In bytes; VmHWM is the highest there ever was."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.M)[1]) * 1024


def is_stopped(pid):
    """Every thread of it, by a signal, which takes effect a little later."""
    states = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as file:
            states.append(file.read().rpartition(")")[2].split()[0])
    return set(states) == {"T"}


def process_cpu(pid):
    """Seconds, user and system, all threads: the kernel's io-wq workers are threads of it."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Daemon:
    """One spool and one listening port; started, stopped and killed as often as a test likes."""

    def __init__(self, directory, primary_port, settings=None, bin_path=None):
        self.directory = directory
        self.port = free_port()
        self.binary = bin_path or binary("backstayd")
        self.config_path = os.path.join(directory, "backstay.toml")
        self.log_path = os.path.join(directory, "backstayd.log")
        self.spool = os.path.join(directory, "spool")
        self.settings = {
            "hostname": HOSTNAME,
            "smtp": {"listen": [f"127.0.0.1:{self.port}"], "max_connections_per_client": 10000},
            "spool": {"directory": self.spool, "segment_size": "16MiB", "reserve": "64MiB"},
            "admin": {"socket": os.path.join(directory, "admin.sock"), "listen": ""},
            "dsn": {"route": "off"},
            "domain": [{"name": "example.com", "primary": [f"127.0.0.1:{primary_port}"]}],
        }
        for name, section in (settings or {}).items():
            if isinstance(section, dict):
                self.settings.setdefault(name, {}).update(section)
            else:
                self.settings[name] = section
        self.process = None
        self.limits = []  # a command that runs another one, such as ["prlimit", "--nofile=64"]
        self.died = None  # exit status of a process that nobody asked to end
        self.write_config()

    def write_config(self, text=None):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(to_toml(self.settings) if text is None else text)

    def command(self, *arguments):
        return [*self.limits, self.binary, "--config", self.config_path, *arguments]

    def run(self, *arguments, command=None):
        """A run that ends by itself."""
        return subprocess.run(command or self.command(*arguments), capture_output=True, text=True,
                              timeout=START_SECONDS, stdin=subprocess.DEVNULL, check=False)

    def start(self, wait=True):
        assert self.process is None
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        if wait:
            self.wait_banner()
        return self

    def wait_banner(self):
        def answers():
            if self.process.poll() is not None:
                raise AssertionError(f"backstayd ended with {self.process.returncode}:\n"
                                     f"{self.log()[-4000:]}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    return connection.recv(4) == b"220 "
            except OSError:
                return False
        wait_until(answers, START_SECONDS, "the banner")

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=STOP_SECONDS):
        """The exit status of a process that was told to end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"backstayd did not end within {seconds} s:\n"
                                 f"{self.log()[-4000:]}") from None
        finally:
            self.process = None

    def stop(self):
        self.terminate()
        return self.wait()

    def kill(self):
        if self.process.poll() is not None:
            self.died = self.process.returncode
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        if self.process:
            self.kill()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def rss(self, field="VmRSS"):
        return process_rss(self.process.pid, field)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class SystemTest(unittest.TestCase):
    """Gives a directory, daemons and sinks, ends them all, and reads the logs for alarms."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="backstay-")
        os.chmod(self.directory, 0o755)  # Postfix as a peer drops its privileges
        self.daemons = []
        self.addCleanup(self.remove_directory)

    def remove_directory(self):
        if os.environ.get("BACKSTAY_KEEP"):
            print(f"kept: {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def daemon(self, primary_port, settings=None, bin_path=None):
        directory = os.path.join(self.directory, f"daemon-{len(self.daemons)}")
        os.mkdir(directory)
        daemon = Daemon(directory, primary_port, settings, bin_path)
        self.daemons.append(daemon)
        self.addCleanup(self.finish_daemon, daemon)
        return daemon

    def finish_daemon(self, daemon):
        daemon.close()
        log = daemon.log() if os.path.exists(daemon.log_path) else ""
        if daemon.died is not None:
            self.fail(f"backstayd ended by itself with {daemon.died}:\n{log[-4000:]}")
        alarm = ALARMS.search(log)
        if alarm:
            self.fail(f"the log says {alarm[0]}:\n{log[max(0, alarm.start() - 500):][:6000]}")

    def managed(self, thing):
        """Closes it at the end."""
        self.addCleanup(thing.close)
        return thing

    def assert_relayed(self, delivered, original, queue_id=None):
        """One Received field of ours, then the bytes that came in."""
        if not delivered.endswith(original):
            at = next((i for i, (x, y) in enumerate(zip(reversed(delivered), reversed(original)))
                       if x != y), min(len(delivered), len(original)))
            self.fail(f"altered: the last {at} bytes agree; sent {len(original)}, got "
                      f"{len(delivered)}: ...{delivered[-at - 60:][:120]!r}")
        field = delivered[:len(delivered) - len(original)]
        self.assertRegex(field, rb"\AReceived: from [^\r\n]*(\r\n[ \t][^\r\n]*)*\r\n\Z")
        self.assertIn(b"by " + HOSTNAME.encode(), field)
        if queue_id:
            self.assertRegex(field, rb"\bid " + queue_id.encode() + rb"\b")
