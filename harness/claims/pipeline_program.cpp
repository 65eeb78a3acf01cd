#include "harness/claims/pipeline_program.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace chokepoint {
namespace {

// The passes of one rank. Micro-batches of a stage come in order; weight passes finish what was split off
// longest ago.
class RankProgram {
 public:
  void forward(int stage, int micro_batch) { passes_.push_back({PassKind::forward, stage, micro_batch}); }

  void backward(int stage, int micro_batch) {
    passes_.push_back({PassKind::backward, -1, -1, stage, micro_batch});
  }

  void backward_input(int stage, int micro_batch) {
    passes_.push_back({PassKind::backward_input, -1, -1, stage, micro_batch});
    split_.emplace_back(stage, micro_batch);
  }

  void overlapped(int forward_stage, int forward_micro_batch, int backward_stage, int backward_micro_batch) {
    passes_.push_back(
        {PassKind::overlapped, forward_stage, forward_micro_batch, backward_stage, backward_micro_batch});
  }

  void weight() {
    const auto [stage, micro_batch] = split_.front();
    split_.pop_front();
    passes_.push_back({PassKind::weight, -1, -1, stage, micro_batch});
  }

  int owed_weights() const { return static_cast<int>(split_.size()); }

  std::vector<Pass> take() {
    while (owed_weights() > 0) weight();
    return std::move(passes_);
  }

 private:
  std::vector<Pass> passes_;
  std::deque<std::pair<int, int>> split_;
};

std::vector<Pass> one_f_one_b_rank(int rank, const PipelinePlan& plan) {
  RankProgram program;
  int forward = 0;
  for (; forward < std::min(plan.ranks - 1 - rank, plan.micro_batches); ++forward)
    program.forward(rank, forward);
  for (int backward = 0; backward < plan.micro_batches; ++backward) {
    if (forward < plan.micro_batches) program.forward(rank, forward++);
    program.backward(rank, backward);
  }
  return program.take();
}

// Rank r puts off r weight passes: then gradients leave the last rank as early as they can, and what was put
// off fills the end. No rank holds more than `ranks` micro-batches.
std::vector<Pass> zb_h1_rank(int rank, const PipelinePlan& plan) {
  RankProgram program;
  int forward = 0;
  for (; forward < std::min(plan.ranks - 1 - rank, plan.micro_batches); ++forward)
    program.forward(rank, forward);
  for (int backward = 0; backward < plan.micro_batches; ++backward) {
    if (forward < plan.micro_batches) program.forward(rank, forward++);
    program.backward_input(rank, backward);
    if (program.owed_weights() > rank) program.weight();
  }
  return program.take();
}

// Chunks take turns, each with a group of as many micro-batches as there are ranks. The order is that of
// Megatron-LM's interleaved schedule (Narayanan et al. 2021, figure 4).
struct InterleavedOrder {
  int ranks, chunks;

  int micro_batch(int turn) const { return turn / (ranks * chunks) * ranks + turn % ranks; }
  int chunk(int turn) const { return turn % (ranks * chunks) / ranks; }
};

std::vector<Pass> interleaved_rank(int rank, const PipelinePlan& plan) {
  const InterleavedOrder order{plan.ranks, plan.chunks_per_rank};
  const int turns = plan.micro_batches * plan.chunks_per_rank;
  const int ahead = (plan.ranks - 1 - rank) * 2 + (plan.chunks_per_rank - 1) * plan.ranks;
  RankProgram program;
  const auto forward = [&](int turn) {
    program.forward(order.chunk(turn) * plan.ranks + rank, order.micro_batch(turn));
  };
  const auto backward = [&](int turn) {
    const int chunk = plan.chunks_per_rank - 1 - order.chunk(turn);
    program.backward(chunk * plan.ranks + rank, order.micro_batch(turn));
  };
  int next = 0;
  for (; next < std::min(ahead, turns); ++next) forward(next);
  for (int turn = 0; turn < turns; ++turn) {
    if (next < turns) forward(next++);
    backward(turn);
  }
  return program.take();
}

// Counts the micro-batches of a rank's two chunks and turns them into passes. `first` is where its own
// direction enters, `second` where the other does.
class TwoChunks {
 public:
  struct Chunk {
    int stage, next_forward, next_backward;
  };

  TwoChunks(Chunk first, Chunk second) : chunks_{first, second} {}

  void forward(int chunk) { program_.forward(chunks_[chunk].stage, chunks_[chunk].next_forward++); }
  void backward(int chunk) { program_.backward(chunks_[chunk].stage, chunks_[chunk].next_backward++); }
  void backward_input(int chunk) {
    program_.backward_input(chunks_[chunk].stage, chunks_[chunk].next_backward++);
  }
  void overlapped(int forward, int backward) {
    program_.overlapped(chunks_[forward].stage, chunks_[forward].next_forward++, chunks_[backward].stage,
                        chunks_[backward].next_backward++);
  }
  void weight() { program_.weight(); }
  std::vector<Pass> take() { return program_.take(); }

 private:
  RankProgram program_;
  Chunk chunks_[2];
};

// The eight steps of `step()` in deepseek-ai/DualPipe, dualpipe.py and dualpipev.py. `inward` ranks lie
// between this one and where the directions meet, `outward` on its other side; each chunk sees
// `micro_batches`.
std::vector<Pass> two_direction_rank(TwoChunks chunks, int outward, int inward, int micro_batches) {
  const bool innermost = inward == 0;
  for (int i = 0; i < 2 * inward; ++i) chunks.forward(0);
  for (int i = 0; i < outward + 1; ++i) {
    chunks.forward(0);
    chunks.forward(1);
  }
  for (int i = 0; i < inward; ++i) {
    chunks.backward_input(1);
    chunks.weight();
    chunks.forward(1);
  }
  const int pairs = micro_batches - 2 * inward - outward - 1;
  for (int i = 0; i < pairs; ++i) {
    if (i == 0 && innermost) {  // apart: the other direction waits for this backward pass
      chunks.forward(0);
      chunks.backward(1);
    } else {
      chunks.overlapped(0, 1);
    }
    chunks.overlapped(1, 0);
  }
  for (int i = 0; i < inward; ++i) {
    chunks.backward(1);
    chunks.overlapped(1, 0);
  }
  for (int pass = 0; pass < 2 * (outward + 1); ++pass) {  // the later half without weight gradients
    if (pass < outward + 1)
      chunks.backward(pass % 2 == 0 ? 1 : 0);
    else
      chunks.backward_input(pass % 2 == 0 ? 1 : 0);
  }
  for (int i = 0; i < inward; ++i) {
    chunks.weight();
    chunks.backward_input(0);
  }
  return chunks.take();
}

// Rank r holds stage r of one direction and of the other the stage that mirrors it. Either direction has its
// half of the micro-batches; the second half of the ranks is the first one's mirror image.
std::vector<Pass> dualpipe_rank(int rank, const PipelinePlan& plan) {
  const int half = plan.ranks / 2, mirror = plan.ranks - 1 - rank, each = plan.micro_batches / 2;
  const TwoChunks::Chunk down{rank, 0, 0}, up{mirror, each, each};
  const int outward = std::min(rank, mirror);
  const TwoChunks chunks = rank < half ? TwoChunks(down, up) : TwoChunks(up, down);
  return two_direction_rank(chunks, outward, half - 1 - outward, each);
}

// Rank r holds stage r on the way there and its mirror on the way back; every micro-batch passes both.
std::vector<Pass> dualpipev_rank(int rank, const PipelinePlan& plan) {
  const TwoChunks chunks({rank, 0, 0}, {2 * plan.ranks - 1 - rank, 0, 0});
  return two_direction_rank(chunks, rank, plan.ranks - 1 - rank, plan.micro_batches);
}

std::vector<Pass> rank_program(int rank, const PipelinePlan& plan) {
  switch (plan.schedule) {
    case Schedule::one_f_one_b:
      return one_f_one_b_rank(rank, plan);
    case Schedule::interleaved:
      return interleaved_rank(rank, plan);
    case Schedule::zb_h1:
      return zb_h1_rank(rank, plan);
    case Schedule::dualpipe:
      return dualpipe_rank(rank, plan);
    case Schedule::dualpipev:
      return dualpipev_rank(rank, plan);
  }
  return {};
}

}  // namespace

PipelineProgram pipeline_program(const PipelinePlan& plan) {
  check(plan);
  PipelineProgram program{.stages = plan.stages(), .micro_batches = plan.micro_batches};
  for (int rank = 0; rank < plan.ranks; ++rank) program.ranks.push_back(rank_program(rank, plan));
  return program;
}

}  // namespace chokepoint
