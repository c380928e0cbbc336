"""Long computations tell a listener how far they are, and cost nothing where nobody listens."""

from fedrisk.progress import counted, listening


def test_every_piece_is_told_and_comes_through():
    heard = []
    with listening(lambda *said: heard.append(said)):
        assert list(counted("x", iter("ab"), of=2)) == ["a", "b"]
    assert heard == [("x", 0, 2), ("x", 1, 2), ("x", 2, 2)]
    assert list(counted("x", iter("ab"))) == ["a", "b"]
    assert len(heard) == 3
