# bench/judged.py -- whether what was measured can be judged, and if not, why: one rule for all.
#
# A run is a dict that watched() returns: what was measured, what others had of the machine
# meanwhile (`others_cores`), and whatever else speaks against it (`doubts`). Generators and servers
# tell their doubts here by themselves while a run lasts, so that no script can forget one; each row
# names its runs, and why_not() has the word.
import collections
import math
import sys

import counters

ERRORS_MAX = 0.01   # of all messages or sessions: with more of them something else was measured
OTHERS_MAX = 0.3    # cores; on two of them it is a sixth of everything
SAMPLES_MIN = 1000  # with fewer less than ten are beyond a 99th percentile

complaints = collections.Counter()  # what went wrong in all runs
others = []                         # cores that others had, of each window
_doubts = []                        # of the run that is under way


def doubt(text):
    """Speaks against the run that is under way."""
    _doubts.append(text)


def died(name, status, said=""):
    """A server ended that nobody had asked to."""
    print(f"{name} ended by itself with {status}:\n{said[-4000:]}", file=sys.stderr, flush=True)
    complaints[f"{name} ended by itself with {status}"] += 1
    doubt(f"{name} ended by itself with {status}")


def added(*counts):
    """What went wrong, by its name; the same name may stand in several of them."""
    return dict(sum(map(collections.Counter, counts), collections.Counter()))


def hear(result, refusals=False):
    """What a generator's result says against its run. `refusals`: they are what is measured."""
    complaints.update(added(result["errors"], result["session_errors"]))
    unsent, options = result["unsent"], result["options"]
    if unsent:
        complaints["due and never sent"] += unsent
        doubt(f"{unsent:,} messages were due and never sent")
    taken, failed = result["messages"]["acknowledged"], sum(result["errors"].values())
    if options["connections"] and not options["greet_only"]:
        if not taken:
            doubt("no message was acknowledged")
        elif failed > ERRORS_MAX * (taken + failed) and not refusals:
            doubt(f"{failed / (taken + failed):.1%} of the messages failed")
    missing = sum(result["session_errors"].values())
    sessions = max(options["connections"], result["sessions"] + missing)
    if missing > ERRORS_MAX * sessions and not refusals:
        how = ", ".join(result["session_errors"])
        doubt(f"{missing:,} of {sessions:,} sessions failed ({how})")


def watched(measure, *arguments):
    """A run: what `measure` returns, a dict, and what speaks against it. Others are watched while a
    window is open; where there was none, all of the time."""
    _doubts.clear()
    counters.windows.clear()
    begin = counters.others_reading()
    found = measure(*arguments)
    windows = list(counters.windows) or [counters.others_cores(begin, counters.others_reading())]
    others.extend(windows)
    return found | {"others_cores": max(windows), "doubts": list(dict.fromkeys(_doubts))}


def why_not(runs, samples=None):
    """Why a row of these runs is not judged; None: it is. `samples`: where a run says of how many a
    percentile is."""
    if not runs:
        return "not measured"
    reasons = dict.fromkeys(doubt for run in runs for doubt in run["doubts"])
    busiest = max(run["others_cores"] for run in runs)
    if busiest > OTHERS_MAX:
        reasons[f"others had {busiest:.2f} cores meanwhile"] = True
    fewest = min((run[samples] for run in runs if samples in run), default=SAMPLES_MIN)
    if fewest < SAMPLES_MIN:
        reasons[f"a percentile of {fewest:,} samples, not {SAMPLES_MIN:,}"] = True
    return "; ".join(reasons) or None


def percentile(histogram, share=0.99, beyond=0):
    """Of a generator's histogram, in its unit; `beyond`: so many more that took longer than all in
    it. None: it is one of those, or there are too few."""
    count, seen = histogram["count"] + beyond, 0
    if count < SAMPLES_MIN:
        return None
    for upper, many in histogram["parts"]:
        seen += many
        if seen >= math.ceil(share * count):
            return min(upper, histogram["max"])
    return None
