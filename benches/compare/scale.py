"""How costs grow: threads that open, runs at once, memory with and without ten thousand answers."""
import pathlib
import subprocess
import time

ASKING = """import os, sys, time
for number in range(int(sys.argv[2])):
    os.close(os.open(f"{sys.argv[1]}/f{number}", os.O_RDONLY))
print("ready", flush=True)
time.sleep(60)
"""


def threads(bench):
    """The wall clock's time an open, with 1, 2, 4 and 16 threads that do nothing else."""
    count, rounds = ("20000", 2) if bench.quick else ("100000", 5)
    for number in (1, 2, 4, 16):
        name = f"permitted open, {number} threads"
        if bench.wants(name):
            opens = [bench.tool("opens"), str(bench.work / "file"), count, str(number)]
            contenders = {"askance": [*bench.sandboxed(), *opens], "bare continue": [bench.tool("bare"), "continue", *opens],
                          "native": opens}
            bench.add(name, "µs", bench.micro(contenders, rounds, "read hello-2"), "bare continue", 1.35)


def at_once(bench, count):
    """Milliseconds a run, of so many started together; none may fail."""
    began = time.monotonic()
    runs = [subprocess.Popen([*bench.sandboxed(), "true"], cwd=bench.work, env=bench.environment(),
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(count)]
    for run in runs:
        _, error = run.communicate(timeout=120)
        if run.returncode != 0:
            raise RuntimeError(f"one of {count} runs at once: status {run.returncode}: {error.decode().strip()}")
    return (time.monotonic() - began) * 1e3 / count


def crowd(bench):
    """A run of many costs what a run of eight costs: then the whole is linear."""
    counts = (64,) if bench.quick else (64, 256)
    for count in counts:
        name = f"{count} runs at once, each"
        if bench.wants(name):
            samples = {"askance": [], "one of 8": []}
            for _ in range(2 if bench.quick else 5):
                samples["askance"].append(at_once(bench, count))
                samples["one of 8"].append(at_once(bench, 8))
            bench.add(name, "ms", samples, "one of 8", 1.2)


def resident(bench, prompt, argv):
    """Megabytes in memory, and those that are its own, of a supervisor whose command said that it is ready."""
    run = subprocess.Popen([bench.askance, "run", "--prompt", prompt, "--", *argv], cwd=bench.work,
                           env=bench.environment(), stdout=subprocess.PIPE, text=True)
    try:
        if run.stdout.readline() != "ready\n":
            raise RuntimeError(f"{' '.join(argv)} did not get ready")
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{run.pid}/status").read_text().splitlines())
        return [int(status[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon")]
    finally:
        run.terminate()
        run.wait()


def memory(bench):
    rounds = 2 if bench.quick else 5
    if bench.wants("idle supervisor"):
        idle = [resident(bench, "deny", ["sh", "-c", "echo ready; exec sleep 60"]) for _ in range(rounds)]
        held(bench, "idle supervisor", idle, 8)
    number = 1000 if bench.quick else 10_000
    name = f"supervisor, {number:,} verdicts"
    if bench.wants(name):
        many = bench.home / ".ssh/many"
        many.mkdir()
        for each in range(number):
            (many / f"f{each}").write_text("x")
        answers = bench.scratch / "many-answers"
        answers.write_text("read ~/.ssh/many/** run\n")
        argv = ["/usr/bin/python3", "-c", ASKING, str(many), str(number)]
        full = [resident(bench, f"answers={answers}", argv) for _ in range(1 if bench.quick else 3)]
        held(bench, name, full, 16)


def held(bench, name, samples, limit):
    whole, own = zip(*samples)
    bench.add(f"{name}, resident", "MB", {"askance": list(whole), "limit": [limit] * len(whole)}, "limit", 1.0)
    bench.add(f"{name}, its own", "MB", {"askance": list(own), "limit": [limit] * len(own)}, "limit", 1.0)
