// How does a grouped product get onto the GPU? Tensor maps and arguments once, then copies of rows TMA cannot reach,
// and the launch.
#include "kernels/common/cuda/hopper/grouped.hpp"

#include "harness/base/error.hpp"
#include "kernels/common/cuda/hopper/pad_rows.cuh"
#include "kernels/common/cuda/launch.cuh"

namespace chokepoint::hopper {

GroupedEntry grouped_wide();
GroupedEntry grouped_low();
GroupedEntry grouped_fp8();

namespace {

GroupedEntry grouped_entry(const GroupedTask& task, const GroupedPlan& plan) {
  if (task.fp8) return grouped_fp8();
  return plan.name == ProductTileName::wide ? grouped_wide() : grouped_low();
}

TensorElement grouped_element(const GroupedTask& task) { return task.fp8 ? TensorElement::byte : TensorElement::bf16; }

TensorMap grouped_a_map(const GroupedTask& task, const GroupedPlan& plan, const void* a) {
  return encode_tensor_map(matrix_boxes(a, grouped_element(task), {.rows = task.m, .columns = task.k},
                                        {.rows = plan.tile().block_m, .columns = task.depth()}, plan.pitch));
}

// Half of a tile's columns in a box.
TensorMap grouped_b_map(const GroupedTask& task, const GroupedPlan& plan, const void* b) {
  return encode_tensor_map(matrix_boxes(b, grouped_element(task), {.rows = task.groups * task.n, .columns = task.k},
                                        {.rows = plan.tile().block_n / 2, .columns = task.depth()}, plan.pitch));
}

TensorMap grouped_c_map(const GroupedTask& task, const GroupedPlan& plan) {
  if (!plan.store_by_tma) return {};
  return encode_tensor_map(matrix_boxes(task.c, TensorElement::bf16, {.rows = task.m, .columns = task.columns()},
                                        {.rows = 64, .columns = 64}));
}

void check_task(const GroupedTask& task, const GroupedPlan& plan) {
  const auto refuse = [](const std::string& why) {
    throw Error(Fault::unsupported, "grouped product: " + why, "choose another kernel");
  };
  if (const auto obstacle = grouped_obstacle(task)) refuse(*obstacle);
  if (task.fp8 && plan.name != ProductTileName::wide) refuse("fp8 takes wide tiles");
  if (plan.grid == 0) refuse("no tile fits the shared memory of this GPU");
  if ((task.group_begin == nullptr) == (task.group_rows == nullptr)) refuse("groups are either contiguous or masked");
  if (plan.workspace_bytes() > 0 && task.workspace == nullptr)
    throw Error(Fault::device, "grouped product: the task has no workspace", "give it grouped_workspace_bytes(task)");
}

}  // namespace

std::int64_t grouped_workspace_bytes(const GroupedTask& task) {
  return grouped_plan(task, product_machine()).workspace_bytes();
}

GroupedLaunch::GroupedLaunch(const GroupedTask& task) : GroupedLaunch(task, grouped_plan(task, product_machine())) {}

GroupedLaunch::GroupedLaunch(const GroupedTask& task, const GroupedPlan& plan) : task_(task), plan_(plan) {
  check_task(task, plan);
  args_ = {.order = {.rows = {.begin = task.group_begin,
                              .count = task.group_rows,
                              .capacity = static_cast<int>(task.m / task.groups)},
                     .groups = static_cast<int>(task.groups),
                     .columns = plan.columns,
                     .column_block = plan.column_block,
                     .b_rows = static_cast<int>(task.n),
                     .group = plan.group},
           .k = static_cast<int>(task.k),
           .steps = plan.steps,
           .columns = static_cast<int>(task.columns()),
           .b_half = task.gated ? static_cast<int>(task.n / 2) : plan.tile().block_n / 2,
           .gated = task.gated,
           .store_by_tma = plan.store_by_tma,
           .c = task.c,
           .a_scale = task.a_scale,
           .b_scale = task.b_scale,
           .c_scale = task.c_scale,
           .memory_bytes = static_cast<std::int64_t>(task.memory_bytes + 0.5),
           .pace = task.pace};
  if (plan.workspace_bytes() > 0) {
    a_copy_ = task.workspace;
    b_copy_ = static_cast<unsigned char*>(task.workspace) + plan.a_bytes;
  }
  a_ = grouped_a_map(task, plan, a_copy_ != nullptr ? a_copy_ : task.a);
  b_ = grouped_b_map(task, plan, b_copy_ != nullptr ? b_copy_ : task.b);
  c_ = grouped_c_map(task, plan);
}

void GroupedLaunch::enqueue(void* stream, int multiprocessors) const {
  if (a_copy_ != nullptr) {
    launch_pad_rows(task_.a, a_copy_, task_.m, task_.k, plan_.pitch, stream);
    launch_pad_rows(task_.b, b_copy_, task_.groups * task_.n, task_.k, plan_.pitch, stream);
  }
  launch(grouped_entry(task_, plan_),
         {.grid = dim3(static_cast<unsigned>(grouped_grid(plan_, multiprocessors))),
          .block = dim3(static_cast<unsigned>(plan_.tile().threads())),
          .shared_bytes = static_cast<std::size_t>(grouped_shared_bytes(plan_.tile())),
          .cluster = plan_.tile().cluster},
         stream, a_, b_, c_, args_);
}

}  // namespace chokepoint::hopper
