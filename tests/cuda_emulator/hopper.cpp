// What sm_90a adds to the machine besides products: mbarriers, the tensor memory accelerator, clusters.
//
// Sources: PTX ISA 9.0, "mbarrier", "Tensors", "stmatrix"; written from there, apart from hopper/layout.hpp.
#include "tests/cuda_emulator/hopper.hpp"

#include <cstdio>

#include "tests/cuda_emulator/machine.hpp"

namespace chokepoint::emulator {
namespace {

constexpr std::uint64_t kBarrierMark = 0x7265'6972'7261'626dULL;

}  // namespace

std::string hex_offset(std::uint64_t offset) {
  char buffer[24];
  std::snprintf(buffer, sizeof buffer, "0x%llx", static_cast<unsigned long long>(offset));
  return buffer;
}

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

std::uintptr_t offset_in(const Block& block, const void* address) {
  return number(address) - number(block.shared->data());
}

void require_fenced(const Block& block, std::uintptr_t begin, std::size_t bytes, const char* what) {
  for (const Unfenced& unfenced : block.unfenced)
    if (unfenced.begin < begin + bytes && begin < unfenced.end)
      throw std::runtime_error(std::string(what) + " reads shared memory at offset " +
                               hex_offset(unfenced.begin - number(block.shared->data())) + " that " +
                               place(*unfenced.writer) + " wrote, without a " +
                               (unfenced.fenced ? "barrier" : "fence_proxy_async of that thread") + " in between");
}

void publish_fenced(const Thread& thread) {
  std::vector<Unfenced>& unfenced = thread.block->unfenced;
  if (unfenced.empty()) return;
  std::erase_if(unfenced, [&](const Unfenced& one) { return one.fenced && one.writer == &thread; });
}

// Chunks of 16 bytes are permuted within 128, 64 or 32 bytes by the number of the 128-byte line.
std::uint32_t permuted(std::uint32_t address, hopper::Swizzle swizzle) {
  const std::uint32_t line = address / 128;
  switch (swizzle) {
    case hopper::Swizzle::none:
      return address;
    case hopper::Swizzle::bytes_128:
      return address ^ (line % 8) * 16;
    case hopper::Swizzle::bytes_64:
      return address ^ (line % 4) * 16;
    case hopper::Swizzle::bytes_32:
      return address ^ (line % 2) * 16;
  }
  throw std::runtime_error("a swizzle there is not");
}

namespace {

// Shared memory of the running block, or an error that names the offender.
void require_shared(const void* address, std::size_t bytes, std::size_t alignment, const char* what) {
  const Block& block = *current(what).block;
  if (number(address) < number(block.shared->data()) || offset_in(block, address) + bytes > block.shared->bytes())
    throw std::runtime_error(std::string(what) + ": " + std::to_string(bytes) + " bytes at offset " +
                             hex_offset(offset_in(block, address)) + " are outside of the block's shared memory");
  check_aligned(address, alignment, what);
}

// Mbarriers.

Mbarrier& barrier_at(Block& block, std::uintptr_t address, const char* what) {
  const auto found = block.mbarriers.find(address);
  const std::string where = " at offset " + hex_offset(address - number(block.shared->data()));
  if (found == block.mbarriers.end())
    throw std::runtime_error(std::string(what) + ": the mbarrier" + where + " was never initialised");
  std::uint64_t mark = 0;
  std::memcpy(&mark, reinterpret_cast<const void*>(address), sizeof mark);
  if (mark != kBarrierMark) throw std::runtime_error(std::string(what) + ": the mbarrier" + where + " was overwritten");
  return found->second;
}

void end_phase_if_complete(Mbarrier& barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  barrier.pending = barrier.count;
  ++barrier.phase;
  machine().idle_turns = 0;
  for (Thread* thread : barrier.waiting) wake(*thread);
  barrier.waiting.clear();
}

void arrive(Block& block, std::uintptr_t address, unsigned expected_bytes, const char* what) {
  Mbarrier& barrier = barrier_at(block, address, what);
  if (barrier.pending == 0)
    throw std::runtime_error(std::string(what) + ": more than " + std::to_string(barrier.count) +
                             " arrivals in one phase of the mbarrier at offset " +
                             hex_offset(address - number(block.shared->data())));
  barrier.bytes += expected_bytes;
  --barrier.pending;
  end_phase_if_complete(barrier);
}

Block& peer(const Block& block, unsigned rank, const char* what) {
  if (rank >= block.cluster.size())
    throw std::runtime_error(std::string(what) + ": the cluster has " + std::to_string(block.cluster.size()) +
                             " blocks, and no rank " + std::to_string(rank));
  Block& target = *block.cluster[rank];
  if (target.running == 0)
    throw std::runtime_error(std::string(what) + ": block " + std::to_string(rank) +
                             " of the cluster has returned, its shared memory is no longer its own");
  return target;
}

// Tensors.

std::size_t box_bytes(const hopper::TensorBoxes& boxes) {
  std::size_t bytes = static_cast<std::size_t>(bytes_of(boxes.element));
  for (int d = 0; d < boxes.rank; ++d) bytes *= static_cast<std::size_t>(boxes.box[static_cast<std::size_t>(d)]);
  return bytes;
}

// Calls body(address in global memory or null outside of the tensor, offset in the box) for each of its elements.
template <class Body>
void for_each_element(const hopper::TensorBoxes& boxes, const std::array<int, 5>& at, const Body& body) {
  const std::int64_t element = bytes_of(boxes.element);
  std::uint32_t offset = 0;
  std::array<int, 5> i{};
  for (i[4] = 0; i[4] < boxes.box[4]; ++i[4])
    for (i[3] = 0; i[3] < boxes.box[3]; ++i[3])
      for (i[2] = 0; i[2] < boxes.box[2]; ++i[2])
        for (i[1] = 0; i[1] < boxes.box[1]; ++i[1])
          for (i[0] = 0; i[0] < boxes.box[0]; ++i[0]) {
            bool inside = true;
            std::int64_t place = (at[0] + i[0]) * element;
            for (std::size_t d = 0; d < static_cast<std::size_t>(boxes.rank); ++d) {
              const std::int64_t coordinate = std::int64_t{at[d]} + i[d];
              inside = inside && coordinate >= 0 && coordinate < boxes.dims[d];
              if (d > 0) place += coordinate * boxes.pitch_bytes[d - 1];
            }
            auto* tensor = static_cast<std::byte*>(const_cast<void*>(boxes.address));
            body(inside ? tensor + place : nullptr, offset);
            offset += static_cast<std::uint32_t>(element);
          }
}

std::array<int, 5> coordinates(const hopper::TensorBoxes& boxes, std::initializer_list<int> at) {
  if (static_cast<int>(at.size()) != boxes.rank)
    throw std::runtime_error("TMA: " + std::to_string(at.size()) + " coordinates for a tensor of " +
                             std::to_string(boxes.rank) + " dimensions");
  std::array<int, 5> all{};
  std::copy(at.begin(), at.end(), all.begin());
  return all;
}

// Where the byte at `offset` of a box that begins at `box` (an offset in shared memory) really lies.
std::byte* in_box(const Block& block, std::uintptr_t box, std::uint32_t offset, hopper::Swizzle swizzle) {
  const auto address = static_cast<std::uint32_t>(box) + kSystemSharedBytes + offset;
  return block.shared->data() + (permuted(address, swizzle) - kSystemSharedBytes);
}

struct Load {
  hopper::TensorBoxes boxes;
  std::array<int, 5> at{};
  std::uintptr_t to = 0, barrier = 0;  // offsets
};

void finish_load(Block& block, const Load& load) {
  const auto element = static_cast<std::size_t>(bytes_of(load.boxes.element));
  for_each_element(load.boxes, load.at, [&](const std::byte* from, std::uint32_t offset) {
    std::byte* to = in_box(block, load.to, offset, load.boxes.swizzle);
    if (from != nullptr)
      std::memcpy(to, from, element);
    else
      std::memset(to, 0, element);
  });
  Mbarrier& barrier = barrier_at(block, number(block.shared->data()) + load.barrier, "the end of a TMA load");
  barrier.bytes -= static_cast<std::int64_t>(box_bytes(load.boxes));
  end_phase_if_complete(barrier);
}

float as_float(hopper::TensorElement element, const std::byte* at) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, at, static_cast<std::size_t>(bytes_of(element)));
  return std::bit_cast<float>(element == hopper::TensorElement::bf16 ? bits << 16 : bits);
}

std::uint32_t bf16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return (bits + 0x7fffU + (bits >> 16 & 1U)) >> 16;
}

void finish_store(const Block& block, const BulkStore& store) {
  const hopper::TensorBoxes& boxes = store.boxes;
  const std::uintptr_t box = offset_in(block, store.from);
  for_each_element(boxes, store.at, [&](std::byte* to, std::uint32_t offset) {
    if (to == nullptr) return;
    const std::byte* from = in_box(block, box, offset, boxes.swizzle);
    if (!store.add) {
      std::memcpy(to, from, static_cast<std::size_t>(bytes_of(boxes.element)));
      return;
    }
    const float sum = as_float(boxes.element, to) + as_float(boxes.element, from);
    const std::uint32_t bits =
        boxes.element == hopper::TensorElement::bf16 ? bf16_bits(sum) : std::bit_cast<std::uint32_t>(sum);
    std::memcpy(to, &bits, static_cast<std::size_t>(bytes_of(boxes.element)));
  });
}

}  // namespace

void thread_returned(Thread& thread) {
  Block& block = *thread.block;
  if (!thread.open_stores.empty() || !thread.store_groups.empty())
    throw std::runtime_error("returned with TMA stores in flight: its shared memory may be gone before they read it");
  if (!thread.open_products.empty() || !thread.product_groups.empty())
    throw std::runtime_error("returned with products in flight");
  --block.running;
  ClusterBarrier& barrier = *block.cluster_barrier;
  --barrier.threads;
  if (barrier.threads != 0 && barrier.arrived == barrier.threads) {
    barrier.arrived = 0;
    ++barrier.phase;
    for (Thread* waiting : barrier.waiting) wake(*waiting);
    barrier.waiting.clear();
  }
}

std::string describe_mbarrier(const Thread& thread) {
  const Mbarrier& barrier = *thread.wait_mbarrier;
  return " at offset " + hex_offset(thread.wait_address - number(thread.block->shared->data())) + " for parity " +
         std::to_string(thread.wait_parity) + ": phase " + std::to_string(barrier.phase) + " lacks " +
         std::to_string(barrier.pending) + " of " + std::to_string(barrier.count) + " arrivals and " +
         std::to_string(barrier.bytes) + " bytes";
}

std::uint32_t shared_address(const void* shared) {
  return static_cast<std::uint32_t>(offset_in(*current("shared_address").block, shared)) + kSystemSharedBytes;
}

void mbarrier_init(std::uint64_t* barrier, unsigned count) {
  require_shared(barrier, sizeof *barrier, 8, "mbarrier_init");
  if (count == 0 || count >= 1U << 20) throw std::runtime_error("mbarrier_init: a count of " + std::to_string(count));
  Block& block = *current("mbarrier_init").block;
  Mbarrier& made = block.mbarriers[number(barrier)];
  if (!made.waiting.empty()) throw std::runtime_error("mbarrier_init: somebody waits for it");
  made = {.count = count, .pending = count};
  std::memcpy(barrier, &kBarrierMark, sizeof kBarrierMark);
}

void mbarrier_arrive(std::uint64_t* barrier, unsigned expected_bytes) {
  publish_fenced(current("mbarrier_arrive"));
  arrive(*current("mbarrier_arrive").block, number(barrier), expected_bytes, "mbarrier_arrive");
  if (expected_bytes == 0) give_way();  // who expects bytes has told nobody anything yet
}

void mbarrier_arrive_in(std::uint64_t* barrier, unsigned rank) {
  publish_fenced(current("mbarrier_arrive_in"));
  const Block& block = *current("mbarrier_arrive_in").block;
  Block& target = peer(block, rank, "mbarrier_arrive_in");
  arrive(target, number(target.shared->data()) + offset_in(block, barrier), 0, "mbarrier_arrive_in");
  give_way();
}

void mbarrier_wait(std::uint64_t* at, unsigned parity) {
  Thread& me = current("mbarrier_wait");
  Mbarrier& barrier = barrier_at(*me.block, number(at), "mbarrier_wait");
  if ((barrier.phase & 1U) != parity) return;
  me.wait = "mbarrier";
  me.wait_mask = me.wait_id = 0;
  me.wait_mbarrier = &barrier;
  me.wait_address = number(at);
  me.wait_parity = parity;
  barrier.waiting.push_back(&me);
  suspend(me);
}

void tma_load(void* to, const unsigned char* map, std::initializer_list<int> at, std::uint64_t* barrier,
              unsigned blocks) {
  const Block& block = *current("TMA load").block;
  const Load load{.boxes = boxes_of(map),
                  .at = coordinates(boxes_of(map), at),
                  .to = offset_in(block, to),
                  .barrier = offset_in(block, barrier)};
  require_shared(to, box_bytes(load.boxes), 128, "TMA load");
  if (blocks == 0) blocks = 1U << block.rank;
  for (unsigned rank = 0; blocks >> rank != 0; ++rank) {
    if ((blocks >> rank & 1U) == 0) continue;
    Block& target = peer(block, rank, "TMA load");
    barrier_at(target, number(target.shared->data()) + load.barrier, "TMA load");
    std::memset(target.shared->data() + load.to, std::to_integer<int>(kPoison), box_bytes(load.boxes));
    machine().transfers.push_back([load, &block, rank] { finish_load(peer(block, rank, "TMA load"), load); });
  }
}

void bulk_load(void* to, const void* from, unsigned bytes, std::uint64_t* barrier) {
  require_shared(to, bytes, 16, "bulk_load");
  check_aligned(from, 16, "bulk_load from global memory");
  if (bytes % 16 != 0) throw std::runtime_error("bulk_load: " + std::to_string(bytes) + " bytes are no multiple of 16");
  Block& block = *current("bulk_load").block;
  barrier_at(block, number(barrier), "bulk_load");
  std::memset(to, std::to_integer<int>(kPoison), bytes);
  machine().transfers.push_back([=, &block] {
    std::memcpy(to, from, bytes);
    Mbarrier& counted = barrier_at(block, number(barrier), "the end of a bulk load");
    counted.bytes -= bytes;
    end_phase_if_complete(counted);
  });
}

void tma_store(const unsigned char* map, const void* from, std::initializer_list<int> at, bool add) {
  Thread& me = current("TMA store");
  BulkStore store{.boxes = boxes_of(map),
                  .at = coordinates(boxes_of(map), at),
                  .from = static_cast<std::byte*>(const_cast<void*>(from)),
                  .add = add};
  require_shared(from, box_bytes(store.boxes), 128, "TMA store");
  require_fenced(*me.block, number(from), box_bytes(store.boxes), "TMA store");
  if (add && store.boxes.element == hopper::TensorElement::byte)
    throw std::runtime_error("TMA store: bytes cannot be added");
  me.open_stores.push_back(store);
}

void tma_store_commit() {
  Thread& me = current("tma_store_commit");
  me.store_groups.push_back(std::move(me.open_stores));
  me.open_stores.clear();
}

void tma_store_wait(unsigned groups_left) {
  Thread& me = current("tma_store_wait");
  for (; me.store_groups.size() > groups_left; me.store_groups.pop_front())
    for (const BulkStore& store : me.store_groups.front()) finish_store(*me.block, store);
}

void store_tile_16(void* to, const void* value) {
  require_shared(to, 16, 16, "store_tile_16");
  Thread& me = current("store_tile_16");
  std::memcpy(to, value, 16);
  me.block->unfenced.push_back({number(to), number(to) + 16, &me});
}

void fence_proxy_async() {
  const Thread& me = current("fence_proxy_async");
  for (Unfenced& unfenced : me.block->unfenced) unfenced.fenced = unfenced.fenced || unfenced.writer == &me;
}

namespace {

// PTX ISA 9.0, "stmatrix": lane l holds elements 2(l%4) and 2(l%4)+1 of row l/4 of each matrix.
struct StoreSlot {
  std::byte* row;
  const std::uint32_t* from;
  unsigned matrices;
  Thread* thread;
};

void complete_stmatrix(const Slots& slots, unsigned) {
  const auto slot = [&](unsigned lane_index) -> const StoreSlot& {
    return *static_cast<const StoreSlot*>(slots[lane_index]);
  };
  for (unsigned i = 0; i < slot(0).matrices; ++i)
    for (unsigned row = 0; row < 8; ++row) {
      const StoreSlot& target = slot(8 * i + row);
      for (unsigned quad = 0; quad < 4; ++quad)
        std::memcpy(target.row + 4 * quad, slot(4 * row + quad).from + i, 4);
      target.thread->block->unfenced.push_back({number(target.row), number(target.row) + 16, target.thread});
    }
}

}  // namespace

void stmatrix(void* row, const std::uint32_t* registers, unsigned matrices) {
  static constexpr char kName[] = "stmatrix";
  require_full_warp(kName);
  if (lane() < 8 * matrices) require_shared(row, 16, 16, "row of stmatrix");
  StoreSlot slot{static_cast<std::byte*>(row), registers, matrices, &current(kName)};
  collective(kName, 0xffffffffU, complete_stmatrix, &slot);
}

unsigned cluster_rank() { return current("cluster_rank").block->rank; }

void cluster_arrive() {
  Thread& me = current("cluster_arrive");
  publish_fenced(me);
  ClusterBarrier& barrier = *me.block->cluster_barrier;
  me.cluster_phase = barrier.phase;
  if (++barrier.arrived < barrier.threads) return;
  barrier.arrived = 0;
  ++barrier.phase;
  machine().idle_turns = 0;
  for (Thread* thread : barrier.waiting) wake(*thread);
  barrier.waiting.clear();
}

void cluster_wait() {
  Thread& me = current("cluster_wait");
  ClusterBarrier& barrier = *me.block->cluster_barrier;
  if (barrier.phase != me.cluster_phase) return;
  me.wait = "the barrier of its cluster";
  me.wait_mask = me.wait_id = 0;
  barrier.waiting.push_back(&me);
  suspend(me);
}

}  // namespace chokepoint::emulator
