"""Whole workloads: what somebody waits for, native and under askance in turn, each checked for its result."""
import os
import pathlib
import subprocess
import time

# A shell line, what its output must be, and the most that its time may grow. `grep -r` over tiny files is bounded by
# one notification a file, so its limit is what the bare continuing loop costs.
LINES = {
    "tree read: grep -rc": ("grep -rl needle tree | wc -l", "10000", None),
    "tree read: tar": ("tar cf - tree | wc -c", None, None),
    "git clone + status": ("git clone -q repository copy.$$ && git -C copy.$$ status --short | wc -l", "0", 1.05),
    "make -j2, 40 objects": ("make -s -C build clean all && ls build/*.o | wc -l", "40", 1.05),
    "1,000 short processes": ("i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done; echo $i", "1000", None),
}


def lay(work, quick):
    """The files that the lines work on."""
    directories = 20 if quick else 100
    for directory in range(directories):
        place = work / "tree" / str(directory)
        place.mkdir(parents=True)
        for number in range(100):
            (place / f"f{number}").write_text(f"needle {number}\n" * 20)
    repository = work / "repository"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(repository)]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for number in range(500):
        (repository / f"file{number}").write_text(f"{number}\n" * 50)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "all"], check=True)
    build = work / "build"
    build.mkdir()
    for number in range(40):
        lines = ["#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>"]
        lines += [f"int f{number}_{i}(int x) {{ return x * {i} + {number}; }}" for i in range(200)]
        (build / f"u{number}.c").write_text("\n".join(lines) + "\n")
    (build / "Makefile").write_text("all: $(patsubst %.c,%.o,$(wildcard *.c))\nclean:\n\trm -f *.o\n%.o: %.c\n\tcc -O1 -c $< -o $@\n")
    return directories * 100


def one(bench, argv, expected):
    began = time.monotonic()
    out = bench.run(argv).strip()
    took = (time.monotonic() - began) * 1e3
    if expected is not None and out != expected:
        raise RuntimeError(f"{' '.join(argv)}: gave {out!r}, not {expected!r}")
    return took, out


def measure(bench, bare, quick):
    files = lay(bench.work, quick)
    for name, (line, expected, limit) in LINES.items():
        if expected == "10000":
            expected = str(files)
        shell = ["sh", "-c", line]
        contenders = {"askance": [*bench.sandboxed(), *shell], "native": shell}
        against = "native"
        if limit is None and name.startswith("tree"):
            contenders["bare continue"], against, limit = [bare, "continue", *shell], "bare continue", 1.2
        samples = {who: [] for who in contenders}
        for _ in range(3 if quick else 9):
            for who, argv in contenders.items():
                took, out = one(bench, argv, expected)
                expected = expected or out
                samples[who].append(took)
        bench.add(name, "ms", samples, against, limit)


def crowd(bench, quick):
    """Many runs at once: none may fail, and a run of many costs what a run of one costs."""
    alone = None
    for count in (1, 8, 64) if quick else (1, 8, 64, 256):
        began = time.monotonic()
        runs = [subprocess.Popen([*bench.sandboxed(), "true"], cwd=bench.work, env=bench.environment(),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(count)]
        for run in runs:
            _, error = run.communicate(timeout=120)
            if run.returncode != 0:
                raise RuntimeError(f"one of {count} runs at once: status {run.returncode}: {error.decode().strip()}")
        each = (time.monotonic() - began) * 1e3 / count
        alone = alone or each
        bench.add(f"{count} runs at once, each", "ms", {"askance": [each], "one alone": [alone]}, "one alone")


def memory(bench, limit_mb):
    """What an idle supervisor and its monitor hold in memory of their own, and in all."""
    run = subprocess.Popen([*bench.sandboxed(), "sh", "-c", "echo ready; exec sleep 60"], cwd=bench.work,
                           env=bench.environment(), stdout=subprocess.PIPE, text=True)
    try:
        run.stdout.readline()
        time.sleep(0.5)
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{run.pid}/status").read_text().splitlines())
        resident, own = (int(status[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))
    finally:
        run.terminate()
        run.wait()
    bench.add("idle supervisor, resident", "MB", {"askance": [resident], "limit": [limit_mb]}, "limit", 1.0)
    bench.add("idle supervisor, its own", "MB", {"askance": [own], "limit": [limit_mb]}, "limit", 1.0)
