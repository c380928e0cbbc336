"""Locks by name."""

import threading

from fedrisk.serving.turns import Turns


def test_one_name_waits_and_another_does_not():
    turns, order, inside = Turns(), [], threading.Event()

    def second():
        inside.wait(5)
        with turns.of("a"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with turns.of("a"):
        inside.set()
        with turns.of("b"):
            thread.join(0.05)
            order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert turns._taken == {}
