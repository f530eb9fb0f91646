"""Whole workloads: what somebody waits for, native and under askance in turn, each checked for its result."""
import re
import shutil
import subprocess
import sys
import time

import figures
import trees

PIP = "-m pip install --quiet --no-index --no-deps --disable-pip-version-check --root-user-action=ignore"


def lines(files, quick):
    """Name, shell line, what it must print, what it needs, what is removed before each run, and rounds."""
    objects, crates, packages, modules = (8, 2, 10, 200) if quick else (40, 6, 40, 1000)
    few, many = (2, 3) if quick else (5, 9)
    total = crates * sum(n * (n - 1) // 2 for n in range(15))
    return [
        (f"grep -r over {files:,} files", "grep -rl needle tree | wc -l", files, "grep", (), many),
        (f"tar of {files:,} files", "tar cf - tree | wc -c", None, "tar", (), many),
        (f"git status, {files:,} files", "git -C worktree status --short | wc -l", 0, "git", (), many),
        (f"git grep, {files:,} files", "git -C worktree grep -l needle | wc -l", files, "git", (), many),
        ("git clone + status, 500 files", "git clone -q repository copy && git -C copy status --short | wc -l", 0, "git",
         ("copy",), many),
        ("1,000 short processes", "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done; echo $i", 1000, "sh", (), few),
        ("configure-like, 1,000 processes", "sh ./configure.sh", 250, "sh", (), few),
        (f"make -j2, {objects} objects", "make -s -C build clean && make -s -j2 -C build all && ls build/*.o | wc -l", objects, "make", (), few),
        (f"cargo build, {crates + 1} crates", "cd crates && cargo build --offline --quiet && target/debug/whole",
         f"total {total}", "cargo", ("crates/target",), few),
        (f"npm ci, {packages} packages", "cd npm && npm ci --offline --no-audit --no-fund >/dev/null && ls node_modules | wc -l",
         packages, "npm", ("npm/node_modules",), few),
        (f"pip install, {modules:,} modules",
         f"'{sys.executable}' {PIP} --find-links wheels --target installed whole && ls installed/whole/*.py | wc -l",
         modules, sys.executable, ("installed",), few),
    ]


def timed(bench, argv, expected, remove):
    """How long it took in milliseconds, what it printed, and what it said on standard error."""
    for name in remove:
        shutil.rmtree(bench.work / name, ignore_errors=True)
    began = time.monotonic()
    done = subprocess.run(argv, cwd=bench.work, env=bench.environment(), capture_output=True, text=True, timeout=300)
    took = (time.monotonic() - began) * 1e3
    out = done.stdout.strip()
    if done.returncode != 0 or expected is not None and out != str(expected):
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}, gave {out!r}, not {expected!r}: {done.stderr.strip()}")
    return took, out, done.stderr


def measure(bench, peers):
    files = trees.lay(bench.work, bench.environment(), bench.quick)
    for name, line, expected, tool, remove, rounds in lines(files, bench.quick):
        if not bench.wants(name):
            continue
        if shutil.which(tool, path=bench.environment()["PATH"]) is None:
            bench.notes.append(f"{name}: skipped, {tool} is not installed")
            continue
        shell = ["sh", "-c", line]
        contenders = {"askance": [*bench.sandboxed(), *shell], "native": shell, "bare loop": [bench.tool("bare"), "calls", *shell]}
        if "over" in name or "short" in name:
            contenders.update({peer: [*words, *shell] for peer, words in peers.items()})
        # Caches are warm before anything counts, and what must come out is what comes out natively.
        _, expected, _ = timed(bench, shell, expected, remove)
        samples, calls = {who: [] for who in contenders}, 0
        for _ in range(rounds):
            for who, argv in contenders.items():
                took, _, said = timed(bench, argv, expected, remove)
                samples[who].append(took)
                if who == "bare loop":
                    calls = int(re.search(r"^calls (\d+)$", said, re.M)[1])
        found = figures.figure(name, "ms", samples, "native", 1.05)
        bench.figures.append(figures.with_floor(found, samples, calls, bench.per_call_us / 1e3))
