# tests/system/mail_servers.py -- Exim, OpenSMTPD and Haraka: take mail and hand it to the next port.
#
# tools/peers unpacks them. Exim and OpenSMTPD know users and paths that are compiled in, so each
# lives in a root directory of its own, with its libraries, users and queue: the machine gets none.
import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess
import time

import harness
import peers

# What a mail server has nothing to add to, and every line that dots and lengths can spoil.
CONTENT = b"\r\n".join([
    b"From: s@load.test", b"To: a@example.com", b"Date: Thu, 26 Nov 2026 12:00:00 +0000",
    b"Message-ID: <interop@load.test>", b"Subject: interop", b"MIME-Version: 1.0",
    b"Content-Type: text/plain; charset=iso-8859-1", b"Content-Transfer-Encoding: 8bit", b"",
    b".", b"..", b".leading dot", b"8-bit \xe4\xf6\xfc \xff", b"long " + b"x" * 900, b"",
    b"."]) + b"\r\n"
STUFFED = re.sub(rb"^\.", b"..", CONTENT, flags=re.M)
MULTIARCH = os.path.basename(glob.glob("/usr/lib/*-linux-gnu")[0])


def tree(package):
    """Where tools/peers has unpacked it; done now if it was not."""
    path = os.path.join(peers.PEERS, package)
    if not os.path.exists(path + ".done"):
        subprocess.run([os.path.join(harness.TOP, "tools/peers"), package], check=True,
                       timeout=600, stdout=subprocess.DEVNULL)
    return path


def environment(package):
    """For a program of the tree that runs outside of a root of its own."""
    return os.environ | {"LD_LIBRARY_PATH": f"{tree(package)}/usr/lib/{MULTIARCH}"}


class Rooted:
    """A program in a root directory of its own. chroot wants root: peers.Postfix.available()."""

    def __init__(self, directory, package, programs, users):
        self.root = directory
        self.package = package
        for name in ("dev", "etc", "tmp", "run", "var/log", "proc", "root", "usr/bin"):
            os.makedirs(os.path.join(self.root, name))
        os.symlink("/run", os.path.join(self.root, "var/run"))
        os.chmod(os.path.join(self.root, "tmp"), 0o1777)
        for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            path = os.path.join(self.root, "dev", name)
            os.mknod(path, 0o666 | 0o020000, os.makedev(1, minor))
            os.chmod(path, 0o666)
        for name in programs:
            self.copy(name)
        every = ["root:x:0:0::/root:/bin/sh", *users]
        self.write("etc/passwd", "".join(line + "\n" for line in every))
        self.write("etc/group", "".join(":".join(line.split(":")[i] for i in (0, 1, 3)) + ":\n"
                                        for line in every))
        self.write("etc/hosts", "127.0.0.1 localhost\n")
        self.write("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self.write("etc/mailname", f"{package}.test\n")

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def make_owned(self, name, uid, mode=0o750):
        os.makedirs(self.path(name), exist_ok=True)
        os.chown(self.path(name), uid, uid)
        os.chmod(self.path(name), mode)

    def copy(self, name):
        """A program of the tree, with its libraries where the loader looks without being told."""
        source = os.path.join(tree(self.package), name)
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        shutil.copy(source, self.path(name))
        needed = subprocess.run(["ldd", source], env=environment(self.package), check=True,
                                capture_output=True, text=True, timeout=20).stdout
        assert "not found" not in needed, needed
        for library in re.findall(r"=> (/\S+)", needed):
            target = self.path(f"lib/{MULTIARCH}/{os.path.basename(library)}")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(library, target)
        loader = re.search(r"^\s*(/\S*/ld-\S+)", needed, re.M)[1]
        os.makedirs(os.path.dirname(self.path(loader[1:])), exist_ok=True)
        shutil.copy(loader, self.path(loader[1:]))

    def run(self, port, *command):
        with open(self.path("output"), "wb") as output:
            self.process = subprocess.Popen(
                ["chroot", self.root, *command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, env={"PATH": "/usr/sbin:/usr/bin"})
        try:
            peers.wait_port(port, self.process)
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}\n{self.log()}") from None

    def log(self):
        text = ""
        for name in ["output", *glob.glob("var/log/**/*log", root_dir=self.root, recursive=True)]:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                text += f"== {name}\n{file.read()}"
        return text

    def processes(self):
        """All that have this root, whatever session they made for themselves."""
        pids = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/root") == os.path.realpath(self.root):
                    pids.append(int(name))
        return pids

    def kill(self):
        """SIGKILL to every process of it."""
        end = time.monotonic() + 10
        while (pids := self.processes()) and time.monotonic() < end:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        self.process.wait(10)

    def close(self):
        peers.finish(self.process)


class Exim(Rooted):
    """Takes mail for example.com and hands it to 127.0.0.1:next_port: by TLS if `next_tls`."""

    UID = 65101
    CONFIGURATION = """
primary_hostname = exim.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = %(port)d
log_file_path = /var/log/exim/%%slog
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = %(advertise)s
tls_certificate = /etc/cert.pem
tls_privatekey = /etc/key.pem
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
keep_environment =
acl_smtp_rcpt = check
begin acl
check:
  accept domains = example.com
  deny
begin routers
next:
  driver = manualroute
  route_list = * 127.0.0.1::%(next_port)d
  self = send
  transport = smtp
begin transports
smtp:
  driver = smtp
  port = %(next_port)d
  allow_localhost
  %(use)s = *
  hosts_try_dane =
  tls_verify_hosts =
  tls_try_verify_hosts =
begin retry
* * F,1h,1s
"""

    def __init__(self, directory, port, next_port, certificate=None, next_tls=False):
        super().__init__(directory, "exim", ["usr/sbin/exim4"],
                         [f"Debian-exim:x:{self.UID}:{self.UID}::/var/spool/exim4:/bin/false"])
        self.make_owned("var/spool/exim4", self.UID)
        self.make_owned("var/log/exim", self.UID)
        if certificate:
            for source, name in ((certificate.path, "cert"), (certificate.key, "key")):
                shutil.copy(source, self.path(f"etc/{name}.pem"))
                os.chmod(self.path(f"etc/{name}.pem"), 0o644)
        self.write("etc/exim4/exim4.conf", self.CONFIGURATION % {
            "port": port, "next_port": next_port, "advertise": "*" if certificate else "",
            "use": "hosts_require_tls" if next_tls else "hosts_avoid_tls"})
        self.port = port
        self.start()

    def start(self):
        self.run(self.port, "/usr/sbin/exim4", "-bdf", "-q1s")

    def queue_count(self):
        return len(glob.glob(self.path("var/spool/exim4/input/**/*-H"), recursive=True))


class OpenSmtpd(Rooted):
    """Takes mail for example.com and hands it to 127.0.0.1:next_port: by TLS if `next_tls`. Its
    certificate has an RSA key: this version cannot use another with OpenSSL 3."""

    PROGRAMS = ["usr/sbin/smtpd", "usr/sbin/smtpctl"]
    USERS = {"opensmtpd": 65102, "opensmtpq": 65103}

    def __init__(self, directory, port, next_port, certificate=None, next_tls=False):
        super().__init__(directory, "opensmtpd", self.PROGRAMS, [
            f"{name}:x:{uid}:{uid}::/var/lib/opensmtpd/empty:/bin/false"
            for name, uid in self.USERS.items()])
        os.makedirs(self.path("var/lib/opensmtpd/empty"))
        os.makedirs(self.path("var/spool/smtpd"))
        os.chmod(self.path("var/spool/smtpd"), 0o711)
        lines, tls = [], ""
        if certificate:
            for source, name in ((certificate.path, "cert"), (certificate.key, "key")):
                shutil.copy(source, self.path(f"etc/{name}.pem"))
                os.chmod(self.path(f"etc/{name}.pem"), 0o600)
                lines.append(f'pki test {name} "/etc/{name}.pem"')
            tls = "tls pki test "
        scheme = "smtp+tls" if next_tls else "smtp+notls"
        self.write("etc/smtpd.conf", "\n".join([
            *lines, f"listen on 127.0.0.1 port {port} {tls}hostname opensmtpd.test",
            f'action "next" relay host {scheme}://127.0.0.1:{next_port}'
            f'{" tls no-verify" if next_tls else ""}',
            'match from any for domain "example.com" action "next"', ""]))
        os.chmod(self.path("etc/smtpd.conf"), 0o600)
        self.run(port, "/usr/sbin/smtpd", "-d")


class Haraka:
    """Takes mail for example.com and hands it to 127.0.0.1:next_port, with core plugins alone."""

    NODES = 0        # processes; 0: one, and no cluster
    FILES: dict = {}  # of its configuration, instead of those below

    def __init__(self, directory, port, next_port, certificate=None):
        package = f"{tree('npm')}/node_modules/Haraka"
        config = os.path.join(directory, "config")
        shutil.copytree(f"{package}/config", config)
        files = {
            "smtp.ini": f"listen=127.0.0.1:{port}\nnodes={self.NODES}\n",
            "me": "haraka.test\n", "host_list": "example.com\n", "loglevel": "NOTICE\n",
            "plugins": ("tls\n" if certificate else "") + "rcpt_to.in_host_list\n"
                       "queue/smtp_forward\n",
            "smtp_forward.ini": f"host=127.0.0.1\nport={next_port}\nenable_tls=false\n",
            "tls.ini": "key=key.pem\ncert=cert.pem\n",
        }
        for name, text in (files | self.FILES).items():
            with open(os.path.join(config, name), "w", encoding="ascii") as file:
                file.write(text)
        if certificate:
            shutil.copy(certificate.path, os.path.join(config, "cert.pem"))
            shutil.copy(certificate.key, os.path.join(config, "key.pem"))
        self.output = os.path.join(directory, "output")
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                ["node", f"{package}/bin/haraka", "-c", directory],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            peers.wait_port(port, self.process, 60)
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}\n{self.log()}") from None

    def log(self):
        with open(self.output, encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        peers.finish(self.process)
