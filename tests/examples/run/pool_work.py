"""What the processes of `test_pool` do; run as a program, it spreads work that never ends and says when it has begun."""

import os
import signal
import sys
import time

from examples.run.pool import Tell, spread


def square(job: int, tell: Tell) -> int:
    tell((job, os.getpid()))
    if job < 0:
        raise ArithmeticError(f"no root of {job}")
    return job * job


def talk(job: int, tell: Tell) -> int:
    for word in range(300):
        tell((job, word))
    return job


def forever(job: int, tell: Tell) -> None:
    signal.signal(
        signal.SIGTERM, lambda *_: None
    )  # as training with Lightning does, which handles it in its own way
    tell(job)
    while True:
        time.sleep(0.01)


if __name__ == "__main__":
    try:
        spread(forever, [1, 2], 2, done=print, tell=lambda job: print("begun", job, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
