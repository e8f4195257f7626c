#!/usr/bin/env python3
"""Runs a command under the filter of system calls that deploy/systemd/outboxd@.service asks systemd for, where systemd does
not run. Harsher than the unit: what it answers with EPERM ends the command here (SIGSYS), so that nothing is overlooked.

usage: unit_filter.py COMMAND [ARGUMENT…]
"""
import ctypes
import errno
import mmap
import os
import socket
import subprocess
import sys

import deployed

UNIT = "deploy/systemd/outboxd@.service"
# seccomp.h
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000
EQUAL, MASKED_EQUAL = 4, 7
# sched.h: clone's flags for new namespaces, which RestrictNamespaces= forbids.
NAMESPACES = 0x7E020080


def error(number):
    return 0x00050000 | number


class Condition(ctypes.Structure):
    """Of one argument of a call: equal to a, or to b where the mask a is 1."""

    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def settings(key):
    """What the unit says, word by word; a list for each line."""
    return [line.split("=", 1)[1].split() for line in deployed.text(UNIT).splitlines() if line.startswith(f"{key}=")]


def group(name):
    """The system calls of a group of systemd's, with those of the groups in it."""
    said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    calls = set()
    for word in map(str.strip, said.splitlines()[1:]):
        if word.startswith("@"):
            calls |= group(word)
        elif word and not word.startswith("#"):
            calls.add(word)
    return calls


def allowed_calls():
    """Later lines add, or with ~ take away; group by group, as systemd.exec(5) has it."""
    calls = set()
    for first, *others in settings("SystemCallFilter"):
        names = set().union(*map(group, [first.removeprefix("~"), *others]))
        calls = calls - names if first.startswith("~") else calls | names
    return calls


def rules():
    """(action, system call, conditions), for what is not allowed or forbidden as a whole."""
    writes_or_runs = mmap.PROT_WRITE | mmap.PROT_EXEC
    for prot in (0, mmap.PROT_WRITE, mmap.PROT_EXEC):
        yield ALLOW, "mmap", [Condition(2, MASKED_EQUAL, writes_or_runs, prot)]
    for call in ("mprotect", "pkey_mprotect"):
        yield ALLOW, call, [Condition(2, MASKED_EQUAL, mmap.PROT_EXEC, 0)]
    yield ALLOW, "clone", [Condition(0, MASKED_EQUAL, NAMESPACES, 0)]
    yield error(errno.ENOSYS), "clone3", []  # its flags cannot be seen: systemd has the C library fall back to clone
    (families,) = settings("RestrictAddressFamilies")
    known = {int(getattr(socket, name)) for name in families}
    for family in range(64):
        action = ALLOW if family in known else error(errno.EAFNOSUPPORT)
        yield action, "socket", [Condition(0, EQUAL, family, 0)]


def load():
    """For this process and what it becomes."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(KILL_PROCESS)))
    special = list(rules())
    whole = allowed_calls() - {call for _, call, _ in special}
    for action, call, conditions in [*((ALLOW, call, []) for call in sorted(whole)), *special]:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            continue  # of another processor
        array = (Condition * len(conditions))(*conditions)
        done = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(conditions), array)
        if done != 0:
            raise OSError(-done, f"{call}: {os.strerror(-done)}")
    done = library.seccomp_load(context)
    if done != 0:
        raise OSError(-done, os.strerror(-done))


if __name__ == "__main__":
    load()
    os.execv(sys.argv[1], sys.argv[1:])
