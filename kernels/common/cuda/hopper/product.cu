// How does a product get onto the GPU? Tensor maps and arguments once, then copies of rows TMA cannot reach, and the
// launch.
#include "kernels/common/cuda/hopper/product.hpp"

#include "harness/base/error.hpp"
#include "kernels/common/cuda/hopper/pad_rows.cuh"
#include "kernels/common/cuda/launch.cuh"

namespace chokepoint::hopper {

ProductEntry product_wide(bool b_is_kn);
ProductEntry product_medium(bool b_is_kn);
ProductEntry product_square(bool b_is_kn);
ProductEntry product_low(bool b_is_kn);
ProductEntry product_narrow(bool b_is_kn);
ProductEntry product_fp8_wide();
ProductEntry product_fp8_medium();
ProductEntry product_fp8_square();
ProductEntry product_fp8_low();
ProductEntry product_fp8_narrow();

namespace {

ProductEntry product_entry(ProductTileName name, bool b_is_kn) {
  switch (name) {
    case ProductTileName::narrow:
      return product_narrow(b_is_kn);
    case ProductTileName::fp8_wide:
      return product_fp8_wide();
    case ProductTileName::fp8_medium:
      return product_fp8_medium();
    case ProductTileName::fp8_square:
      return product_fp8_square();
    case ProductTileName::fp8_low:
      return product_fp8_low();
    case ProductTileName::fp8_narrow:
      return product_fp8_narrow();
    case ProductTileName::wide:
      return product_wide(b_is_kn);
    case ProductTileName::medium:
      return product_medium(b_is_kn);
    case ProductTileName::square:
      return product_square(b_is_kn);
    case ProductTileName::low:
      return product_low(b_is_kn);
  }
  return nullptr;
}

TensorElement element_of(const ProductTask& task) { return task.fp8 ? TensorElement::byte : TensorElement::bf16; }

TensorMap a_map(const ProductTask& task, const ProductPlan& plan, const void* a) {
  return encode_tensor_map(matrix_boxes(a, element_of(task), {.rows = task.m, .columns = task.k},
                                        {.rows = plan.tile().block_m, .columns = plan.tile().depth()}, plan.a_pitch));
}

// As one block of a cluster loads it.
TensorMap b_map(const ProductTask& task, const ProductPlan& plan, const void* b) {
  const ProductTile tile = plan.tile();
  if (task.b_is_kn && !task.fp8)
    return encode_tensor_map(matrix_boxes(b, TensorElement::bf16, {.rows = task.k, .columns = task.n},
                                          {.rows = tile.depth(), .columns = 64}, plan.b_pitch));
  return encode_tensor_map(matrix_boxes(b, element_of(task), {.rows = task.n, .columns = task.k},
                                        {.rows = tile.block_n / tile.cluster, .columns = tile.depth()}, plan.b_pitch));
}

TensorMap a_scale_map(const ProductTask& task, const ProductPlan& plan) {
  if (task.scales.a_pitch < task.m)
    throw Error(Fault::device, "product: a step of A's scales is shorter than m", "lay them out with scale_pitch(m)");
  return encode_tensor_map(matrix_boxes(task.scales.a, TensorElement::f32, {.rows = plan.steps, .columns = task.m},
                                        {.rows = 1, .columns = plan.tile().block_m}, task.scales.a_pitch,
                                        Swizzle::none));
}

TensorMap c_map(const ProductTask& task, const ProductPlan& plan) {
  if (!plan.store_by_tma) return {};
  return encode_tensor_map(matrix_boxes(task.c, TensorElement::bf16, {.rows = task.m, .columns = task.n},
                                        {.rows = 64, .columns = 64}));
}

}  // namespace

std::int64_t product_workspace_bytes(const ProductTask& task) {
  return product_plan(task, product_machine(task.multiprocessors)).workspace_bytes();
}

Product::Product(const ProductTask& task) : Product(task, product_plan(task, product_machine(task.multiprocessors))) {}

Product::Product(const ProductTask& task, const ProductPlan& plan) : task_(task), plan_(plan) {
  if (const auto obstacle = product_obstacle(task.m, task.n, task.k))
    throw Error(Fault::unsupported, "product: " + *obstacle, "choose another kernel");
  if (plan.grid == 0)
    throw Error(Fault::unsupported, "product: no tile fits the shared memory of this GPU", "choose another kernel");
  auto* workspace = static_cast<unsigned char*>(task.workspace);
  if (plan.workspace_bytes() > 0 && workspace == nullptr)
    throw Error(Fault::device, "product: the task has no workspace", "give it product_workspace_bytes(task)");
  args_ = {.m = static_cast<int>(task.m),
           .n = static_cast<int>(task.n),
           .k = static_cast<int>(task.k),
           .steps = plan.steps,
           .order = plan.order,
           .c = task.c,
           .c_is_f32 = task.c_is_f32,
           .store_by_tma = plan.store_by_tma,
           .counters = reinterpret_cast<unsigned*>(workspace),
           .memory_bytes = static_cast<std::int64_t>(task.memory_bytes + 0.5),
           .scales = task.scales,
           .pace = task.pace};
  workspace += plan.counter_bytes;
  args_.partials = reinterpret_cast<float*>(workspace);
  workspace += plan.partial_bytes;
  if (plan.a_bytes > 0) a_copy_ = workspace;
  workspace += plan.a_bytes;
  if (plan.b_bytes > 0) b_copy_ = workspace;
  a_ = a_map(task, plan, a_copy_ != nullptr ? a_copy_ : task.a);
  b_ = b_map(task, plan, b_copy_ != nullptr ? b_copy_ : task.b);
  c_ = c_map(task, plan);
  if (task.fp8) args_.a_scales = a_scale_map(task, plan);
}

void Product::enqueue(void* stream, int multiprocessors) const {
  const auto pad = task_.fp8 ? launch_pad_rows_of<std::uint8_t> : launch_pad_rows_of<std::uint16_t>;
  if (a_copy_ != nullptr) pad(task_.a, a_copy_, task_.m, task_.k, plan_.a_pitch, stream);
  if (b_copy_ != nullptr && task_.fp8 && task_.b_is_kn)
    launch_turn_bytes(task_.b, b_copy_, task_.k, task_.n, plan_.b_pitch, stream);
  else if (b_copy_ != nullptr)
    pad(task_.b, b_copy_, task_.b_is_kn ? task_.k : task_.n, task_.b_is_kn ? task_.n : task_.k, plan_.b_pitch, stream);
  launch(product_entry(plan_.name, task_.b_is_kn),
         {.grid = dim3(static_cast<unsigned>(product_grid(plan_, multiprocessors))),
          .block = dim3(static_cast<unsigned>(plan_.tile().threads())),
          .shared_bytes = static_cast<std::size_t>(product_shared_bytes(plan_.tile())),
          .cluster = plan_.tile().cluster},
         stream, a_, b_, c_, args_);
}

}  // namespace chokepoint::hopper
