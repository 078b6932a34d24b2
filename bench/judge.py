# SPDX-License-Identifier: MIT
"""Whether a target holds: the median and its interval, by order statistics.

Of n independent values, the k-th smallest and the k-th largest enclose the true median with
probability 1 - 2 * P(fewer than k of n fair coins show heads), whatever the distribution. No
assumption about noise is made, and nothing is drawn at random. Nine values: the second smallest and
the second largest, 96 %; fewer than six have no interval of 95 %.
"""

import dataclasses
import math
import statistics

CONFIDENCE = 0.95
PAIRS = 9  # fewer are no verdict


def interval(values):
    """(low, high) that encloses the median with CONFIDENCE or more, None if there are too few."""
    n = len(values)
    outside = 0.0
    k = 0
    while k < n // 2:
        outside += 2 * math.comb(n, k) / 2 ** n
        if 1 - outside < CONFIDENCE:
            break
        k += 1
    if k == 0:
        return None
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


@dataclasses.dataclass(frozen=True)
class Verdict:
    target: object
    median: float
    interval: tuple  # None if there were too few rounds
    pairs: int

    @property
    def words(self):
        """A limit that lies in the interval is reached as far as can be told."""
        if self.interval is None or self.pairs < PAIRS:
            return "not judged: %d rounds, %d are needed" % (self.pairs, PAIRS)
        low, high = self.interval
        limit = self.target.limit
        if self.target.relation == "<=":
            sure, possible = self.median <= limit, low <= limit
        else:
            sure, possible = self.median >= limit, high >= limit
        if sure:
            return "holds"
        return "holds, within the interval" if possible else "MISSED"


def judge(target, values, peer_values):
    """values and peer_values: of the same rounds, in order; peer_values None: an absolute limit."""
    if peer_values is None:
        figures = list(values)
    else:
        figures = [value / peer for value, peer in zip(values, peer_values)]
    return Verdict(target, statistics.median(figures), interval(figures), len(figures))
