#!/usr/bin/env python3
"""The segmentation against an independent implementation: PELT (Killick, Fearnhead and Eckley 2012) with the bounded
cost found by trying every level at which its derivative can vanish. Another algorithm for the same minimum: the program
keeps the cost as a function of the level, this one keeps a list of places where the last change may lie.

Usage: change_points_test.py PROBE
"""
import math
import random
import subprocess
import sys

BOUND = 9.0  # squared, in deviations


def segment_cost(values):
    """min over level of sum min((x - level)^2, BOUND), in deviations: the optimum is the mean of the values within
    reach of it, and which these are changes only where a value comes into reach or leaves it."""
    reach = math.sqrt(BOUND)
    edges = sorted({x - reach for x in values} | {x + reach for x in values})
    levels = [(a + b) / 2 for a, b in zip(edges, edges[1:])]
    best = None
    for level in levels:
        near = [x for x in values if abs(x - level) < reach]
        centre = sum(near) / len(near) if near else level
        cost = sum(min((x - centre) ** 2, BOUND) for x in values)
        best = cost if best is None else min(best, cost)
    return best


def pelt(series, deviation, penalty):
    """Cost of the best segmentation, penalties included, and where its segments begin."""
    values = [x / deviation for x in series]
    total, last, candidates = [-penalty], [0], [0]
    for end in range(1, len(values) + 1):
        costs = {begin: total[begin] + segment_cost(values[begin:end]) + penalty for begin in candidates}
        best = min(costs, key=costs.get)
        total.append(costs[best])
        last.append(best)
        candidates = [begin for begin in candidates if costs[begin] - penalty <= total[end]] + [end]
    begins, at = [], len(values)
    while at > 0:
        at = last[at]
        begins.append(at)
    return total[-1], begins[::-1]


def cost_of(series, deviation, penalty, begins):
    values = [x / deviation for x in series]
    ends = begins[1:] + [len(values)]
    return sum(segment_cost(values[a:b]) for a, b in zip(begins, ends)) + penalty * (len(begins) - 1)


def cases():
    source = random.Random(20261126)
    for index in range(300):
        n = source.randint(1, 45)
        deviation = 10 ** source.uniform(-3, 1)
        series = [100 + source.gauss(0, deviation) for _ in range(n)]
        for _ in range(source.randint(0, 3)):  # steps
            at, size = source.randrange(n), source.uniform(-8, 8) * deviation
            series[at:] = [x + size for x in series[at:]]
        for _ in range(source.randint(0, 3)):  # spikes
            series[source.randrange(n)] += source.uniform(-40, 40) * deviation
        if index % 5 == 0:  # a timer with ticks: equal values
            series = [round(x / deviation) * deviation for x in series]
        yield series, deviation, source.choice([0.5, 3.0, 4 + 3 * math.log(max(n, 2)), 40.0])


def main():
    asked = list(cases())
    text = "".join(f"{d!r} {p!r} {len(s)} {' '.join(map(repr, s))}\n" for s, d, p in asked)
    answers = subprocess.run([sys.argv[1]], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(answers) == len(asked), (len(answers), len(asked))
    with_changes = 0
    for (series, deviation, penalty), answer in zip(asked, answers):
        words = answer.split()
        cost, begins = float(words[0]), [int(word.split(":")[0]) for word in words[1:]]
        expected, expected_begins = pelt(series, deviation, penalty)
        scale = 1e-6 * max(1.0, expected)
        assert abs(cost - expected) < scale, (cost, expected, series, deviation, penalty)
        # Where several segmentations cost the same, either is right.
        assert begins == expected_begins or abs(cost_of(series, deviation, penalty, begins) - expected) < scale, (
            begins, expected_begins, series, deviation, penalty)
        with_changes += len(begins) > 1
    assert with_changes > 100, with_changes
    print(f"{len(asked)} series agree, {with_changes} of them with changes")


if __name__ == "__main__":
    main()
