#include "kernels/common/cuda/cudnn_graph.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>

#include "harness/base/error.hpp"
#include "harness/base/library.hpp"

namespace chokepoint::cudnn {
namespace {

constexpr std::int64_t kAlignmentBytes = 16;

// The functions of the library, as its header declares them.
struct Api {
  std::string name;  // of the library that was opened
  decltype(&cudnnGetVersion) version = nullptr;
  decltype(&cudnnGetErrorString) error_string = nullptr;
  decltype(&cudnnGetLastErrorString) last_error_string = nullptr;
  decltype(&cudnnCreate) create = nullptr;
  decltype(&cudnnDestroy) destroy = nullptr;
  decltype(&cudnnSetStream) set_stream = nullptr;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = nullptr;
  decltype(&cudnnBackendSetAttribute) set_attribute = nullptr;
  decltype(&cudnnBackendGetAttribute) get_attribute = nullptr;
  decltype(&cudnnBackendFinalize) finalize = nullptr;
  decltype(&cudnnBackendExecute) execute = nullptr;
  std::optional<std::string> missing = std::nullopt;
};

Api open_api() {
  Api api;
  const std::array<std::string, 2> names = {"libcudnn.so.9", "libcudnn_graph.so.9"};
  const auto library = Library::open(names);
  if (!library) {
    api.missing =
        "libcudnn.so.9 was not found; install cuDNN 9 (developer.nvidia.com/cudnn, or the Python package "
        "nvidia-cudnn-cu13) and put its folder on LD_LIBRARY_PATH";
    return api;
  }
  api.name = library->name();
  const auto find = [&](auto*& function, const char* symbol) {
    function = library->find<std::remove_reference_t<decltype(*function)>>(symbol);
    if (function == nullptr && !api.missing)
      api.missing = fmt::format("{} lacks {}; this was written for cuDNN 9.19", library->name(), symbol);
  };
  find(api.version, "cudnnGetVersion");
  find(api.error_string, "cudnnGetErrorString");
  find(api.last_error_string, "cudnnGetLastErrorString");
  find(api.create, "cudnnCreate");
  find(api.destroy, "cudnnDestroy");
  find(api.set_stream, "cudnnSetStream");
  find(api.create_descriptor, "cudnnBackendCreateDescriptor");
  find(api.destroy_descriptor, "cudnnBackendDestroyDescriptor");
  find(api.set_attribute, "cudnnBackendSetAttribute");
  find(api.get_attribute, "cudnnBackendGetAttribute");
  find(api.finalize, "cudnnBackendFinalize");
  find(api.execute, "cudnnBackendExecute");
  // Descriptions of absent devices and the single node for attention arrived during version 9.
  constexpr std::size_t kLeast = 91900;
  if (!api.missing && api.version() < kLeast)
    api.missing = fmt::format("{} is version {}, and 9.19 is the first this works with: update cuDNN",
                              library->name(), api.version());
  return api;
}

const Api& found_api() {
  static const Api api = open_api();
  return api;
}

const Api& api() {
  if (found_api().missing)
    throw Error(Fault::unsupported, "cuDNN: " + *found_api().missing, "choose a kernel that does without it");
  return found_api();
}

void check(cudnnStatus_t status, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 2048> detail{};
  api().last_error_string(detail.data(), detail.size());
  const bool unsupported = CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED ||
                           CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_BAD_PARAM;
  throw Error(unsupported ? Fault::unsupported : Fault::device,
              fmt::format("cuDNN refused {}: {}: {}", what, api().error_string(status), detail.data()),
              "choose another kernel or shape; CUDNN_LOGLEVEL_DBG=2 CUDNN_LOGDEST_DBG=stderr says more");
}

std::string listed(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

std::vector<std::int64_t> row_major(const std::vector<std::int64_t>& dims) {
  std::vector<std::int64_t> strides(dims.size(), 1);
  for (std::size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

}  // namespace

std::optional<std::string> missing() { return found_api().missing; }

std::string description() {
  const Api& api = found_api();
  if (api.missing) return *api.missing;
  const std::size_t version = api.version();  // 91900 is 9.19.0
  return fmt::format("{}.{}.{}, {}", version / 10000, version / 100 % 100, version % 100, api.name);
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  check(api().create_descriptor(type, &handle_),
        fmt::format("a descriptor of type {}", static_cast<int>(type)));
}

Descriptor::~Descriptor() {
  if (handle_ != nullptr) api().destroy_descriptor(handle_);
}

void Descriptor::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                         std::int64_t count, const void* values) {
  check(api().set_attribute(handle_, name, type, count, values),
        fmt::format("attribute {} of a descriptor", static_cast<int>(name)));
}

void Descriptor::finalize(const std::string& what) { check(api().finalize(handle_), what); }

std::shared_ptr<const Target> Target::current_device() {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<const Target>> made;  // by device; gone with the last plan
  const std::lock_guard lock(mutex);
  int device = 0;
  if (const cudaError_t code = cudaGetDevice(&device); code != cudaSuccess)
    throw Error(Fault::device, fmt::format("CUDA: {}", cudaGetErrorString(code)), "see chokepoint doctor");
  if (auto target = made[device].lock()) return target;
  std::shared_ptr<Target> target(new Target);
  check(api().create(&target->handle_), "a handle on the current device");
  made[device] = target;
  return target;
}

std::shared_ptr<const Target> Target::described(const std::string& json) {
  std::shared_ptr<Target> target(new Target);
  target->properties_.emplace(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  target->properties_->set_text(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, json);
  target->properties_->finalize("the description of a device");
  return target;
}

Target::~Target() {
  if (handle_ != nullptr) api().destroy(handle_);
}

void Target::set(Descriptor& descriptor, cudnnBackendAttributeName_t handle_name,
                 cudnnBackendAttributeName_t properties_name) const {
  if (properties_)
    descriptor.set(properties_name, *properties_);
  else
    descriptor.set(handle_name, handle_);
}

TensorId Graph::add(cudnnDataType_t type, const std::vector<std::int64_t>& dims,
                    const std::vector<std::int64_t>& strides, bool is_virtual, bool by_value) {
  const TensorId id = static_cast<TensorId>(tensors_.size()) + 1;
  Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
      .set_all(CUDNN_ATTR_TENSOR_DIMENSIONS, dims)
      .set_all(CUDNN_ATTR_TENSOR_STRIDES, strides)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignmentBytes)
      .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual)
      .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, by_value)
      .finalize(fmt::format("tensor {} of [{}] with strides [{}]", id, listed(dims), listed(strides)));
  tensors_.push_back(std::move(tensor));
  layouts_.push_back({dims, strides});
  return id;
}

TensorId Graph::array(cudnnDataType_t type, std::vector<std::int64_t> dims,
                      std::vector<std::int64_t> strides) {
  return add(type, dims, strides, false, false);
}

TensorId Graph::intermediate(cudnnDataType_t type, std::vector<std::int64_t> dims) {
  return add(type, dims, row_major(dims), true, false);
}

TensorId Graph::intermediate(cudnnDataType_t type, std::vector<std::int64_t> dims,
                             std::vector<std::int64_t> strides) {
  return add(type, dims, strides, true, false);
}

template <class T>
TensorId Graph::add_scalar(cudnnDataType_t type, T value, std::size_t rank) {
  const std::vector<std::int64_t> ones(rank, 1);
  Value& kept = values_.emplace_back(Value{add(type, ones, ones, false, true), {}});
  std::memcpy(kept.bytes, &value, sizeof value);
  return kept.id;
}

TensorId Graph::scalar(float value, std::size_t rank) { return add_scalar(CUDNN_DATA_FLOAT, value, rank); }
TensorId Graph::scalar(std::int32_t value, std::size_t rank) {
  return add_scalar(CUDNN_DATA_INT32, value, rank);
}

void Graph::operation(cudnnBackendDescriptorType_t type, const std::string& what,
                      const std::vector<std::pair<cudnnBackendAttributeName_t, TensorId>>& tensors,
                      const std::function<void(Descriptor&)>& complete) {
  Descriptor operation(type);
  for (const auto& [name, id] : tensors) operation.set(name, tensor(id));
  complete(operation);
  operation.finalize(what);
  operations_.push_back(std::move(operation));
}

void Graph::matmul(TensorId a, TensorId b, TensorId c) { matmul(a, b, c, {}); }

void Graph::matmul(TensorId a, TensorId b, TensorId c, const Lengths& lengths) {
  Descriptor& how = parts_.emplace_back(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  how.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT).finalize("how to multiply");
  std::vector<std::pair<cudnnBackendAttributeName_t, TensorId>> tensors = {
      {CUDNN_ATTR_OPERATION_MATMUL_ADESC, a},
      {CUDNN_ATTR_OPERATION_MATMUL_BDESC, b},
      {CUDNN_ATTR_OPERATION_MATMUL_CDESC, c}};
  if (lengths.rows) tensors.emplace_back(CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, *lengths.rows);
  if (lengths.columns)
    tensors.emplace_back(CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, *lengths.columns);
  if (lengths.inner) tensors.emplace_back(CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, *lengths.inner);
  operation(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, "a product of matrices", tensors,
            [&](Descriptor& operation) { operation.set(CUDNN_ATTR_OPERATION_MATMUL_DESC, how); });
}

void Graph::pointwise(cudnnPointwiseMode_t mode, std::initializer_list<TensorId> x, TensorId y,
                      cudnnDataType_t precision) {
  constexpr std::array kNames = {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                                 CUDNN_ATTR_OPERATION_POINTWISE_TDESC};
  Descriptor& how = parts_.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  how.set(CUDNN_ATTR_POINTWISE_MODE, mode)
      .set(CUDNN_ATTR_POINTWISE_MATH_PREC, precision)
      .finalize("how to combine elements");
  std::vector<std::pair<cudnnBackendAttributeName_t, TensorId>> tensors;
  for (const TensorId id : x) tensors.emplace_back(kNames.at(tensors.size()), id);
  tensors.emplace_back(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
            fmt::format("an operation by element (mode {})", static_cast<int>(mode)), tensors,
            [&](Descriptor& operation) { operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how); });
}

void Graph::index(TensorId x, std::int64_t axis, TensorId y) {
  Descriptor& how = parts_.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  how.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_GEN_INDEX)
      .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_INT32)
      .set(CUDNN_ATTR_POINTWISE_AXIS, axis)
      .finalize("how to count elements");
  operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "indices of elements",
            {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x}, {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}},
            [&](Descriptor& operation) { operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how); });
}

void Graph::reduce(cudnnReduceTensorOp_t op, TensorId x, TensorId y) {
  Descriptor& how = parts_.emplace_back(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  how.set(CUDNN_ATTR_REDUCTION_OPERATOR, op)
      .set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT)
      .finalize("how to reduce");
  operation(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, "a reduction",
            {{CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x}, {CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y}},
            [&](Descriptor& operation) { operation.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, how); });
}

Descriptor Graph::finalize(const Target& target) const {
  std::vector<cudnnBackendDescriptor_t> operations;
  for (const Descriptor& operation : operations_) operations.push_back(operation.get());
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set_descriptors(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations);
  if (target.handle() != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle());
  graph.finalize("the graph");
  return graph;
}

std::vector<Descriptor> engine_configs(const Descriptor& operation_graph, const Target& target,
                                       std::int64_t most) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, operation_graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_A);
  if (target.properties()) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties());
  heuristics.finalize("to name engines for the graph");
  std::vector<Descriptor> configs;
  std::vector<cudnnBackendDescriptor_t> handles;
  for (std::int64_t i = 0; i < most; ++i)
    handles.push_back(configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
  std::int64_t count = 0;
  check(api().get_attribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                            most, &count, handles.data()),
        "the engines of the graph");
  configs.erase(configs.begin() + std::min(count, most), configs.end());
  return configs;
}

Plan::Plan(Graph graph, std::shared_ptr<const Target> target)
    : graph_(std::move(graph)),
      target_(std::move(target)),
      operation_graph_(graph_.finalize(*target_)),
      configs_(engine_configs(operation_graph_, *target_)) {
  std::string reasons;
  for (const Descriptor& config : configs_) {
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    target_->set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
    try {
      plan.finalize("a plan");
    } catch (const Error& error) {  // the next engine may do
      reasons += (reasons.empty() ? "" : " | ") + error.message();
      continue;
    }
    check(api().get_attribute(plan.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                              nullptr, &workspace_bytes_),
          "the workspace of a plan");
    plan_ = std::move(plan);
    return;
  }
  throw Error(Fault::unsupported,
              fmt::format("none of the {} engines that cuDNN names runs this graph here{}{}", configs_.size(),
                          reasons.empty() ? "" : ": ", reasons),
              "choose another kernel or shape");
}

Execution::Execution(std::shared_ptr<const Plan> plan, const std::vector<Binding>& bindings, void* workspace)
    : plan_(std::move(plan)), pack_(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR) {
  std::vector<std::int64_t> ids;
  std::vector<void*> pointers;
  for (const Binding& binding : bindings) {
    ids.push_back(binding.id);
    pointers.push_back(binding.memory);
  }
  for (const Graph::Value& value : plan_->graph_.values()) {  // host memory: the API takes no const pointer
    ids.push_back(value.id);
    pointers.push_back(const_cast<unsigned char*>(value.bytes));
  }
  pack_.set_all(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids)
      .set_all(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace)
      .finalize("the memory of a plan");
}

void Execution::enqueue(void* stream) const {
  const cudnnHandle_t handle = plan_->target_->handle();
  if (handle == nullptr)
    throw Error(Fault::device, "cuDNN: a plan for a described device cannot run",
                "make it for the current device");
  check(api().set_stream(handle, static_cast<cudaStream_t>(stream)), "a stream");
  check(api().execute(handle, plan_->plan_->get(), pack_.get()), "to run a plan");
}

}  // namespace chokepoint::cudnn
