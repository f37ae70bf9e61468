"""What a command and all its children reach beyond this machine and write beyond their folders, by strace.

Linux only, and only where a process may trace its children. Every call is counted, whether it succeeded or
not: a look-up that failed for want of a network would succeed elsewhere.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
CALLS = (
    "connect,bind,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat,mknod,mknodat,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat"
)
"""System calls that name an address, or that make or change a file."""
LOOK_UP_PORTS = frozenset({53, 853, 5353, 5355})
LOOK_UP_SOCKETS = ("/run/systemd/resolve/", "/run/avahi-daemon/")
HARMLESS = ("/dev/", "/proc/")
NOTHING_DONE = ("ENOENT", "EEXIST", "EISDIR", "ENXIO")
"""Errors of calls that only looked whether something is there."""
END_S = 20.0
"""How long a traced command may take to end after it was asked to, in seconds."""


@dataclass(frozen=True, slots=True)
class Leaks:
    """What left the places that it belongs to; each is one line to read."""

    look_ups: tuple[str, ...] = ()
    """Questions to a name service."""
    sockets: tuple[str, ...] = ()
    """Addresses beyond loopback that were spoken to or listened on."""
    files: tuple[str, ...] = ()
    """Paths outside the folders that are allowed."""

    def __add__(self, other: Leaks) -> Leaks:
        return Leaks(self.look_ups + other.look_ups, self.sockets + other.sockets, self.files + other.files)

    @property
    def all(self) -> tuple[str, ...]:
        """Every line."""
        return self.look_ups + self.sockets + self.files


def why_untraceable() -> str:
    """Why nothing can be traced here, and what to do; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian: apt-get install strace)"
    command = ["strace", "-f", "-qq", "-e", "trace=connect", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[:200]}"


def bare_environment(folder: Path, **more: str) -> dict[str, str]:
    """Variables of a user who has set nothing: a home and a temporary folder below `folder`, no switch of any
    library, and nothing by which a library knows a test machine and keeps still by itself."""
    for name in ("user", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder / "user"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


class Traced:
    """A command under strace: `with Traced([…], folder, env=…) as command: …`, then `command.leaks(allowed)`.

    Leaving the block waits until it and all its children have ended; one that still runs is asked to end.

    Args:
        command: program and arguments.
        folder: for the trace and its output, `output.log`; made, and not among what is judged.
        environment: its variables.
        cwd: where it runs.
        timeout_s: longest wait for it to end by itself, in seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str],
        cwd: Path = ROOT,
        timeout_s: float = 900,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self._cwd, self._timeout_s = folder, cwd, timeout_s
        options = ["-ff", "-qq", "-y", "-s", "300", "--seccomp-bpf", "-e", "signal=none"]
        options += ["-e", f"trace={CALLS}"]
        self._out = (folder / "output.log").open("wb")
        self._process = subprocess.Popen(
            ["strace", *options, "-o", str(folder / "calls"), "--", *command],
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Traced:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.wait(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            self.end()
        finally:
            self._out.close()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return (self.folder / "output.log").read_text(encoding="utf-8", errors="replace")

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def end(self) -> None:
        """Ask its processes to end, and end them if they do not. Not strace, which would let go of them."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                return
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=END_S)

    def leaks(self, allowed: Iterable[Path]) -> Leaks:
        """What it reached and wrote elsewhere; `allowed` are the folders that it may write into."""
        lines = (
            line
            for file in sorted(self.folder.glob("calls.*"))
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        )
        return leaks_of(lines, [*allowed, self.folder], self._cwd)


def leaks_of(lines: Iterable[str], allowed: Sequence[Path], cwd: Path) -> Leaks:
    """What lines of strace (`-y`) say of addresses and files, each once. Where a call does not tell the
    folder that its path starts from, it is `cwd`."""
    inside = tuple(f"{path.resolve()}{end}" for path in allowed for end in ("/", ""))
    look_ups, sockets, files = {}, {}, {}
    for line in lines:
        call = line.partition("(")[0]
        if "sa_family=" in line:
            for address, port in _addresses(line):
                if port in LOOK_UP_PORTS:
                    look_ups[f"asked {address} port {port}"] = None
                elif not _is_here(address):
                    sockets[f"{call}: {address} port {port}"] = None
            for path in re.findall(r'sun_path="([^"]+)"', line):
                if path.startswith(LOOK_UP_SOCKETS):
                    look_ups[f"asked {path}"] = None
        elif call in _FILE_CALLS and not any(f" {error} " in line for error in NOTHING_DONE):
            for path in _FILE_CALLS[call](line, cwd):
                known = path in inside or path.startswith(tuple(one for one in inside if one.endswith("/")))
                if not known and not path.startswith(HARMLESS):
                    files[f"{call}: {path}"] = None
    return Leaks(tuple(look_ups), tuple(sockets), tuple(files))


def _addresses(line: str) -> Iterator[tuple[str, int]]:
    for port, address in re.findall(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)', line):
        yield address, int(port)
    for port, address in re.findall(r'sin6_port=htons\((\d+)\),.*?inet_pton\(AF_INET6, "([^"]+)"', line):
        yield address, int(port)


def _is_here(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<at>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')


def _paths(line: str, cwd: Path) -> list[str]:
    return [os.path.normpath(Path(found["at"] or cwd, found["path"])) for found in _PATH.finditer(line)]


def _opened(line: str, cwd: Path) -> list[str]:
    changes = any(flag in line for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"))
    return _paths(line, cwd)[:1] if changes else []


def _made(line: str, cwd: Path) -> list[str]:
    return _paths(line, cwd)[-1:]


_FILE_CALLS = {
    **dict.fromkeys(("open", "openat"), _opened),
    **dict.fromkeys(("creat", "mkdir", "mkdirat", "mknod", "mknodat"), _made),
    **dict.fromkeys(("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"), _made),
}
"""Call → the paths that it changes."""
