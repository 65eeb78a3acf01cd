#!/usr/bin/env python3
"""Kernels against a second implementation: numpy recomputes what `verify --dump` wrote, from the arrays and
problem.json alone. Written from the papers' definitions, without a look at the C++ that it judges.

Usage: numpy_test.py CHOKEPOINT
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
except ImportError:
    print("numpy is not installed", file=sys.stderr)
    sys.exit(77)

PROGRAM = os.path.abspath(sys.argv.pop(1))


def bf16_values(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


# OCP 8-bit E4M3: 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinity, 0x7f is NaN, largest 448.
def fp8_table():
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    size = np.where(exponent == 0, mantissa / 8 * 2.0 ** -6, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
    size = np.where((codes & 127) == 127, np.nan, size)
    return np.where(codes >= 128, -size, size)


FP8 = fp8_table()
FP8_SIZES = FP8[:127]


def nearest_fp8(values):
    """The value of the nearest code, ties to even codes, for |value| <= 448."""
    size = np.abs(values)
    above = np.clip(np.searchsorted(FP8_SIZES, size), 1, 126)
    low, high = FP8_SIZES[above - 1], FP8_SIZES[above]
    up = (size - low > high - size) | ((size - low == high - size) & (above % 2 == 0))
    return np.sign(values) * np.where(up, high, low)


def quantised(rows):
    """Blocks of 128 in f32: scale = max(max|v|, 1e-4) / 448."""
    rows = rows.astype(np.float32)
    result = np.empty(rows.shape, np.float64)
    for begin in range(0, rows.shape[1], 128):
        block = rows[:, begin:begin + 128]
        scale = np.maximum(np.abs(block).max(axis=1, keepdims=True), np.float32(1e-4)) / np.float32(448)
        result[:, begin:begin + 128] = nearest_fp8((block / scale).astype(np.float64)) * scale
    return result


def silu(x):
    return x / (1 + np.exp(-x))


class Dump:
    def __init__(self, operation, shape, dtype, kernel):
        with tempfile.TemporaryDirectory(prefix="chokepoint_numpy.") as folder:
            words = [PROGRAM, "verify", operation, "--shape", shape, "--dtype", dtype, "--kernel", kernel, "--dump", folder]
            result = subprocess.run(words, capture_output=True, text=True, timeout=120)
            if result.returncode != 0:
                raise AssertionError(" ".join(words) + "\n" + result.stdout + result.stderr)
            with open(os.path.join(folder, "problem.json"), encoding="utf-8") as file:
                self.problem = json.load(file)
            arrays = self.problem["arrays"]
            self.raw = {array["role"]: np.load(os.path.join(folder, array["file"])) for array in arrays}
        self.dtype = {array["role"]: array["dtype"] for array in arrays}
        self.shape = self.problem["shape"]

    def __getitem__(self, role):
        values = self.raw[role]
        if self.dtype[role] == "bf16":
            return bf16_values(values)
        if self.dtype[role] == "fp8_e4m3":
            return FP8[values]
        return values.astype(np.float64) if values.dtype.kind == "f" else values

    def matrices(self, role):
        """[.., rows, cols], with a scale per 128 x 128 block where there is one."""
        values = self[role]
        if role + "_scale" not in self.raw:
            return values
        scale = self[role + "_scale"].repeat(128, axis=-2).repeat(128, axis=-1)
        return values * scale[..., :values.shape[-2], :values.shape[-1]]


def relative_errors(values, truth):
    rms = np.sqrt(np.mean(truth ** 2))
    return np.abs(values - truth) / (np.abs(truth) + rms)


class MoeLayer(unittest.TestCase):
    def scores(self, dump):
        logits = dump["x"] @ dump["gate_weight"].T
        if dump.shape["scoring"] == "sigmoid":
            return 1 / (1 + np.exp(-logits))
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)

    def chosen(self, dump, scores):
        """As DeepSeek-V3 does: groups by the sum of their two best, then the best experts within those groups."""
        shape = dump.shape
        selection = scores + (dump["gate_bias"] if "gate_bias" in dump.raw else 0)
        tokens, experts, groups = len(scores), shape["experts"], shape["groups"]
        grouped = np.sort(selection.reshape(tokens, groups, experts // groups), axis=2)[:, :, -2:].sum(axis=2)
        best_groups = np.argsort(-grouped, axis=1, kind="stable")[:, :shape["group_limit"]]
        open_groups = np.zeros((tokens, groups), bool)
        np.put_along_axis(open_groups, best_groups, True, axis=1)
        selection = np.where(open_groups.repeat(experts // groups, axis=1), selection, -np.inf)
        return np.argsort(-selection, axis=1, kind="stable")[:, :shape["top_k"]]

    def mlp(self, x, gate_up, down, fp8):
        both = x @ gate_up.T
        width = both.shape[1] // 2
        hidden = silu(both[:, :width]) * both[:, width:]
        return (quantised(hidden) if fp8 else hidden) @ down.T

    def layer(self, dump, ids, weights):
        fp8 = dump.problem["dtype"] == "fp8_e4m3"
        x = quantised(dump["x"]) if fp8 else dump["x"]
        up, down = dump.matrices("w_gate_up"), dump.matrices("w_down")
        output = np.zeros(dump["output"].shape)
        for token in range(len(x)):
            for k in range(ids.shape[1]):
                expert = ids[token, k] % len(up)
                output[token] += weights[token, k] * self.mlp(x[token:token + 1], up[expert], down[expert], fp8)[0]
        if dump.shape["shared_experts"] > 0:
            output += self.mlp(x, dump.matrices("shared_gate_up"), dump.matrices("shared_down"), fp8)
        return output

    def check(self, shape, dtype, kernel="cpu_native"):
        dump = Dump("moe_layer", shape, dtype, kernel)
        scores = self.scores(dump)
        ids = dump["topk_ids"].astype(np.int64)
        tokens, top_k = ids.shape
        self.assertEqual((tokens, top_k), (dump.shape["tokens"], dump.shape["top_k"]))
        self.assertTrue(all(len(set(row)) == top_k for row in ids.tolist()), "an expert is chosen twice")
        self.assertTrue((ids >= 0).all() and (ids < dump.shape["experts"]).all())
        if dump.shape["routing"] == "random":
            np.testing.assert_array_equal(np.sort(ids, axis=1), np.sort(self.chosen(dump, scores), axis=1))
        weights = np.take_along_axis(scores, ids, axis=1)
        weights = weights / weights.sum(axis=1, keepdims=True) * dump.shape["routed_scaling_milli"] / 1000
        np.testing.assert_allclose(dump["topk_weights"], weights, rtol=1e-5)
        truth = self.layer(dump, ids, weights)
        self.assertEqual(len(dump["w_gate_up"]), dump.shape["experts"] // dump.shape["ep"])
        reference = relative_errors(dump["reference"], truth)
        output = relative_errors(dump["output"], truth)
        # A value of silu(g) * u next to the border between two fp8 codes may fall on either side of it.
        flips = dtype == "fp8_e4m3"
        self.assertLess(np.median(reference), 1e-9)
        self.assertLess(reference.max(), 0.05 if flips else 1e-9)
        self.assertLess(np.median(output), {"f32": 1e-6, "bf16": 2e-3, "fp8_e4m3": 4e-3}[dtype])
        self.assertLess(output.max(), {"f32": 5e-5, "bf16": 2.0 ** -6, "fp8_e4m3": 0.08}[dtype])

    def test_softmax_gate(self):
        self.check("tokens=13,hidden=72,intermediate=40,experts=8,top_k=3,routing=random", "f32")
        self.check("tokens=13,hidden=72,intermediate=40,experts=8,top_k=3,routing=random", "f32", "cpu_reference")

    def test_sigmoid_gate_with_groups_bias_scaling_and_shared_experts(self):
        shape = ("tokens=11,hidden=96,intermediate=48,experts=32,top_k=4,groups=8,group_limit=3,scoring=sigmoid,"
                 "routing=random,routed_scaling_milli=2500,shared_experts=2")
        for dtype in ("f32", "bf16"):
            self.check(shape, dtype)

    def test_expert_parallel_over_two_nodes_with_two_micro_batches(self):
        shape = ("tokens=21,hidden=80,intermediate=56,experts=32,top_k=4,groups=4,group_limit=2,scoring=sigmoid,"
                 "routing=random,ep=16,node_size=8,overlap=1,shared_experts=1")
        for dtype in ("f32", "bf16"):
            self.check(shape, dtype)

    def test_imposed_routing(self):
        for routing in ("balanced", "zipf", "trace"):
            self.check("tokens=17,hidden=64,intermediate=24,experts=16,top_k=2,ep=4,routing=" + routing, "bf16")

    def test_fp8_with_blocks_that_are_not_full(self):
        shape = ("tokens=9,hidden=200,intermediate=136,experts=16,top_k=3,groups=4,group_limit=2,scoring=sigmoid,"
                 "routing=random,ep=2,shared_experts=1,routed_scaling_milli=2500")
        self.check(shape, "fp8_e4m3")
        self.check("tokens=6,hidden=384,intermediate=256,experts=8,top_k=2,routing=random", "fp8_e4m3")


class Attention(unittest.TestCase):
    def keys_and_values(self, dump, batch, length):
        """[length, heads_kv, qk_dim] and [length, heads_kv, v_dim] of one sequence."""
        shape = dump.shape
        if shape["mode"] == "prefill":
            return dump["k"][batch, :length], dump["v"][batch, :length]
        page = shape["page_size"]
        pages = [dump["kv_cache"][dump["block_table"][batch, t // page]] for t in range(length)]
        if shape["variant"] == "mla":  # the value is a prefix of the key: [page_size, qk_dim]
            rows = np.stack([pages[t].reshape(page, -1)[t % page] for t in range(length)])[:, None]
            return rows, rows[:, :, :shape["v_dim"]]
        rows = np.stack([pages[t].reshape(shape["heads_kv"], page, -1)[:, t % page] for t in range(length)])
        return rows[:, :, :shape["qk_dim"]], rows[:, :, shape["qk_dim"]:]

    def check(self, shape, dtype, kernel="cpu_native"):
        dump = Dump("attention", shape, dtype, kernel)
        q, s = dump["q"], dump.shape
        lengths = dump["context_lengths"] if "context_lengths" in dump.raw else np.full(s["batch"], s["context"])
        truth = np.empty(dump["output"].shape)
        for batch in range(s["batch"]):
            length = int(lengths[batch])
            keys, values = self.keys_and_values(dump, batch, length)
            for head in range(s["heads_q"]):
                key, value = (array[:, head * s["heads_kv"] // s["heads_q"]] for array in (keys, values))
                scores = q[batch, :, head] @ key.T / np.sqrt(s["scale_dim"] or s["qk_dim"])
                position = length - s["seq_q"] + np.arange(s["seq_q"])
                if s["causal"]:
                    scores = np.where(np.arange(length)[None] <= position[:, None], scores, -np.inf)
                weights = np.exp(scores - scores.max(axis=1, keepdims=True))
                truth[batch, :, head] = weights / weights.sum(axis=1, keepdims=True) @ value
        self.assertLess(relative_errors(dump["reference"], truth).max(), 1e-9)
        self.assertLess(relative_errors(dump["output"], truth).max(), {"f32": 2e-5, "bf16": 2.0 ** -7}[dtype])

    def test_grouped_query_prefill(self):
        for causal in (0, 1):
            for dtype in ("f32", "bf16"):
                self.check("batch=2,heads_q=6,heads_kv=2,qk_dim=40,v_dim=24,seq_q=67,context=67,causal=%d" % causal, dtype)
        self.check("heads_q=4,heads_kv=4,qk_dim=16,v_dim=16,seq_q=5,context=131,causal=1", "f32", "cpu_reference")

    def test_a_chunk_of_a_ragged_prefill(self):
        self.check("batch=3,heads_q=4,heads_kv=1,qk_dim=32,v_dim=32,seq_q=9,context=73,causal=1,ragged=1", "bf16")

    def test_mla_prefill(self):
        self.check("variant=mla,heads_q=3,qk_dim=192,v_dim=128,seq_q=33,context=41,causal=1", "bf16")

    def test_grouped_query_decode_from_pages(self):
        for dtype in ("f32", "bf16"):
            self.check("mode=decode,batch=3,heads_q=8,heads_kv=2,qk_dim=24,v_dim=16,context=101,page_size=7,ragged=1", dtype)

    def test_absorbed_mla_decode_from_pages(self):
        for dtype in ("f32", "bf16"):
            self.check("mode=decode,variant=mla,batch=2,heads_q=5,heads_kv=1,qk_dim=576,v_dim=512,context=133,page_size=16,"
                       "ragged=1,scale_dim=192", dtype)
        self.check("mode=decode,variant=mla,batch=1,heads_q=16,heads_kv=1,qk_dim=576,v_dim=512,seq_q=2,context=64", "f32")


class Matmul(unittest.TestCase):
    def test_fp8_with_block_scales(self):
        dump = Dump("matmul", "m=5,n=200,k=300", "fp8_e4m3", "cpu_native")
        a = dump["a"] * dump["a_scale"].repeat(128, axis=1)[:, :300]
        scale = dump["b_scale"].repeat(128, axis=0).repeat(128, axis=1)
        b = dump["b"]
        truth = a @ (b * scale[:b.shape[0], :b.shape[1]]).T
        self.assertLess(relative_errors(dump["reference"], truth).max(), 1e-9)
        self.assertLess(relative_errors(dump["output"], truth).max(), 2.0 ** -7)

    def test_fp8_with_other_scales(self):
        for scaling, layout in (("tensor", "nk"), ("tensor", "kn"), ("1x128", "nk"), ("1x128", "kn")):
            dump = Dump("matmul", f"m=5,n=200,k=300,scaling={scaling},b_layout={layout}", "fp8_e4m3", "cpu_native")
            a_scale, b_scale = dump["a_scale"], dump["b_scale"]
            b = dump["b"] if layout == "nk" else dump["b"].T
            if scaling == "1x128":
                a_scale = a_scale.repeat(128, axis=1)[:, :300]
                b_scale = (b_scale if layout == "nk" else b_scale.T).repeat(128, axis=1)[:, :300]
            truth = (dump["a"] * a_scale) @ (b * b_scale).T
            self.assertLess(relative_errors(dump["reference"], truth).max(), 1e-9)
            self.assertLess(relative_errors(dump["output"], truth).max(), 2.0 ** -7)

    def test_both_layouts_of_b(self):
        for layout in ("nk", "kn"):
            dump = Dump("matmul", "m=7,n=31,k=45,b_layout=" + layout, "f32", "cpu_native")
            truth = dump["a"] @ (dump["b"].T if layout == "nk" else dump["b"])
            self.assertLess(relative_errors(dump["output"], truth).max(), 1e-5)


class RmsNorm(unittest.TestCase):
    def check(self, shape, epsilon, residual, dtype, kernel):
        dump = Dump("rms_norm", shape, dtype, kernel)
        h = dump["x"] + (dump["residual"] if residual else 0.0)
        y = h / np.sqrt((h ** 2).mean(axis=1, keepdims=True) + epsilon) * dump["gamma"]
        truth = np.stack([y, h]) if residual else y
        self.assertLess(relative_errors(dump["reference"], truth).max(), 1e-9)
        self.assertLess(relative_errors(dump["output"], truth).max(), 1e-6 if dtype == "f32" else 2.0 ** -8)

    def test_with_and_without_residual(self):
        for kernel in ("cpu_native", "cpu_reference"):
            for dtype in ("f32", "bf16"):
                self.check("tokens=7,hidden=129", 1e-6, False, dtype, kernel)
                self.check("tokens=5,hidden=67,residual=1,epsilon_nano=250000000", 0.25, True, dtype, kernel)


if __name__ == "__main__":
    unittest.main(verbosity=2)
