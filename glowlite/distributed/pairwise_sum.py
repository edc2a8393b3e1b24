"""A sum whose bits do not depend on how many processes share the work."""

from __future__ import annotations

from glowlite.arrays.backend import Array


class PairwiseSum:
    """The sum of 2^k vectors that come one after the other, added pairwise: ((0 + 1) + (2 + 3)) +
    ...

    Floating-point sums depend on their order. Here it is that of a binary tree, and what 2^j ranks
    add up between them is the top of the same tree: so the result is the same to the last bit for
    any such number of ranks. Cost: the memory of k vectors.
    """

    def __init__(self, vector: Array) -> None:
        self.vector = vector  # each one comes here, and their sum is left here
        self._waiting: list[tuple[int, Array]] = []  # sums of 2^level vectors without a partner yet

    def add(self, last: bool) -> None:
        """Take what is in the vector; leave zeros there, or, after the last one, the sum."""
        level = 0
        while self._waiting and self._waiting[-1][0] == level:
            earlier = self._waiting.pop()[1]
            earlier += self.vector  # the earlier one on the left: its place in the tree
            self.vector[...] = earlier
            level += 1
        if not last:
            self._waiting.append((level, self.vector.copy()))
            self.vector.fill(0)
