#!/usr/bin/env python3
# bench/compare.py -- everybody's mail server beside backstay: messages/s taken and kept.
#
# compare.py [--connections 256] [--seconds 4] [--rounds 3] [--bytes 4096] [--json FILE]
#            [--sides backstay,postfix,exim,opensmtpd,haraka,smtp-sink]
#
# Each is set up from its package on loopback, tuned as its careful operator would for intake, and
# has nowhere to deliver to meanwhile. One generator, a closed loop over connections kept open, each
# side in turn. What each promises with its 250 is measured, not believed: flushes of the disk for
# each message of a client that is alone. Without root only backstay and smtp-sink can be measured.
# The goal for Exim speaks of 256 connections.
import contextlib
import os

import common
from common import harness
import mail_servers  # noqa: E402  common has set the path

GOAL_CONNECTIONS = 256
TUNING = {
    "postfix": common.POSTFIX_TUNING,
    "exim": {"queue_only": "true", "queue_only_override": "false", "split_spool_directory": "true",
             "smtp_accept_max": "0", "smtp_accept_max_per_connection": "1000000",
             "smtp_connect_backlog": "1024", "smtp_enforce_sync": "false",
             "message_logs": "false", "log_selector": "-all"},
    "opensmtpd": {"smtp limit max-mails": "1000000", "smtp limit max-rcpt": "100000"},
    "haraka": {"smtp.ini nodes": "cpus", "outbound.ini disabled": "true",
               "plugin": "every recipient may be relayed to", "loglevel": "CRIT"},
}
SIDES = ("backstay", "postfix", "exim", "opensmtpd", "haraka", "smtp-sink")


class Session(common.Server):
    """A peer whose processes share a session of their own."""
    warm_up = 10  # some start a process for each connection

    def __init__(self, server, port):
        self.server = server
        self.port = port

    def pids(self):
        pids = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if os.getsid(int(name)) == self.server.process.pid:
                    pids.append(int(name))
        return pids

    def cpu(self):
        return super().cpu() + common.buried_cpu(self.server.process.pid)

    def close(self):
        self.server.close()


class Exim(mail_servers.Exim):
    CONFIGURATION = mail_servers.Exim.CONFIGURATION.replace(
        "smtp_accept_max = 200\nsmtp_accept_queue_per_connection = 0\n",
        "".join(f"{key} = {value}\n" for key, value in TUNING["exim"].items()))

    def run(self, port, *_command):
        super().run(port, "/usr/sbin/exim4", "-bdf")  # and no runner of the queue


class OpenSmtpd(mail_servers.OpenSmtpd):
    def write(self, name, text):
        if name == "etc/smtpd.conf":
            text = "".join(f"{key} {value}\n" for key, value in TUNING["opensmtpd"].items()) + text
        super().write(name, text)


class Haraka(mail_servers.Haraka):
    """Takes mail into its own queue, as it does for those who may relay."""

    NODES = "cpus"
    FILES = {"plugins": "relaying\n", "outbound.ini": "disabled=true\n", "loglevel": "CRIT\n"}
    PLUGIN = """exports.hook_rcpt = (next, connection) => {
  connection.relaying = true;
  next(OK);
};
"""

    def __init__(self, directory, port, next_port):
        os.makedirs(os.path.join(directory, "plugins"))
        with open(os.path.join(directory, "plugins/relaying.js"), "w", encoding="ascii") as file:
            file.write(self.PLUGIN)
        super().__init__(directory, port, next_port)


def make(side, directory, connections):
    if side == "backstay":
        return common.Backstay(directory)
    if side == "postfix":
        return common.Postfix(directory, processes=connections + 50)
    if side == "smtp-sink":
        return common.SmtpSink(directory)
    kind = {"exim": Exim, "opensmtpd": OpenSmtpd, "haraka": Haraka}[side]
    port = harness.free_port()
    home = os.path.join(directory, side)
    os.makedirs(home)
    return Session(kind(home, port, harness.free_port()), port)


def flushes_alone(server, directory, arguments):
    """For a message of a client that is alone; None: nothing can be said."""
    if common.no_flushes(directory):
        return None
    device = common.device_of(directory)
    before = common.flushes(device)
    found = common.load(server.port, "--connections", 1, "--messages", 50, "--size",
                        arguments.bytes)
    taken = found["messages"]["acknowledged"]
    return (common.flushes(device) - before) / taken if taken else None


def measure(side, arguments):
    with common.scratch(arguments.directory) as directory:
        server = make(side, directory, arguments.connections)
        try:
            result = common.flood(server, arguments.connections, arguments.seconds,
                                  size=arguments.bytes)
            result["flushes"] = flushes_alone(server, directory, arguments)
            return result
        finally:
            server.close()


def main():
    parser = common.parser("messages/s taken and kept, everybody beside backstay")
    parser.add_argument("--connections", type=int, default=GOAL_CONNECTIONS)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--sides", default=",".join(SIDES))
    arguments = parser.parse_args()
    sides = common.as_root(arguments.sides.split(","), ("backstay", "smtp-sink"))
    result = common.Result("compare", arguments)
    if uncounted := common.no_flushes(arguments.directory):
        result.data["machine"]["flushes"] = uncounted
    result.data["tuning"] = {side: TUNING[side] for side in sides if side in TUNING}
    runs = common.alternate(sides, arguments.rounds, lambda side: measure(side, arguments))
    result.data["runs"] = runs
    own = runs.get("backstay", [])
    for side in sides:
        rate, kept = common.median(runs[side], "rate"), common.median(runs[side], "flushes")
        result.row("P1 Exim" if side == "exim" else "",
                   f"{side}: {common.DURABILITY[side]}" +
                   ("" if kept is None else f"; {kept:.2g} flushes for a message alone"),
                   common.ratio(common.median(own, "rate"), rate),
                   ours=common.median(own, "rate"), theirs=rate, unit="/s", baseline=side,
                   spreads={s: common.spread(runs.get(s, []), "rate")
                            for s in dict.fromkeys(("backstay", side))},
                   runs=own + runs[side],
                   unjudged=None if arguments.connections == GOAL_CONNECTIONS else
                   f"{arguments.connections} connections, not {GOAL_CONNECTIONS}")
    for key, title, unit in (("rate", "Messages/s taken and kept", "/s"),
                             ("cpu_us", "Server's CPU a message", "us")):
        result.plot(kind="bars", title=title, unit=unit, log=True,
                    values={side: common.median(runs[side], key) for side in sides},
                    spreads={side: common.spread(runs[side], key) for side in sides})
    result.finish()


if __name__ == "__main__":
    main()
