#!/usr/bin/env python3
# tests/tools/tidy_test.py -- plants one violation of each rule in a copy of the tree; tidy must see it.
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SKIPPED = shutil.ignore_patterns(".git", "build", "run", "__pycache__", "corpus")

# name -> (file, its text or what is appended to it, what tidy must say about that file)
LINES_71 = "".join(f"  Step({number});\n" for number in range(69))
LINES_70 = "".join(f"  Step({number});\n" for number in range(68))


def banned(word):
    return (f"core/queue/planted_{len(PLANTED)}.cc", word + "\n", r":2: .* is banned: use ")


PLANTED = {}
PLANTED["first line"] = ("core/queue/no_promise.h", "// no promise\n", r"first line is not")
PLANTED["columns"] = ("core/queue/wide.h", "// " + "x" * 98 + "\n", r":2: 101 columns")
PLANTED["function"] = ("core/queue/long_function.cc",
                       "namespace backstay {\nLong::Long() : a_{1}, b_(2) {\n" + LINES_71 +
                       "}\nvoid Fits() {\n" + LINES_70 + "}\n}  // namespace backstay\n",
                       r":3: 71 lines in a function")
PLANTED["file"] = ("core/queue/long_file.cc", "// line\n" * 500, r":501: 501 lines")
PLANTED["queue includes io"] = ("core/queue/climbs.cc", '#include "io/io.h"\n',
                                r"core/queue may not include io/io.h")
PLANTED["spool includes smtp"] = ("spool/knows_smtp.cc", '#include "core/smtp/reply.h"\n',
                                  r"spool may not include core/smtp/reply.h")
PLANTED["shard includes uring"] = ("core/shard/kernel.cc", "#include <liburing.h>\n",
                                   r"core/shard may not include <liburing.h>")
PLANTED["smtp includes system"] = ("core/smtp/kernel.cc", "#include <sys/socket.h>\n",
                                   r"core/smtp may not include <sys/socket.h>")
PLANTED["command includes queue"] = ("tools/backstay/climbs.cc",
                                     '#include "core/queue/destination.h"\n',
                                     r"tools/backstay may not include core/queue/destination.h")
PLANTED["missing include"] = ("core/queue/lost.cc", '#include "core/queue/nowhere.h"\n',
                              r"core/queue/nowhere.h, which does not exist")
for word in ["std::chrono::seconds wait;", "auto now = absl::Now();", "clock_gettime(0, &now);",
             "int dice = rand();", "absl::BitGen dice;", 'getenv("HOME");', "std::mutex lock;",
             "std::atomic<int> count;", "thread_local int count;", "co_await answer;", "throw 1;",
             "try {", "std::function<void()> run;", "std::shared_ptr<int> owner;",
             "dynamic_cast<Io*>(io);", "#include <iostream>", "std::regex words;",
             "std::list<int> all;", "using namespace absl;"]:
    PLANTED[word] = banned(word)
PLANTED["hash order"] = ("core/queue/hash_order.cc",
                         "absl::flat_hash_map<std::string, int>\n    planted_map_;\n"
                         "for (const auto& [key, value] : planted_map_) {\n}\n",
                         r":4: the order of planted_map_")
PLANTED["not executable"] = ("bench/planted.py", "#!/usr/bin/env python3\n",
                             r":1: names its interpreter and is not executable")
PLANTED["dead source"] = ("core/queue/dead.cc", "", r"is in no CMakeLists.txt")
PLANTED["dead header"] = ("core/queue/dead_alone.h", "", r"is included by no other file")
PLANTED["untested"] = ("core/queue/untested.cc", "", r"has no test")
PLANTED["leftover"] = ("core/queue/leftover.cc", "// TO" "DO later\n", r":2: TO" "DO was left over")
PLANTED["machine path"] = ("core/queue/machine.cc", '// see /wo' 'rk/notes\n',
                           r":2: /work is a path or host of one machine")
PLANTED["readme table"] = ("core/queue/README.md",
                           "# queue\n\n| file | promise |\n|---|---|\n| `gone` | nothing |\n",
                           r":\d+: names gone, which does not exist")
PLANTED["two titles"] = ("core/shard/README.md", "# shard\n\n# again\n", r"titles, not one")

# Lines that look like violations and are none.
INNOCENT = ("core/queue/innocent.cc",
            '// std::mutex and throw in a comment\n'
            'const char* kText = "absl::Now() std::mutex \\" throw";\n'
            'void retry(int tries);\n')


def plant(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    is_source = path.endswith((".h", ".cc"))
    headed = is_source and not text.startswith("// no promise")
    with open(full, "w", encoding="utf-8") as file:
        file.write((f"// {path} -- planted.\n" if headed else "") + text)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        root = os.path.join(scratch, "tree")
        shutil.copytree(TOP, root, ignore=SKIPPED)
        for path, text, _ in list(PLANTED.values()) + [INNOCENT + ("",)]:
            plant(root, path, text)
        run = subprocess.run([os.path.join(TOP, "tools/tidy"), root], capture_output=True, text=True)
    failures = [] if run.returncode == 1 else [f"exit code {run.returncode}, not 1"]
    for name, (path, _, expected) in PLANTED.items():
        said = [line for line in run.stdout.splitlines() if line.startswith(path + ":")]
        if not any(re.search(expected, line) for line in said):
            failures.append(f"{name}: not found in {path}; tidy said {said}")
    said = [line for line in run.stdout.splitlines() if line.startswith(INNOCENT[0]) and
            "banned" in line]
    failures += [f"innocent: {line}" for line in said]
    too_many = [line for line in run.stdout.splitlines() if ": 70 lines in a function" in line]
    failures += [f"70 lines are allowed: {line}" for line in too_many]
    for failure in failures:
        print(failure)
    print(f"tidy_test: {len(PLANTED)} planted, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
