// softmax(scale q k^T) v over the keys of a sequence, on Hopper's tensor cores (sm_90a): prefill in bf16, f32 sums.
//
// Tile and pipeline: 128 queries of one head against `keys` keys at a time (hopper_plan.hpp). Persistent blocks of three
//   warpgroups. The first loads (one thread, TMA with 128-byte swizzle: queries once, then a ring of two blocks of keys
//   and one of two blocks of values) and paces (one lane of its second warp). Two have 64 queries each. While the
//   weights of a block of keys are computed, the tensor cores multiply those of the block before by its values: scores
//   come from shared memory twice, weights stay in registers. With heads up to 128 columns the two take turns
//   to multiply, so that one computes weights while the other has the tensor cores.
// Registers: 40 for the loading warpgroup, 232 for the others, no spills. Shared memory: PrefillTile::shared_bytes, up to
//   224 KiB. Bound: compute (989 TFLOP/s on an H100 SXM by the datasheet).
// Ideas: overlap within and between warpgroups, keys from right to left, heavy tiles first: FlashAttention-3 (Shah et
//   al., 2024, sections 3.1 and 3.2). Online softmax: Milakov and Gimelshein, 2018. The pace is ours.
// Does not support: decode, other heads than those of kPrefillTiles, f32.
#pragma once

#include <cmath>

#include "kernels/attention/hopper_entries.cuh"
#include "kernels/attention/hopper_rows.cuh"
#include "kernels/common/cuda/hopper/epilogue.cuh"
#include "kernels/common/cuda/hopper/pace.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"

namespace chokepoint::hopper {

template <std::size_t kTile>
struct PrefillShared {
  static constexpr PrefillTile kShape = kPrefillTiles[kTile];
  static constexpr int kKeysAt = 0, kValuesAt = kRingBytes<PrefillTile::kStages>,
                       kQueriesAt = 2 * kRingBytes<PrefillTile::kStages>, kPaceAt = kQueriesAt + kRingBytes<1>;
  static_assert(kPaceAt + kPaceBytes <= PrefillTile::kNoteBytes, "the notes have room");
  static_assert(kStoreBytes <= kShape.query_bytes(), "the output leaves through the memory of the queries");

  __device__ PrefillShared() : base(dynamic_shared()) {}
  __device__ unsigned char* q(int consumer) const { return base + consumer * kShape.query_bytes(); }
  __device__ unsigned char* k(int stage) const { return q(2) + stage * kShape.key_bytes(); }
  __device__ unsigned char* v(int stage) const { return k(PrefillTile::kStages) + stage * kShape.value_bytes(); }
  __device__ unsigned char* notes() const { return v(PrefillTile::kStages); }

  __device__ Ring<PrefillTile::kStages> keys() const { return Ring<PrefillTile::kStages>(notes() + kKeysAt); }
  __device__ Ring<PrefillTile::kStages> values() const { return Ring<PrefillTile::kStages>(notes() + kValuesAt); }
  __device__ Ring<1> queries() const { return Ring<1>(notes() + kQueriesAt); }

  unsigned char* base;
};

// One tile of queries.
struct PrefillWork {
  PrefillPlace place;
  int head_kv, query, queries;  // the first, and how many there are
  int length;                   // keys of the sequence
  SeenKeys seen;
  int blocks;                   // of keys

  __device__ PrefillWork(const PrefillArgs& args, int index, int keys) : place(args.order.place(index)) {
    head_kv = place.head / args.order.heads_per_kv;
    query = place.row_tile * PrefillTile::kQueries;
    queries = min(args.seq_q - query, PrefillTile::kQueries);
    length = args.lengths[place.b];
    seen = {.first = args.causal ? length - args.seq_q + 1 : length, .step = args.causal ? 1 : 0};
    blocks = (seen.by(query + queries - 1) + keys - 1) / keys;
  }
};

template <std::size_t kTile>
__device__ void prefill_load_queries(const PrefillShared<kTile>& shared, const TensorMap* q, Mbarrier* full,
                                     const PrefillWork& work) {
  constexpr PrefillTile kShape = kPrefillTiles[kTile];
  constexpr int kBoxBytes = 64 * kTileRowBytes;
  mbarrier_arrive_expect_tx(full, 2 * kShape.qk_dim / 64 * kBoxBytes);
  for (int consumer = 0; consumer < 2; ++consumer)
    for (int box = 0; box < kShape.qk_dim / 64; ++box)
      tma_load_2d(shared.q(consumer) + box * kBoxBytes, q, full, work.place.head * kShape.qk_dim + box * 64,
                  work.query + consumer * 64, Evict::first);
}

// `columns` of one head of `keys` rows from `key` on.
template <int kColumns, int kKeys>
__device__ void prefill_load_rows(unsigned char* to, const TensorMap* map, Mbarrier* full, int head, int key) {
  constexpr int kBoxBytes = kKeys * kTileRowBytes;
  mbarrier_arrive_expect_tx(full, kColumns / 64 * kBoxBytes);
#pragma unroll
  for (int box = 0; box < kColumns / 64; ++box)
    tma_load_2d(to + box * kBoxBytes, map, full, head * kColumns + box * 64, key, Evict::last);
}

template <std::size_t kTile>
__device__ void prefill_produce(const PrefillShared<kTile>& shared, const PrefillArgs& args, const TilePace& pace) {
  constexpr PrefillTile kShape = kPrefillTiles[kTile];
  const auto keys = shared.keys(), values = shared.values();
  const Ring<1> queries = shared.queries();
  Cursor query_at, key_at, value_at, gate;
  int acquired = -1;  // sequence
  for (int i = static_cast<int>(blockIdx.x); i < args.order.count(); i += static_cast<int>(gridDim.x)) {
    const PrefillWork work(args, i, kShape.keys);
    const SequenceMaps& maps = args.maps[work.place.b];
    if (work.place.b != acquired) {
      acquire_tensor_map(&maps.q);
      acquire_tensor_map(&maps.k);
      acquire_tensor_map(&maps.v);
      acquired = work.place.b;
    }
    pace.enter(gate);
    queries.wait_empty(query_at);
    prefill_load_queries(shared, &maps.q, queries.full(query_at), work);
    queries.next(query_at);
    for (int block = work.blocks - 1; block >= 0; --block) {
      keys.wait_empty(key_at);
      prefill_load_rows<kShape.qk_dim, kShape.keys>(shared.k(key_at.stage), &maps.k, keys.full(key_at), work.head_kv,
                                                    block * kShape.keys);
      keys.next(key_at);
      values.wait_empty(value_at);
      prefill_load_rows<kShape.v_dim, kShape.keys>(shared.v(value_at.stage), &maps.v, values.full(value_at),
                                                   work.head_kv, block * kShape.keys);
      values.next(value_at);
    }
  }
}

// As AttentionCost::charge: the bytes of keys and values are spread over all pairs of the heads that share them.
template <std::size_t kTile>
__device__ void prefill_charge(const PrefillArgs& args, TilePace& pace) {
  constexpr PrefillTile kShape = kPrefillTiles[kTile];
  constexpr double kRowBytes = 2.0 * (kShape.qk_dim + kShape.v_dim);  // of a query and its output, or a key and its value
  for (int i = static_cast<int>(blockIdx.x); i < args.order.count(); i += static_cast<int>(gridDim.x)) {
    const PrefillWork work(args, i, kShape.keys);
    const auto pairs = static_cast<double>(work.seen.pairs(work.query, work.query + work.queries));
    const double all = static_cast<double>(work.seen.pairs(0, args.seq_q)) * args.order.heads_per_kv;
    pace.admit(kRowBytes * (work.queries + work.length * (pairs / all)), 2.0 * (kShape.qk_dim + kShape.v_dim) * pairs);
  }
  pace.drain();
}

// Scores of keys that a query does not see become -infinity. Queries past the last see what the last one sees.
template <int kCount>
__device__ __forceinline__ void hide(float (&scores)[kCount], const PrefillWork& work, int first_row, int first_key) {
  const int thread = static_cast<int>(threadIdx.x % 128);
  int seen[2];
#pragma unroll
  for (int row = 0; row < 2; ++row)
    seen[row] = work.seen.by(work.query + min(first_row + accumulator_row(thread, 2 * row), work.queries - 1)) - first_key;
#pragma unroll
  for (int i = 0; i < kCount; ++i)
    if (accumulator_column(thread, i) >= seen[row_of_register(i)]) scores[i] = -INFINITY;
}

// Two warpgroups that take turns: 0 goes first.
class Turns {
 public:
  __device__ explicit Turns(int consumer) : consumer_(consumer) {
    if (consumer == 1) pass();
  }
  __device__ __forceinline__ void take() const { barrier_sync(kFirst + static_cast<unsigned>(consumer_), 256); }
  __device__ __forceinline__ void pass() const { barrier_arrive(kFirst + static_cast<unsigned>(1 - consumer_), 256); }

 private:
  static constexpr unsigned kFirst = 4;  // named barrier
  int consumer_;
};

// One warpgroup's 64 queries of a tile.
template <std::size_t kTile>
class PrefillRows {
 public:
  static constexpr PrefillTile kShape = kPrefillTiles[kTile];
  static constexpr int kKeys = kShape.keys, kColumns = kShape.v_dim;

  __device__ PrefillRows(const PrefillShared<kTile>& shared, const PrefillWork& work, int consumer, float factor)
      : shared_(shared), work_(work), consumer_(consumer), factor_(factor) {}

  // Issues scores = q k^T of the keys at `at`.
  __device__ __forceinline__ void multiply_keys(float (&scores)[kKeys / 2], const Cursor& at) const {
    const std::uint64_t q = k_major_descriptor(shared_address(shared_.q(consumer_)));
    const std::uint64_t k = k_major_descriptor(shared_address(shared_.k(at.stage)));
    sums_fence(scores);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kShape.qk_dim / 16; ++i)
      multiply_bf16<kKeys>(scores, advanced(q, i / 4 * 64 * kTileRowBytes + i % 4 * kStepBytes),
                           advanced(k, i / 4 * kKeys * kTileRowBytes + i % 4 * kStepBytes), i > 0);
    warpgroup_commit();
  }

  // Issues sums (+)= weights v of the values at `at`.
  __device__ __forceinline__ void multiply_values(float (&sums)[kColumns / 2], const std::uint32_t (&weights)[kKeys / 16][4],
                                                  const Cursor& at, bool keep) const {
    const std::uint64_t v = mn_major_descriptor(shared_address(shared_.v(at.stage)), kKeys);
    sums_fence(sums);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kKeys / 16; ++i)
      multiply_bf16<kColumns, Major::mn>(sums, weights[i], advanced(v, i * kMnMajorStepBytes), keep || i > 0);
    warpgroup_commit();
  }

  __device__ __forceinline__ void weigh_block(float (&scores)[kKeys / 2], int block, float (&carry)[2]) {
    const int first_key = block * kKeys;
    if (first_key + kKeys > work_.seen.by(work_.query)) hide(scores, work_, consumer_ * 64, first_key);
    weigh(scores, rows_, carry, factor_);
  }

  __device__ __forceinline__ void divide(float (&sums)[kColumns / 2]) const {
    float inverse[2];
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const float total = sum_of_quad(rows_.weights[row]);
      inverse[row] = total > 0.0F ? 1.0F / total : 0.0F;
    }
#pragma unroll
    for (int i = 0; i < kColumns / 2; ++i) sums[i] *= inverse[row_of_register(i)];
  }

 private:
  const PrefillShared<kTile>& shared_;
  const PrefillWork& work_;
  int consumer_;
  float factor_;
  RowSums rows_;
};

// Into `sums`: the output of one warpgroup's queries. The products of a block of keys are issued before those of the
// block of values before, and waited for first: weights are computed while the latter run.
template <std::size_t kTile>
__device__ __forceinline__ void prefill_attend(PrefillRows<kTile>& rows, const PrefillShared<kTile>& shared, int blocks,
                                               const Turns& turns, Cursor& key_at, Cursor& value_at,
                                               float (&sums)[PrefillRows<kTile>::kColumns / 2]) {
  constexpr int kKeys = PrefillRows<kTile>::kKeys;
  constexpr bool kTurns = kPrefillTiles[kTile].qk_dim <= 128;
  const auto keys = shared.keys(), values = shared.values();
  float scores[kKeys / 2], carry[2];
  std::uint32_t weights[kKeys / 16][4];
  keys.wait_full(key_at);
  if constexpr (kTurns) turns.take();
  rows.multiply_keys(scores, key_at);
  if constexpr (kTurns) turns.pass();
  warpgroup_wait<0>();
  sums_fence(scores);
  give_stage_back(keys.empty(key_at));
  keys.next(key_at);
  rows.weigh_block(scores, blocks - 1, carry);
  pack_weights(weights, scores);
  for (int block = blocks - 2; block >= 0; --block) {
    keys.wait_full(key_at);
    if constexpr (kTurns) turns.take();
    rows.multiply_keys(scores, key_at);
    values.wait_full(value_at);
    rows.multiply_values(sums, weights, value_at, block < blocks - 2);
    if constexpr (kTurns) turns.pass();
    warpgroup_wait<1>();
    sums_fence(scores);
    give_stage_back(keys.empty(key_at));
    keys.next(key_at);
    rows.weigh_block(scores, block, carry);
    warpgroup_wait<0>();
    sums_fence(sums);
    give_stage_back(values.empty(value_at));
    values.next(value_at);
#pragma unroll
    for (int i = 0; i < PrefillRows<kTile>::kColumns / 2; ++i) sums[i] *= carry[row_of_register(i)];
    pack_weights(weights, scores);
  }
  values.wait_full(value_at);
  rows.multiply_values(sums, weights, value_at, blocks > 1);
  warpgroup_wait<0>();
  sums_fence(sums);
  give_stage_back(values.empty(value_at));
  values.next(value_at);
  rows.divide(sums);
}

template <std::size_t kTile>
__device__ void prefill_consume(const PrefillShared<kTile>& shared, const PrefillArgs& args, int consumer) {
  constexpr PrefillTile kShape = kPrefillTiles[kTile];
  const Ring<1> queries = shared.queries();
  const Turns turns(consumer);
  SliceStore store(shared.q(consumer), 2 + static_cast<unsigned>(consumer));
  Cursor query_at, key_at, value_at;
  for (int i = static_cast<int>(blockIdx.x); i < args.order.count(); i += static_cast<int>(gridDim.x)) {
    const PrefillWork work(args, i, kShape.keys);
    PrefillRows<kTile> rows(shared, work, consumer, args.factor);
    float sums[kShape.v_dim / 2];
    queries.wait_full(query_at);
    prefill_attend(rows, shared, work.blocks, turns, key_at, value_at, sums);
    if (threadIdx.x % 128 == 0) acquire_tensor_map(&args.maps[work.place.b].output);
    const int column = work.place.head * kShape.v_dim;
    store.template tile<kShape.v_dim>(&args.maps[work.place.b].output, sums, column, work.query + consumer * 64,
                                      column + kShape.v_dim);
    // The queries' memory is the store's: it is given back when that has been read.
    if (threadIdx.x % 128 == 0) {
      tma_store_wait_read<0>();
      mbarrier_arrive(queries.empty(query_at));
    }
    queries.next(query_at);
  }
  store.finish();
}

template <std::size_t kTile>
__global__ void __launch_bounds__(PrefillTile::kThreads, 1) prefill_kernel(const __grid_constant__ PrefillArgs args) {
  const PrefillShared<kTile> shared;
  TilePace pace(shared.notes() + PrefillShared<kTile>::kPaceAt, args.pace);
  if (threadIdx.x == 0) {
    shared.keys().init(1, 2);
    shared.values().init(1, 2);
    shared.queries().init(1, 2);
    pace.init();
    fence_barrier_init();
  }
  __syncthreads();
  const int warp = __shfl_sync(0xffffffffU, static_cast<int>(threadIdx.x) / 32, 0);  // known to be the same in a warp
  if (warp < 4) {
    give_registers<40>();
    if (warp == 0 && lane_id() == 0) prefill_produce(shared, args, pace);
    if (warp == 1 && lane_id() == 0 && pace.on()) prefill_charge<kTile>(args, pace);
    __syncwarp();
  } else {
    take_registers<232>();
    prefill_consume(shared, args, warp / 4 - 1);
  }
}

}  // namespace chokepoint::hopper
