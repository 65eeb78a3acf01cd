#!/usr/bin/env python3
"""Golden numbers of `chokepoint claims`, computed a second time in Python from nothing but published figures.

Usage: recompute_test.py CHOKEPOINT
Arithmetic, FLOP per token, the DualPipe schedule of DeepSeek-V3's step run by its dependencies, an all-to-all and the
percentiles of one assumption. Standard library only.
"""
import json
import math
import statistics
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)


def claims(*words):
    result = subprocess.run([PROGRAM, "claims", *words, "--format", "json"], capture_output=True, text=True, timeout=300)
    if result.returncode not in (0, 3):
        raise AssertionError(result.stderr)
    return {claim["id"]: claim for claim in json.loads(result.stdout)["claims"]}


# DeepSeek-V3, config_671B.json.
HIDDEN, HEADS, LAYERS, DENSE, VOCABULARY = 7168, 128, 61, 3, 129280
ATTENTION = HIDDEN * 1536 + 1536 * HEADS * 192 + HIDDEN * 576 + 512 * HEADS * 256 + HEADS * 128 * HIDDEN
EXPERT, DENSE_MLP, GATE, HEAD = 3 * HIDDEN * 2048, 3 * HIDDEN * 18432, HIDDEN * 256, HIDDEN * VOCABULARY


def train_gflop(sequence, causal, predicted):
    """3 times forward, 2 FLOP per multiply-add."""
    core = 2 * (sequence / 2 if causal else sequence) * (192 + 128) * HEADS
    expert_layer = 9 * EXPERT + GATE
    matrices = LAYERS * ATTENTION + DENSE * DENSE_MLP + (LAYERS - DENSE) * expert_layer + HEAD
    flop = 2 * matrices + LAYERS * core
    if predicted:
        flop += 2 * (2 * HIDDEN * HIDDEN + ATTENTION + expert_layer + HEAD) + core
    return 3 * flop / 1e9


class Stage:
    """Milliseconds of one micro-batch on one stage, from profile-data 4496024 and the dense and head times derived."""
    ATTENTION, MLP, DENSE = (4.45, 9.50, 2.40), (4.60, 5.35, 5.05), (4.247, 4.747, 5.073)
    HEAD, PROJECTION = (13.18, 11.68, 12.65), (0.935, 0.935, 0.935)
    FORWARD_TRANSFER, BACKWARD_TRANSFER = 4.35 + 6.00, 3.40 + 6.40

    def __init__(self, experts, dense=0, heads=0, projections=0):
        parts = [(self.ATTENTION, experts + dense), (self.MLP, experts), (self.DENSE, dense), (self.HEAD, heads),
                 (self.PROJECTION, projections)]
        self.compute = [sum(part[i] * count for part, count in parts) for i in range(3)]
        self.experts = experts
        self.forward = self.compute[0] + experts * self.FORWARD_TRANSFER
        self.backward_input = self.compute[1] + experts * self.BACKWARD_TRANSFER
        self.weight = self.compute[2]

    def beside(self, other):
        """This one's forward pass beside the other's backward pass: transfers hide, launch gaps do not."""
        compute = self.compute[0] + other.compute[1] + other.compute[2]
        transfers = (self.experts * (self.FORWARD_TRANSFER + 2) + other.experts * (self.BACKWARD_TRANSFER + 2))
        return max(compute, transfers) * 1.029


def program(rank, ranks, micro_batches):
    """DualPipe's steps 1 to 8 of one rank: ("F", phase), ("B", phase, split), ("W",), ("FB", forward, backward)."""
    half_ranks, from_end, half = ranks // 2, min(rank, ranks - 1 - rank), micro_batches // 2
    outer, is_middle = half_ranks - from_end - 1, rank in (half_ranks - 1, half_ranks)
    yield from [("F", 0)] * (2 * outer)
    yield from [("F", 0), ("F", 1)] * (from_end + 1)
    yield from [("B", 1, True), ("W",), ("F", 1)] * outer
    for i in range(half - ranks + from_end + 1):
        yield from [("F", 0), ("B", 1, False)] if i == 0 and is_middle else [("FB", 0, 1)]
        yield ("FB", 1, 0)
    yield from [("B", 1, False), ("FB", 1, 0)] * outer
    split = False
    for i in range(from_end + 1):
        split = split or (i == (from_end + 1) // 2 and from_end % 2 == 1)
        yield ("B", 1, split)
        split = split or (i == (from_end + 1) // 2 and from_end % 2 == 0)
        yield ("B", 0, split)
    yield from [("W",), ("B", 0, True)] * outer
    while True:
        yield ("W",)


class Run:
    def __init__(self, stages, micro_batches, hop):
        self.stages, self.hop, self.ranks = stages, hop, len(stages)
        self.programs = [program(rank, self.ranks, micro_batches) for rank in range(self.ranks)]
        self.next = [next(one) for one in self.programs]
        self.free, self.idle = [0.0] * self.ranks, [0.0] * self.ranks
        self.done = {}  # ("F" or "B", direction, rank, micro-batch): end
        self.count = [{("F", 0): 0, ("F", 1): 0, ("B", 0): 0, ("B", 1): 0} for _ in range(self.ranks)]
        self.weights = [[] for _ in range(self.ranks)]
        self.half = micro_batches // 2  # from each end

    def stage(self, rank, direction):
        return self.stages[self.ranks - 1 - rank if direction else rank]

    def ready(self, rank, kind, phase):
        """(moment, key) of a pass, or None while what it needs is not there."""
        direction = phase ^ (rank >= self.ranks // 2)
        number = self.count[rank][kind, phase]
        step = (1 if direction else -1) if kind == "F" else (-1 if direction else 1)
        before, key = rank + step, (kind, direction, rank, number)
        if 0 <= before < self.ranks:
            needed, lag = (kind, direction, before, number), self.hop
        elif kind == "F":
            return 0.0, key
        else:
            needed, lag = ("F", direction, rank, number), 0.0
        return (self.done[needed] + lag, key) if needed in self.done else None

    def finished(self, rank):
        return all(count == self.half for count in self.count[rank].values()) and not self.weights[rank]

    def advance(self, rank):
        task = self.next[rank]
        if task[0] == "W":
            start, keys, length = self.free[rank], [], self.weights[rank][0]
        else:
            wanted = {"F": [("F", task[1])], "B": [("B", task[1])], "FB": [("F", task[1]), ("B", task[-1])]}[task[0]]
            found = [self.ready(rank, *one) for one in wanted]
            if None in found:
                return False
            start, keys = max([self.free[rank]] + [moment for moment, _ in found]), [key for _, key in found]
            length = self.length(task, rank, keys)
        if task[0] == "W":
            self.weights[rank].pop(0)
        elif task[0] == "B" and task[2]:
            self.weights[rank].append(self.stage(rank, keys[0][1]).weight)
        self.idle[rank] += start - self.free[rank]
        self.free[rank] = start + length
        for (kind, direction, _, number) in keys:
            self.done[kind, direction, rank, number] = self.free[rank]
            self.count[rank][kind, direction ^ (rank >= self.ranks // 2)] += 1
        self.next[rank] = next(self.programs[rank])
        return True

    def length(self, task, rank, keys):
        if task[0] == "F":
            return self.stage(rank, keys[0][1]).forward
        if task[0] == "FB":
            return self.stage(rank, keys[0][1]).beside(self.stage(rank, keys[1][1]))
        stage = self.stage(rank, keys[0][1])
        return stage.backward_input + (0.0 if task[2] else stage.weight)

    def makespan(self):
        moved = True
        while moved:
            moved = False
            for rank in range(self.ranks):
                while not self.finished(rank) and self.advance(rank):
                    moved = True
        assert all(self.finished(rank) for rank in range(self.ranks)), "a rank waits for ever"
        return max(self.free)


def step_s(hop_ms):
    stages = [Stage(1, dense=3)] + [Stage(4) for _ in range(14)] + [Stage(2, heads=2, projections=1)]
    return Run(stages, 120, hop_ms).makespan() / 1e3 + 0.26


class Recomputed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.claims = claims()

    def row(self, claim, index=0):
        return self.claims[claim]["rows"][index]

    def test_arithmetic(self):
        self.assertAlmostEqual(self.row("dsv3.train.gpuh_identity")["derived"], 2048 * 19.926 / 3600 / (15360 * 4096) * 1e12, 6)
        self.assertAlmostEqual(self.row("dsv3.train.tokens_per_day")["derived"] / 1e9, 15360 * 4096 * 86400 / 19.926 / 1e9, 6)
        self.assertAlmostEqual(self.row("dsv3.train.total_usd")["derived"], (180e3 * 14.8 + 119e3 + 5e3) * 2, 6)
        self.assertAlmostEqual(self.row("dsv3.comm.tpot_limit")["derived"], 3 * 32 * 9 * 7000 / 50e9 * 2 * 61 * 1e3, 9)
        self.assertAlmostEqual(self.row("kv.bytes_per_token")["derived"], 70272, 9)
        revenue = (342e9 * 0.14 + 266e9 * 0.55 + 168e9 * 2.19) / 1e6
        self.assertAlmostEqual(self.row("dsv3.serve.margin")["derived"], revenue / (226.75 * 8 * 24 * 2) - 1, 9)

    def test_flop_per_token(self):
        self.assertAlmostEqual(self.row("dsv3.train.gflop_per_token")["derived"], train_gflop(4096, True, False), 6)
        self.assertAlmostEqual(train_gflop(4096, True, False), 250.45, 2)
        self.assertAlmostEqual(train_gflop(4096, True, True), 260.64, 2)

    def test_the_step_of_deepseek_v3(self):
        self.assertAlmostEqual(step_s(0.0), 18.625, 3)
        self.assertAlmostEqual(step_s(1.3), 18.700, 3)
        hours = step_s(1.3) * 2048 / 3600 / (15360 * 4096) * 1e12
        self.assertAlmostEqual(self.row("dsv3.train.gpuh_per_T")["unfitted"] / hours, 1.0, 5)

    def test_the_layer_pair(self):
        compute = sum(Stage.ATTENTION) + sum(Stage.MLP)
        self.assertAlmostEqual(compute, 31.35, 9)
        self.assertAlmostEqual(self.row("dsv3.train.pair_trace")["point"], 4 * compute * 1.029, 3)

    def test_percentiles_of_what_one_assumption_makes(self):
        """The gap between kernels, log-normal with 1.015 and 1.05 as 5th and 95th percentile, times a constant."""
        low, high = math.log(1.015), math.log(1.05)
        normal = statistics.NormalDist((low + high) / 2, (high - low) / 2 / statistics.NormalDist().inv_cdf(0.95))
        for key, share in (("p5", 0.05), ("derived", 0.5), ("p95", 0.95)):
            expected = 4 * 31.35 * math.exp(normal.inv_cdf(share))
            self.assertAlmostEqual(self.row("dsv3.train.pair_trace")[key] / expected, 1.0, 2)

    def test_the_all_to_all(self):
        """The network's share of 400 Gb/s, counted with the copies that stay on the own one of 8 nodes."""
        self.assertAlmostEqual(self.row("dsv3.comm.deepep_normal")["point"], 50 * 0.88 * 8 / 7, 6)

    def test_half_the_network_and_a_wider_link(self):
        narrow = claims("dsv3.train.gpuh_per_T", "--set", "network=25GB/s", "--draws", "100")
        self.assertAlmostEqual(narrow["dsv3.train.gpuh_per_T"]["change_by_settings"], 0.44, 2)
        wide = claims("dsv3.train.gpuh_per_T", "--set", "link=450GB/s", "--draws", "100")
        self.assertEqual(wide["dsv3.train.gpuh_per_T"]["change_by_settings"], 0.0)


if __name__ == "__main__":
    unittest.main()
