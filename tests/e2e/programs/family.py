"""Threads, a child with a pipe and a shared semaphore, and a subprocess: all count, and the numbers must agree."""
import multiprocessing
import subprocess
import sys
import threading
import time


def work(pipe, semaphore, total):
    while True:
        number = pipe.recv()
        with semaphore:
            total.value += number
        pipe.send(total.value)


def tick(counts, which):
    while True:
        counts[which] += 1
        time.sleep(0.001)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    ours, theirs = multiprocessing.Pipe()
    semaphore, total = multiprocessing.Semaphore(1), multiprocessing.Value("q", 0, lock=False)
    child = multiprocessing.Process(target=work, args=(theirs, semaphore, total), daemon=True)
    child.start()
    counts = [0, 0]
    for which in range(2):
        threading.Thread(target=tick, args=(counts, which), daemon=True).start()
    echo = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    expected = 0
    for number in range(1, sys.maxsize):
        ours.send(number)
        expected += number
        with semaphore:
            pass
        assert ours.recv() == expected, "the child has lost count"
        echo.stdin.write(f"{number}\n")
        echo.stdin.flush()
        assert echo.stdout.readline() == f"{number}\n", "the subprocess has lost a line"
        before = list(counts)
        # Rounds end when a thread stands still.
        while not all(now > then for now, then in zip(counts, before)):
            time.sleep(0.005)
        print(f"round {number} {expected}", flush=True)
