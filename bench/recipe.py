# bench/recipe.py -- what it takes to repeat a measurement: the commands and settings of its runs.
import os
import re
import shlex

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

_commands, _settings = {}, {}


def command(words):
    """Notes what was run, once. Ports, rates and directories are of one run, and are taken out."""
    first, *rest = map(str, words)
    text = shlex.join([os.path.basename(first), *rest])
    for pattern, shown in ((r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"), (r"(--rate) [\d.]+", r"\1 R"),
                           (r"/[^\s=']*/backstay-(?:bench|sink)-\w+", "DIRECTORY")):
        text = re.sub(pattern, shown, text)
    _commands.setdefault(text, True)


def settings(side, values):
    """By section; the first of a side are those that are shown."""
    _settings.setdefault(side, values)


def data():
    """For a result."""
    return {"commands": list(_commands), "settings": dict(_settings)}
