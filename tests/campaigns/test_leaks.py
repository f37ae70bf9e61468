"""The tracer reads addresses and files right, and an endpoint and a model started by hand leak nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaigns import leaks
from tests.support.traced import Leaks, leaks_of, why_untraceable

LINES = [
    'connect(3<s>, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0',
    'sendto(3<s>, "", 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.2")}, 16) = 1',
    "connect(3<s>, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
    'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 ENETUNREACH (No route)',
    'bind(3<s>, {sa_family=AF_INET, sin_port=htons(8808), sin_addr=inet_addr("0.0.0.0")}, 16) = 0',
    'connect(3<s>, {sa_family=AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"}, 42) = 0',
    'openat(AT_FDCWD</work>, "../user/.cache/device", O_WRONLY|O_CREAT, 0600) = 4</user/.cache/device>',
    'openat(6</user/.cache>, "queue.db", O_RDWR) = -1 EACCES (Permission denied)',
    'mkdir("/user/.cache", 0777) = 0',
    'rename("/home/new", "/etc/old") = 0',
    'mkdir("beside", 0777) = 0',
]
FINE = [
    'connect(3<s>, {sa_family=AF_INET, sin_port=htons(8808), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
    "connect(3<s>, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), "
    'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0',
    'connect(3<s>, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT (No such file)',
    "bind(3<s>, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0",
    'openat(AT_FDCWD</work>, "/user/.config", O_RDONLY|O_CLOEXEC) = 4</user/.config>',
    'openat(AT_FDCWD</work>, "/user/.netrc", O_RDWR) = -1 ENOENT (No such file or directory)',
    'openat(AT_FDCWD</work>, "/dev/null", O_RDWR) = 4</dev/null>',
    'openat(AT_FDCWD</home/a>, "log", O_WRONLY|O_CREAT, 0666) = 4</home/a/log>',
    'mkdir("/", 0777) = -1 EEXIST (File exists)',
    'mkdir("/home/b", 0777) = 0',
]


def test_each_kind_is_read_from_the_lines_of_strace() -> None:
    found = leaks_of([*LINES, *LINES, *FINE], [Path("/home")], Path("/work"))
    assert found.look_ups == (
        "asked 127.0.0.53 port 53",
        "asked 10.0.0.2 port 53",
        "asked /run/systemd/resolve/io.systemd.Resolve",
    )
    assert found.sockets == ("connect: 2001:db8::1 port 443", "bind: 0.0.0.0 port 8808")
    assert found.files == (
        "openat: /user/.cache/device",
        "openat: /user/.cache/queue.db",
        "mkdir: /user/.cache",
        "rename: /etc/old",
        "mkdir: /work/beside",
    )
    assert leaks_of(FINE, [Path("/home")], Path("/work")).all == ()


@pytest.fixture(scope="module", autouse=True)
def _traceable() -> None:
    if why := why_untraceable():
        pytest.skip(why)


def test_a_program_that_leaks_is_found(tmp_path: Path) -> None:
    found = leaks.control(tmp_path)
    assert found.look_ups and found.sockets and any("device-id" in line for line in found.files)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("world", [leaks.endpoint_by_hand, leaks.model_by_hand], ids=lambda one: one.__name__)
def test_what_is_started_by_hand_leaks_nothing(world: Callable[[Path], Leaks], tmp_path: Path) -> None:
    assert world(tmp_path).all == ()
