"""Whoever is alone inside is alone, and whoever waits for that is not overtaken for ever."""

from __future__ import annotations

import threading
import time

from pipeline.drain_gate import DrainGate


def test_nobody_is_inside_beside_the_one_that_is_alone() -> None:
    gate, inside, seen = DrainGate(), [0], []
    lock = threading.Lock()

    def call() -> None:
        for _ in range(20):
            with gate.shared():
                with lock:
                    inside[0] += 1
                time.sleep(0.001)
                with lock:
                    inside[0] -= 1

    def window() -> None:
        for _ in range(5):
            with gate.alone():
                seen.append(inside[0])
                time.sleep(0.002)
                seen.append(inside[0])

    threads = [threading.Thread(target=target) for target in [call] * 6 + [window] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    assert seen == [0] * 20


def test_the_gate_opens_again_after_an_error() -> None:
    gate = DrainGate()
    for enter in (gate.alone, gate.shared):
        try:
            with enter():
                raise ValueError
        except ValueError:
            pass
    with gate.alone():
        pass
