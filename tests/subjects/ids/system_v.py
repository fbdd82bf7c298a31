"""System V objects by ctypes: calls, what IPC_STAT tells, and the lists of indexes and files."""

import ctypes
import errno
import struct

CREATE, EXCLUSIVE, NO_WAIT, UNDO = 0o1000, 0o2000, 0o4000, 0x1000
RMID, STAT, INFO = 0, 2, 3
GETPID, GETVAL, GETALL, GETNCNT, SETVAL, SETALL = 11, 12, 13, 14, 16, 17
KINDS = ("sem", "shm", "msg")
STATS = {"sem": (18, 20), "shm": (13, 15), "msg": (11, 13)}
USE = {"sem": (19, 28), "shm": (14, 0), "msg": (12, 0)}

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]
libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
libc.msgsnd.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
libc.msgrcv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long, ctypes.c_int]
libc.msgrcv.restype = ctypes.c_ssize_t


class Wrong(Exception):
    """What is not as it was."""


def check(holds, what):
    if not holds:
        raise Wrong(f"{what} (errno {ctypes.get_errno()})")


def done(result, what):
    check(result != -1, what)
    return result


def control(kind, number, command, argument=None):
    if kind == "sem":
        return libc.semctl(number, 0, command, argument)
    return getattr(libc, f"{kind}ctl")(number, command, argument)


def semaphore(identity, index, command, argument=0):
    return done(libc.semctl(identity, index, command, argument), f"semctl {command}")


def operate(identity, *operations):
    return libc.semop(identity, b"".join(struct.pack("Hhh", *one) for one in operations), len(operations))


def send(queue, kind, text):
    done(libc.msgsnd(queue, struct.pack("l", kind) + text, len(text), 0), "msgsnd")


def receive(queue, wanted, flags=NO_WAIT):
    room = ctypes.create_string_buffer(72)
    got = done(libc.msgrcv(queue, room, 64, wanted, flags), f"msgrcv of type {wanted}")
    return struct.unpack_from("l", room)[0], room.raw[8 : 8 + got]


def by_index(kind, command):
    room, found = ctypes.create_string_buffer(256), {}
    for index in range(control(kind, 0, INFO, room) + 1):
        number = control(kind, index, command, room)
        if number >= 0:
            found[kind, number] = struct.unpack_from("i", room)[0]
    return found


def by_file(kind):
    with open(f"/proc/sysvipc/{kind}", encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    return {(kind, int(row[1])): int(row[0]) for row in rows}


def describe(kind, number):
    room = ctypes.create_string_buffer(256)
    done(control(kind, number, STAT, room), f"IPC_STAT of {kind} {number}")
    permissions = struct.unpack_from("iIIIII", room)
    if kind == "sem":
        (count,) = struct.unpack_from("L", room, 80)
        values = (ctypes.c_ushort * count)()
        done(libc.semctl(number, 0, GETALL, values), "GETALL")
        return permissions, count, list(values)
    if kind == "shm":
        return permissions, struct.unpack_from("L", room, 48), struct.unpack_from("i4xL", room, 80)
    return permissions, struct.unpack_from("LLLii", room, 72)


def absent(kind, number):
    room = ctypes.create_string_buffer(256)
    return control(kind, number, STAT, room) == -1 and ctypes.get_errno() == errno.EINVAL
