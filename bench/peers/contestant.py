"""One contestant of a benchmark: a process of its own that measures when it is asked to, and stands still in between.

The protocol is that of `tandem bench model --on-request`: the process says {"ready": true, ...} on a line of its own; then each line it reads is a
number of seconds, and the answer a line {"median_ms": ..., "min_ms": ..., "processor_ms": ..., "runs": ...}. While another one measures it is
stopped (SIGSTOP): threads that wait by spinning would take the processor from the other, up to half of it as was seen.
"""
import json
import os
import signal
import subprocess
import tempfile


class Failed(Exception):
    """The contestant ended; its words are the last lines of what it wrote to its standard error."""


class Contestant:
    """Starts at once, and may be ready later: wait_until_ready() before the first measure()."""
    def __init__(self, name, command, threads, environment=None):
        self.name, self.errors, self.rounds = name, tempfile.TemporaryFile("w+"), []
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, env={**os.environ, **(environment or {})},
                                        preexec_fn=lambda: os.sched_setaffinity(0, cpus))

    def wait_until_ready(self):
        """Raises Failed, then closed already."""
        try:
            self.facts = self.answer()
        except Failed:
            self.close()
            raise
        self.pause()

    def answer(self):
        """The next line that is JSON; libraries print others."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        words = self.errors.read().strip().splitlines()
        raise Failed(f"{self.name}: {words[-1] if words else f'ended with {self.process.returncode}'}")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def measure(self, seconds):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.rounds.append(self.answer())
        self.pause()
        return self.rounds[-1]

    def close(self):
        """Any number of times."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


def measure_in_turns(contestants, rounds, seconds, warm_up=True, progress=lambda done: None):
    """Rounds of all contestants one after the other; Contestant.rounds holds the answers. The order turns round each time."""
    if warm_up:
        for contestant in contestants:
            contestant.measure(min(seconds, 0.1))
            contestant.rounds.clear()
    for n in range(rounds):
        for i, contestant in enumerate(contestants[::1 if n % 2 == 0 else -1]):
            contestant.measure(seconds)
            progress(n * len(contestants) + i + 1)
