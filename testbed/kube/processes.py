"""Background processes of a test bed: started with a log of their own, known by pid and start time, ended by pid only."""

import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

STOP_WAIT_S = 15
PR_SET_PDEATHSIG = 1


def start_time(pid):
    """When the kernel started this process, in its own ticks; None if there is none, or only its remains (a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def dies_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Processes:
    """The processes whose records lie in `folder`/run/NAME.json. Another process than the one that started them may end them."""

    def __init__(self, folder):
        self.run = Path(folder) / "run"
        self.logs = Path(folder) / "logs"
        self.children = {}  # name -> Popen, of those that this process started

    def start(self, name, command, tied=False, environment=None):
        """Starts it in a session of its own. tied: it dies with the process that called."""
        self.run.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        with open(self.logs / f"{name}.log", "ab") as log:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                       start_new_session=True, preexec_fn=dies_with_parent if tied else None)
        self.children[name] = process
        record = {"pid": process.pid, "started": start_time(process.pid), "command": [str(word) for word in command]}
        (self.run / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
        return process.pid

    def names(self):
        """In the order of their start."""
        return [path.stem for path in sorted(self.run.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)]

    def pid(self, name):
        """The pid if it still runs, else None. A pid that the kernel gave to somebody else is not ours."""
        try:
            record = json.loads((self.run / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        now = start_time(record["pid"])
        return record["pid"] if now is not None and now == record["started"] else None

    def last_words(self, name, lines=15):
        try:
            text = (self.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, name, how=signal.SIGTERM):
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, how)
            end = time.monotonic() + STOP_WAIT_S
            while self.pid(name) is not None:
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                    end = time.monotonic() + STOP_WAIT_S
                time.sleep(0.02)
        child = self.children.pop(name, None)
        if child is not None:
            child.wait(STOP_WAIT_S)  # its threads may end after its first one
        (self.run / f"{name}.json").unlink(missing_ok=True)

    def stop_all(self):
        for name in reversed(self.names()):
            self.stop(name)
