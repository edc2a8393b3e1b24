"""A sum whose bits do not depend on the number of processes."""

from __future__ import annotations

from glowlite.arrays.backend import Array


class PairwiseSum:
    """The sum of 2^k vectors that arrive one after the other, added pairwise: ((0 + 1) + (2 + 3)) +
    ...

    Floating-point sums depend on their order. Here the order is that of a binary tree, and the sum
    over 2^j ranks is the top of the same tree. So the result is bitwise equal for any such number
    of ranks. Cost: memory for k vectors.
    """

    def __init__(self, vector: Array) -> None:
        self.vector = vector  # each vector arrives here, and their sum is left here
        self._waiting: list[tuple[int, Array]] = []  # sums of 2^level vectors without a partner yet

    def add(self, last: bool) -> None:
        """Add the present content of the vector; leave zeros there or, after the last vector, the
        sum.
        """
        level = 0
        while self._waiting and self._waiting[-1][0] == level:
            earlier = self._waiting.pop()[1]
            earlier += self.vector  # the earlier sum is the left operand, its place in the tree
            self.vector[...] = earlier
            level += 1
        if not last:
            self._waiting.append((level, self.vector.copy()))
            self.vector.fill(0)
