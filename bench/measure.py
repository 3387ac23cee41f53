"""Measuring a run of the program: CPU time of all its processes, anonymous memory sampled while it runs, wall time."""

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_EVERY_S = 0.05
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """`cpu_s` is user + system of the process and every process it waited for."""

    code: int
    wall_s: float
    cpu_s: float
    anonymous_mb_max: float
    resident_mb_max: float
    output: str


def family(pid):
    """`pid` and all processes below it that still run."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        for task in Path(f"/proc/{current}/task").glob("*/children"):
            try:
                waiting.extend(int(child) for child in task.read_text().split())
            except OSError:
                pass
    return found


def memory_mb(pid):
    """(anonymous, resident) memory of a process and those below it, in MB of 10^6 bytes."""
    anonymous = resident = 0
    for member in family(pid):
        try:
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Anonymous:"):
                    anonymous += int(line.split()[1])
                elif line.startswith("Rss:"):
                    resident += int(line.split()[1])
        except OSError:
            pass
    return anonymous * 1024 / 1e6, resident * 1024 / 1e6


def cpu_s(pid):
    """CPU seconds used so far by a process and those below it."""
    ticks = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks / TICKS_PER_S


class Sampler(threading.Thread):
    """Samples the memory of a process family until stop()."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.stopped = pid, threading.Event()
        self.anonymous_mb_max = self.resident_mb_max = 0.0

    def run(self):
        while not self.stopped.wait(SAMPLE_EVERY_S):
            anonymous, resident = memory_mb(self.pid)
            self.anonymous_mb_max = max(self.anonymous_mb_max, anonymous)
            self.resident_mb_max = max(self.resident_mb_max, resident)

    def stop(self):
        self.stopped.set()
        self.join()


def run(command, directory, limit_s):
    """Runs a command to its end. A run longer than `limit_s` is stopped and has code 124."""
    log = Path(directory) / "output.txt"
    started = time.monotonic()
    with open(log, "wb") as out:
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    sampler = Sampler(process.pid)
    sampler.start()
    timer = threading.Timer(limit_s, lambda: process.send_signal(signal.SIGINT))
    hard = threading.Timer(limit_s + 20, process.kill)
    timer.start()
    hard.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    timer.cancel()
    hard.cancel()
    sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    code = 124 if wall >= limit_s else process.returncode
    return Usage(code, wall, usage.ru_utime + usage.ru_stime, sampler.anonymous_mb_max, sampler.resident_mb_max, log.read_text(errors="replace"))


class Running:
    """A program left running, for what is measured from outside. Use as a context manager: it is interrupted at the end."""

    def __init__(self, command, directory):
        self.log = Path(directory) / "output.txt"
        self.started = time.monotonic()
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait_for(self, condition, limit_s, every_s=0.001):
        """Seconds from the start until `condition()` holds. Raises RuntimeError if the program ends or the limit passes first."""
        while True:
            now = time.monotonic() - self.started
            if condition():
                return now
            if self.process.poll() is not None or now > limit_s:
                raise RuntimeError(f"after {now:.1f} s: {self.log.read_text(errors='replace')[-600:]}")
            time.sleep(every_s)
