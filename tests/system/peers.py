# tests/system/peers.py -- other people's programs: swaks, smtp-source, smtp-sink, Postfix, aiosmtpd.
#
# tools/peers unpacks Debian's postfix package below build/peers (nothing is installed); this module
# runs it there when build/peers does not exist yet.
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

import harness

PEERS = os.path.join(harness.TOP, "build/peers")
ROOT = os.path.join(PEERS, "root")
# Users of Debian's base system: Postfix wants an owner for its queue and a group for its commands.
MAIL_OWNER, SETGID_GROUP = "daemon", "mail"


def program(name, package="postfix"):
    path = os.path.join(PEERS, "bin", name)
    if not os.path.exists(path):
        subprocess.run([os.path.join(harness.TOP, "tools/peers"), package], check=True,
                       timeout=600, stdout=subprocess.DEVNULL)
    return path


def run_postfix(*command, **options):
    return subprocess.run([program("run-postfix"), *command], check=True, timeout=60, **options)


def finish(process, seconds=10):
    """Ends a helper and its children by the session that was made for it."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_port(port, process, seconds=20):
    def listens():
        if process.poll() is not None:
            raise AssertionError(f"{process.args[0]} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False
    harness.wait_until(listens, seconds, f"a listener on port {port}")


def swaks(port, *arguments, recipient="a@example.com", sender="s@load.test"):
    """The transcript of one message, and the queue id it was given."""
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", "--to", recipient, "--from",
                           sender, "--helo", "swaks.test", *arguments], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    queued = re.search(rf"<[-~]\s+250 2\.0\.0 Ok: queued as ({harness.QUEUE_ID})$", done.stdout,
                       re.M)
    if done.returncode != 0 or not queued:
        raise AssertionError(f"swaks ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout, queued[1]


def smtp_source(port, *arguments, recipient="a@example.com", sender="s@load.test", seconds=120):
    return subprocess.run([program("smtp-source"), "-M", "source.test", "-f", sender, "-t",
                           recipient, *arguments, f"127.0.0.1:{port}"], capture_output=True,
                          text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=True)


class SmtpSink:
    """Postfix's smtp-sink; with `dump` every message becomes a file there. By itself it takes 256
    clients at once (-m), and with a shorter backlog some of as many that come together have to try
    again after seconds."""

    BACKLOG = "1024"

    def __init__(self, port, *arguments, dump=None):
        self.dump = dump
        if dump:
            os.makedirs(dump, exist_ok=True)
            arguments = ("-d", "message.", *arguments)
        self.process = subprocess.Popen(
            [program("smtp-sink"), "-m", "4096", *arguments, f"127.0.0.1:{port}", self.BACKLOG],
            cwd=dump, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True)
        wait_port(port, self.process)

    def contents(self):
        """Of each message: its bytes. The dump has the line ends of Unix, begins with X- lines and
        a Received field of smtp-sink, and ends in one line end of its own."""
        contents = []
        for name in sorted(os.listdir(self.dump)):
            with open(os.path.join(self.dump, name), "rb") as file:
                data = file.read()
            head = re.match(rb"(X-.*\n)+Received: from .*\n\tby smtp-sink .*\n(\t.*\n)*", data)
            if head and data.endswith(b"\n\n"):  # not while it is being written
                contents.append(data[head.end():-1].replace(b"\n", b"\r\n"))
        return contents

    def close(self):
        finish(self.process)
        self.process.stderr.close()


class AiosmtpdSink:
    """aiosmtpd's own protocol engine in a thread of ours."""

    def __init__(self, port, tls_context=None):
        from aiosmtpd.controller import Controller
        self.envelopes = []
        self.secure = []  # of each envelope: whether it came by TLS
        self.controller = Controller(self, hostname="127.0.0.1", port=port, ready_timeout=10,
                                     tls_context=tls_context)
        self.controller.start()

    async def handle_DATA(self, _server, session, envelope):
        self.envelopes.append(envelope)
        self.secure.append(session.ssl is not None)
        return "250 taken"

    def contents(self):
        return [envelope.original_content for envelope in self.envelopes]

    def close(self):
        self.controller.stop()


class Postfix:
    """The unpacked Postfix with a configuration and a queue of its own; takes mail for example.com
    and hands it to `next_port`. Its master insists on root: available() says whether it can run.
    With `logs` it keeps a log of its own; otherwise the system's, if there is one."""

    SERVICES = """
127.0.0.1:%(port)d inet n - n - %(processes)d smtpd
pickup    unix  n  -  n  60  1  pickup
cleanup   unix  n  -  n  -   0  cleanup
qmgr      unix  n  -  n  300 1  qmgr
rewrite   unix  -  -  n  -   -  trivial-rewrite
bounce    unix  -  -  n  -   0  bounce
defer     unix  -  -  n  -   0  bounce
trace     unix  -  -  n  -   0  bounce
proxymap  unix  -  -  n  -   -  proxymap
smtp      unix  -  -  n  -   -  smtp
relay     unix  -  -  n  -   -  smtp
error     unix  -  -  n  -   -  error
retry     unix  -  -  n  -   -  error
anvil     unix  -  -  n  -   1  anvil
tlsmgr    unix  -  -  n  -   1  tlsmgr
scache    unix  -  -  n  -   1  scache
postlog   unix-dgram n -  n  -   1  postlogd
"""

    def __init__(self, directory, port, next_port, settings=None, processes=100,
                 logs=False):
        self.directory = directory
        self.port = port
        self.queue = os.path.join(directory, "queue")
        self.config = os.path.join(directory, "etc")
        self.log_path = os.path.join(directory, "log")
        self.settings = self.base_settings(next_port) | (settings or {})
        if logs:
            self.settings |= {"maillog_file": self.log_path, "maillog_file_prefixes": directory}
        self.make_directories()
        with open(os.path.join(self.config, "main.cf"), "w", encoding="ascii") as file:
            file.writelines(f"{key} = {value}\n" for key, value in self.settings.items())
        with open(os.path.join(self.config, "master.cf"), "w", encoding="ascii") as file:
            file.write(self.SERVICES.lstrip() % {"port": port, "processes": processes})
        shutil.copy(f"{ROOT}/usr/share/postfix/dynamicmaps.cf", self.config)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [program("run-postfix"), f"{ROOT}/usr/lib/postfix/sbin/master", "-d", "-c",
             self.config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        wait_port(self.port, self.process)

    @staticmethod
    def available():
        return os.getuid() == 0

    def base_settings(self, next_port):
        libraries = subprocess.run([program("run-postfix"), "printenv", "LD_LIBRARY_PATH"],
                                   capture_output=True, text=True, timeout=10, check=True)
        return {
            "compatibility_level": "3.6",
            "queue_directory": self.queue,
            "data_directory": os.path.join(self.directory, "data"),
            "daemon_directory": f"{ROOT}/usr/lib/postfix/sbin",
            "command_directory": f"{ROOT}/usr/sbin",
            "shlib_directory": f"{ROOT}/usr/lib/postfix",
            "meta_directory": self.config,
            "import_environment": f"MAIL_CONFIG LD_LIBRARY_PATH={libraries.stdout.strip()}",
            "mail_owner": MAIL_OWNER,
            "setgid_group": SETGID_GROUP,
            "myhostname": "postfix.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "relay_domains": "example.com",
            "relayhost": f"[127.0.0.1]:{next_port}",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "alias_maps": "", "alias_database": "", "local_recipient_maps": "",
            "local_header_rewrite_clients": "",  # do not complete or rewrite what we relay
            "smtp_dns_support_level": "disabled", "smtp_host_lookup": "native",
            "smtp_tls_security_level": "none", "smtpd_tls_security_level": "none",
        }

    def make_directories(self):
        owner = pwd.getpwnam(MAIL_OWNER).pw_uid
        for name in ("etc", "data", "queue"):
            os.makedirs(os.path.join(self.directory, name))
        os.chown(os.path.join(self.directory, "data"), owner, -1)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                     "incoming", "private", "saved", "trace", "public", "maildrop", "pid"):
            path = os.path.join(self.queue, name)
            os.mkdir(path)
            if name != "pid":
                os.chown(path, owner, -1)
                os.chmod(path, 0o755 if name == "public" else 0o700)

    def processes(self):
        """All of its pids that live: master and the children in its process group."""
        pids = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getpgid(int(name)) == self.process.pid:
                    with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                        if file.read().rpartition(")")[2].split()[0] != "Z":
                            pids.append(int(name))
            except (ProcessLookupError, FileNotFoundError):
                pass
        return pids

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def queue_count(self):
        return sum(len(names) for folder in ("incoming", "active", "deferred")
                   for _, _, names in os.walk(os.path.join(self.queue, folder)))

    def close(self):
        finish(self.process)
        end = time.monotonic() + 10
        while self.processes() and time.monotonic() < end:
            time.sleep(0.02)
        self.kill()

    def kill(self):
        """SIGKILL to every process of it."""
        end = time.monotonic() + 10
        while (pids := self.processes()) and time.monotonic() < end:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.005)
        self.process.wait(10)
