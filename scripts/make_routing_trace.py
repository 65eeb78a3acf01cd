#!/usr/bin/env python3
"""Writes a routing trace: which experts each token of a text chooses, best first.

The trace is SYNTHETIC. Nobody recorded it from a model; it has the two properties of real traces that matter to an
expert-parallel layer and that `balanced` and `random` routing lack:
  skew         some experts are wanted more than others (a lognormal popularity per expert);
  correlation  neighbouring tokens want similar experts: texts have topics that last for `--topic-tokens` tokens on
               average, and what is not topic follows an AR(1) process along the text.
Scores go through DeepSeek-V3's choice: sigmoid, the best groups by the sum of their two best, then the top_k.

  scripts/make_routing_trace.py > configs/traces/default.json        the shipped trace: all arguments at their defaults

Standard library only. The same arguments give the same file: random numbers are the generator's own (splitmix64), and
`sha256` in the file is that of the ids as lines of comma-separated numbers.
"""
import argparse
import hashlib
import math

MASK = (1 << 64) - 1


class Random:
    """splitmix64 (Steele, Lea, Flood 2014), so that no Python release changes the trace."""

    def __init__(self, seed):
        self.state = seed & MASK

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def unit(self):
        return self.bits() / (1 << 64)

    def normal(self):
        """Near normal, deviation 1: the sum of four uniforms of 16 bits, which has mean 2 and variance 1/3."""
        z = self.bits()
        total = (z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48)
        return (total / 65536.0 - 2.0) * math.sqrt(3.0)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=20260301)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--experts", type=int, default=256)
    parser.add_argument("--top-k", type=int, default=8)
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--group-limit", type=int, default=4)
    parser.add_argument("--skew", type=float, default=0.2, help="deviation of an expert's popularity, in logits")
    parser.add_argument("--topic", type=float, default=0.5, help="deviation of a topic's wishes, in logits")
    parser.add_argument("--topic-tokens", type=float, default=128.0, help="mean length of a topic")
    parser.add_argument("--memory", type=float, default=0.5, help="correlation of the rest from token to token")
    chosen = parser.parse_args()
    if chosen.experts % chosen.groups:
        parser.error(f"--groups {chosen.groups} does not divide --experts {chosen.experts}")
    if not 1 <= chosen.group_limit <= chosen.groups:
        parser.error(f"--group-limit {chosen.group_limit} is outside 1 to {chosen.groups}")
    if not 1 <= chosen.top_k <= chosen.group_limit * (chosen.experts // chosen.groups):
        parser.error(f"--top-k {chosen.top_k} is above the experts of {chosen.group_limit} groups, or below 1")
    return chosen


def choose(scores, chosen):
    """The top_k of the best groups, best first; the smaller index wins ties."""
    size = chosen.experts // chosen.groups
    groups = [sum(sorted(scores[g * size:(g + 1) * size])[-2:]) for g in range(chosen.groups)]
    best_groups = sorted(range(chosen.groups), key=lambda g: (-groups[g], g))[:chosen.group_limit]
    allowed = [e for g in best_groups for e in range(g * size, (g + 1) * size)]
    return sorted(allowed, key=lambda e: (-scores[e], e))[:chosen.top_k]


def trace(chosen):
    random = Random(chosen.seed)
    popularity = [chosen.skew * random.normal() for _ in range(chosen.experts)]
    fresh = math.sqrt(1.0 - chosen.memory * chosen.memory)
    rest = [random.normal() for _ in range(chosen.experts)]
    topic = None
    for _ in range(chosen.tokens):
        if topic is None or random.unit() < 1.0 / chosen.topic_tokens:
            topic = [chosen.topic * random.normal() for _ in range(chosen.experts)]
        rest = [chosen.memory * old + fresh * random.normal() for old in rest]
        yield choose([1.0 / (1.0 + math.exp(-(p + t + r))) for p, t, r in zip(popularity, topic, rest)], chosen)


def main():
    chosen = arguments()
    rows = [",".join(str(expert) for expert in row) for row in trace(chosen)]
    digest = hashlib.sha256("".join(row + "\n" for row in rows).encode()).hexdigest()
    print("{")
    print('  "schema": "chokepoint/trace/1",')
    print('  "summary": "Synthetic expert choices with skew and correlation, not recorded from a model.",')
    print(f'  "source": "scripts/make_routing_trace.py --seed {chosen.seed} --tokens {chosen.tokens}'
          f' --experts {chosen.experts} --top-k {chosen.top_k} --groups {chosen.groups}'
          f' --group-limit {chosen.group_limit} --skew {chosen.skew} --topic {chosen.topic}'
          f' --topic-tokens {chosen.topic_tokens} --memory {chosen.memory}",')
    print(f'  "experts": {chosen.experts},')
    print(f'  "top_k": {chosen.top_k},')
    print(f'  "tokens": {chosen.tokens},')
    print(f'  "sha256": "{digest}",')
    print('  "ids": [')
    print(",\n".join(f"    [{row}]" for row in rows))
    print("  ]")
    print("}")


if __name__ == "__main__":
    main()
