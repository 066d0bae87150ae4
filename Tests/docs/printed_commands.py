"""The commands that a Markdown file prints, and a place where they are run as a reader would: word for word, in order.

Every fenced block names its language. Those of a shell are run unless the line before says why not; none of the marks shows
where Markdown is drawn:

    <!-- not run: needs Docker -->      the block below is left out, for this reason
    ```sh                               commands, each of which must succeed
    ```console                          `$ command` and what it prints, standard error included; `...` stands for anything
    ```sh stays                         one command that goes on in the background, as in a terminal of its own
    ```sh waits                         first everything in the background must have ended well
    ```sh on=hub,site-a                 on each of these machines; without it, in a copy of the repository
    ```sh needs=mnist                   left out where the folder mnist is not among the data

Blocks of one machine follow each other as in one terminal: folder and exported variables last.
"""
import dataclasses
import os
import re
import signal
import subprocess
import time

SHELLS = ("sh", "bash", "console")
# What a reader sees and does not type.
OTHERS = ("text", "yaml", "json", "python", "swift")
FLAGS = ("stays", "waits", "on", "needs")
# Ctrl-C: stopped on request, or ended by it.
INTERRUPTED = (0, 10, -signal.SIGINT)


class Failure(Exception):
    """Why a block did not work; `line` counts within the block."""

    def __init__(self, reason, line=0):
        super().__init__(reason)
        self.line = line


@dataclasses.dataclass
class Block:
    line: int  # of the first command in the file
    language: str
    flags: dict
    reason: str  # why it is not run; empty when it is
    text: str

    @property
    def machines(self):
        return self.flags.get("on", "here").split(",")

    @property
    def title(self):
        return self.text.strip().splitlines()[0][:100] if self.text.strip() else "(empty)"


def blocks(text, faults):
    """The shell blocks of a document. What is not marked as it must be goes to `faults` as (line, what)."""
    found, lines, index = [], text.splitlines(), 0
    while index < len(lines):
        opened = re.match(r"( *)(```+)(.*)$", lines[index])
        before = re.fullmatch(r" *<!-- not run: (.+) -->", lines[index - 1]) if index else None
        index += 1
        if not opened:
            continue
        start = index
        while index < len(lines) and lines[index].strip() != opened[2]:
            index += 1
        if index == len(lines):
            faults.append((start, "a block without an end"))
            return found
        body = "\n".join(line.removeprefix(opened[1]) for line in lines[start:index]) + "\n"
        index += 1
        language, *words = opened[3].split() or [""]
        flags = dict(word.partition("=")[::2] for word in words)
        if language in SHELLS:
            faults += [(start, f"an unknown mark '{flag}'") for flag in flags if flag not in FLAGS]
            found.append(Block(start + 1, language, flags, before[1] if before else "", body))
        elif language not in OTHERS:
            what = f"a block of '{language}'" if language else "a block without a language"
            faults.append((start, f"{what}: sh or console for commands, else one of {', '.join(OTHERS)}"))
        elif before:
            faults.append((start, f"only commands can be not run, this is {language}"))
    return found


# Sourced before the commands, whose lines keep their numbers: what the terminal knows, and where a failure is.
PRELUDE = """\
unset BASH_ENV
if [ -e "$TERMINAL" ]; then . "$TERMINAL"; fi
set %s
trap '[ -n "${failed_line:-}" ] || failed_line=$LINENO' ERR
trap 'code=$?; trap - ERR; { export -p; printf "cd %%q\\n" "$PWD"; } > "$TERMINAL"; echo "${failed_line:-0}" > "$TERMINAL.line"
    exit "$code"' EXIT
"""


class Place:
    """Machines, each with a folder and a terminal, and what runs in their background."""

    def __init__(self, folder, environment, seconds, waiting_room):
        self.folder = folder
        self.environment = environment
        self.seconds = seconds
        # Called with the text of a command that stays and its process; returns when it can be used.
        self.waiting_room = waiting_room
        self.running = []
        self.started = 0
        for name, options in [("strict", "-eEuo pipefail"), ("plain", "+e")]:
            with open(os.path.join(folder, name + ".bash"), "w") as file:
                file.write(PRELUDE % options)

    def start(self, script, machine, prelude, output):
        """A shell in a process group of its own."""
        environment = dict(
            self.environment.get(machine, self.environment["here"]), BASH_ENV=os.path.join(self.folder, prelude + ".bash"),
            TERMINAL=os.path.join(self.folder, machine + ".terminal"))
        # The script is a file so that errors name its lines, and standard input is nobody's.
        self.started += 1
        path = os.path.join(self.folder, f"commands-{self.started}")
        with open(path, "w") as file:
            file.write(script)
        return subprocess.Popen(
            ["bash", path], cwd=os.path.join(self.folder, machine), env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
            # Who starts us in a script's background has Ctrl-C ignored, which a terminal's commands have not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def finish(self, script, machine, prelude="strict", output=None):
        """Runs to the end; returns the exit code."""
        process = self.start(script, machine, prelude, output)
        try:
            return process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Failure(f"it did not end within {self.seconds} s") from None

    def run(self, block, machine):
        if "waits" in block.flags:
            self.wait_for_background()
        if "stays" in block.flags:
            self.stay(block, machine)
        elif block.language == "console":
            self.compare(block, machine)
        else:
            code = self.finish(block.text, machine)
            if code != 0:
                raise Failure(f"exit code {code}", self.failed_line(machine))

    def failed_line(self, machine):
        """Counted from 0 within the block; 0 when the shell could not tell."""
        try:
            with open(os.path.join(self.folder, machine + ".terminal.line")) as file:
                return max(0, int(file.read()) - 1)
        except (OSError, ValueError):
            return 0

    def stay(self, block, machine):
        log = os.path.join(self.folder, f"{machine}-{block.line}.log")
        with open(log, "w") as output:
            process = self.start("exec " + block.text, machine, "strict", output)
        self.running.append((process, f"{machine}, line {block.line}", log))
        try:
            self.waiting_room(block.text, process)
        except Failure as fault:
            raise Failure(f"{fault}\n{tail(log)}") from None

    def compare(self, block, machine):
        """Each command of a console block, and what it prints."""
        for number, command, wanted in console(block.text):
            path = os.path.join(self.folder, "output")
            with open(path, "w") as output:
                self.finish(command, machine, "plain", output)
            with open(path, errors="replace") as file:
                said = file.read()
            if not is_as_shown(said, wanted):
                raise Failure(f"it printed\n{said}instead of\n{wanted}", number)

    def wait_for_background(self):
        deadline = time.monotonic() + self.seconds
        for process, name, log in self.running:
            try:
                code = process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise Failure(f"{name} did not end within {self.seconds} s: {tail(log)}") from None
            # -9 is what a document itself kills.
            if code not in (0, -signal.SIGKILL):
                raise Failure(f"{name} ended with {code}: {tail(log)}")

    def interrupt(self):
        """Ctrl-C for whatever still runs; it must take that well."""
        faults = []
        for process, name, log in reversed(self.running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    code = process.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    code = process.wait()
                if code not in INTERRUPTED:
                    faults.append(f"{name}: exit code {code} after Ctrl-C: {tail(log)}")
        self.running = []
        return faults


def console(text):
    """(line within the block, command, what it prints) of each prompt; a command goes on after a backslash."""
    steps, command = [], False
    for number, line in enumerate(text.splitlines()):
        if line.startswith("$ "):
            steps.append([number, line[2:] + "\n", ""])
            command = line.endswith("\\")
        elif command:
            steps[-1][1] += line.removeprefix("> ") + "\n"
            command = line.endswith("\\")
        elif steps:
            steps[-1][2] += line + "\n"
    return [tuple(step) for step in steps]


def is_as_shown(said, wanted):
    """Whether an output is the one that is printed, in which `...` stands for anything; spaces at line ends do not count."""
    def trim(text):
        return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())

    return re.fullmatch(re.escape(trim(wanted)).replace(r"\.\.\.", ".*"), trim(said), re.S) is not None


def tail(path):
    with open(path, errors="replace") as file:
        return file.read()[-2000:]
