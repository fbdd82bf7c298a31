"""Holds System V objects of all kinds through ctypes, and finds every id, key and value as it was.

    holder.py undo|no-undo SEM SHM MSG KEY     ids and a key that belong to somebody else
"""

import ctypes
import errno
import os
import signal
import struct
import sys
import threading
import time

from system_v import (
    CREATE, EXCLUSIVE, GETNCNT, GETVAL, KINDS, RMID, SETALL, STATS, UNDO, USE, Wrong, absent,
    by_file, by_index, check, control, describe, done, libc, operate, receive, semaphore, send,
)

KEY, SIZE = 0x61050A17, 3 * 4096 + 50
AT, SECOND_AT = 0x630000000000, 0x640000000000

owned = {}
children = []


def own(kind, number, key):
    done(number, f"cannot create {kind} with key {key:#x}")
    check((kind, number) not in owned, f"{kind} {number} was given twice")
    owned[kind, number] = key
    return number


def until(what, seen):
    deadline = time.monotonic() + 20
    while not seen():
        check(time.monotonic() < deadline, f"never seen: {what}")
        time.sleep(0.002)


def check_views(when):
    room = ctypes.create_string_buffer(256)
    for kind in KINDS:
        mine = {name: key for name, key in owned.items() if name[0] == kind}
        for command in STATS[kind]:
            found = by_index(kind, command)
            check(found == mine, f"indexes of {kind} are {found} {when}")
        found = by_file(kind)
        check(found == mine, f"/proc/sysvipc/{kind} is {found} {when}")
        command, offset = USE[kind]
        done(control(kind, 0, command, room), f"the use of {kind}")
        check(struct.unpack_from("i", room, offset)[0] == len(mine), f"{kind} are counted wrongly {when}")


def check_strangers(ids, key):
    for kind, number in zip(KINDS, ids):
        check(absent(kind, number), f"{kind} {number} of somebody else is there")
    for result in (libc.semget(key, 0, 0), libc.shmget(key, 0, 0), libc.msgget(key, 0)):
        check(result == -1 and ctypes.get_errno() == errno.ENOENT, "the key of somebody else is there")


def child(live):
    pid = os.fork()
    if pid:
        children.append(pid)
        return pid
    try:
        libc.prctl(1, signal.SIGKILL)
        live()
        os._exit(0)
    except Wrong as wrong:
        print(f"fail: in a child: {wrong}", flush=True)
    finally:
        os._exit(1)


def ends_well(pid, what):
    _, status = os.waitpid(pid, 0)
    children.remove(pid)
    check(status == 0, f"{what} ended with {status:#x}")


class Held:
    """The objects, and who is blocked in them."""

    def __init__(self):
        self.set = own("sem", libc.semget(KEY, 5, CREATE | EXCLUSIVE | 0o640), KEY)
        self.segment = own("shm", libc.shmget(KEY, SIZE, CREATE | EXCLUSIVE | 0o606), KEY)
        self.loose = own("shm", libc.shmget(0, 8192, CREATE | 0o600), 0)
        self.queue = own("msg", libc.msgget(KEY, CREATE | EXCLUSIVE | 0o622), KEY)
        self.closed = own("msg", libc.msgget(0, CREATE | 0o600), 0)
        # Only root can capture one that nobody has attached (docs/limits.md).
        self.attached = None if os.geteuid() == 0 else libc.shmat(self.loose, None, 0)
        done(libc.semctl(self.set, 0, SETALL, struct.pack("5H", 4, 0, 0, 10, 0)), "SETALL")
        check(libc.shmat(self.segment, AT, 0) == AT, "shmat")
        ctypes.memmove(AT + 8192, b"held", 5)
        for kind, text in ((5, b"five"), (3, b"three"), (5, b""), (7, b"seven")):
            send(self.queue, kind, text)
        self.taker = child(self.take)
        self.partner = child(self.share)
        self.debtor = child(self.owe)
        self.got = []
        self.receiver = threading.Thread(target=self.listen, daemon=True)
        self.receiver.start()
        until("the debt", lambda: semaphore(self.set, 3, GETVAL) == 13)
        until("the partner", lambda: semaphore(self.set, 4, GETVAL) == 1)

    def take(self):
        done(operate(self.set, (1, -1, 0)), "a blocked semop")

    def share(self):
        check(libc.shmat(self.segment, SECOND_AT, 0) == SECOND_AT, "shmat in the partner")
        done(operate(self.set, (4, 1, 0)), "semop of the partner")
        done(operate(self.set, (2, -1, 0)), "the partner's blocked semop")
        check(ctypes.string_at(SECOND_AT + 8192) == b"told", "the partner sees other memory")
        ctypes.memmove(SECOND_AT, b"answered", 9)

    def owe(self):
        done(operate(self.set, (3, 3, UNDO)), "semop with SEM_UNDO")
        signal.sigwait([signal.SIGTERM])

    def listen(self):
        try:
            self.got.append(receive(self.closed, 42, 0))
        except Wrong as wrong:
            self.got.append(wrong)

    def see_blocked(self):
        for index in (1, 2):
            until("blocked callers of semop", lambda: semaphore(self.set, index, GETNCNT) == 1)

    def check_keys(self):
        found = libc.semget(KEY, 0, 0), libc.shmget(KEY, 0, 0), libc.msgget(KEY, 0)
        check(found == (self.set, self.segment, self.queue), f"the key finds {found}")

    def wake(self):
        done(operate(self.set, (1, 1, 0)), "semop that wakes")
        ends_well(self.taker, "the caller of semop")
        ctypes.memmove(AT + 8192, b"told", 5)
        done(operate(self.set, (2, 1, 0)), "semop to the partner")
        ends_well(self.partner, "the partner")
        check(ctypes.string_at(AT) == b"answered", "memory is not shared any more")
        send(self.closed, 41, b"not this")
        send(self.closed, 42, b"late")
        self.receiver.join(20)
        check(self.got == [(42, b"late")], f"the receiving thread got {self.got}")
        check(receive(self.closed, 0) == (41, b"not this"), "the other message")

    def read_messages(self):
        wanted = (3, (3, b"three")), (-6, (5, b"five")), (0, (5, b"")), (0, (7, b"seven"))
        for kind, message in wanted:
            got = receive(self.queue, kind)
            check(got == message, f"{got} came instead of {message}")

    def settle(self, undone):
        os.kill(self.debtor, signal.SIGKILL)
        os.waitpid(self.debtor, 0)
        children.remove(self.debtor)
        check(not undone or semaphore(self.set, 3, GETVAL) == 10, "SEM_UNDO did not take back")


def make_more():
    kept = dict(owned)
    own("sem", libc.semget(0, 3, CREATE | 0o600), 0)
    own("shm", libc.shmget(KEY + 10, 4096, CREATE | EXCLUSIVE | 0o600), KEY + 10)
    own("msg", libc.msgget(KEY + 10, CREATE | EXCLUSIVE | 0o600), KEY + 10)
    check_views("with new objects")
    for kind, number in set(owned) - set(kept):
        done(control(kind, number, RMID), "IPC_RMID")
        del owned[kind, number]
        check(absent(kind, number), "a removed id is there")
    check_views("without new objects")


def leave(attached):
    done(libc.shmdt(AT), "shmdt")
    done(libc.shmdt(attached) if attached else 0, "shmdt")
    for kind, number in list(owned):
        done(control(kind, number, RMID), f"IPC_RMID of {kind}")
        del owned[kind, number]


def main():
    undone, ids, key = sys.argv[1] == "undo", [int(word) for word in sys.argv[2:5]], int(sys.argv[5], 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    check_views("at the start")
    check_strangers(ids, key)
    held = Held()
    held.see_blocked()
    check_views("before")
    before = {name: describe(*name) for name in owned}
    for (kind, number), its_key in owned.items():
        print("own", kind, number, its_key)
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM])
    held.see_blocked()
    for name, was in before.items():
        found = describe(*name)
        check(found == was, f"{name} was {was}, is {found}")
    check_views("after")
    check_strangers(ids, key)
    held.check_keys()
    make_more()
    held.wake()
    held.read_messages()
    held.settle(undone)
    leave(held.attached)
    check_views("at the end")


try:
    main()
    print("pass", flush=True)
except Wrong as why:
    print(f"fail: {why}", flush=True)
    for one in children:
        os.kill(one, signal.SIGKILL)
    for its_kind, identity in owned:
        control(its_kind, identity, RMID)
