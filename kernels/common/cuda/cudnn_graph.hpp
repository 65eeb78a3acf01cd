// How is a graph of cuDNN built, planned and run? Through its C backend API, which is opened at run time.
//
// A graph is tensors (dimensions, strides, dtype) and operations between them. The heuristics name engines
// that can run it, best first; a plan is the first of them that compiles; an execution binds a plan to
// memory.
//   Graph graph;
//   const TensorId x = graph.array(CUDNN_DATA_FLOAT, {1, 4, 8}, {32, 8, 1}), two = graph.scalar(2.0F);
//   const TensorId y = graph.array(...);
//   graph.pointwise(CUDNN_POINTWISE_MUL, {x, two}, y);
//   auto plan = std::make_shared<Plan>(std::move(graph), Target::current_device());
//   Execution(plan, {{x, x_memory}, {y, y_memory}}, workspace).enqueue(stream);
// Everything throws Error: Fault::unsupported where cuDNN does not do what is asked for, Fault::device
// otherwise.
#pragma once

#include <cudnn_graph.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace chokepoint::cudnn {

// Why cuDNN cannot be used on this machine; empty when it can.
std::optional<std::string> missing();

// Version and file, or why it cannot be used.
std::string description();

// An object of the backend API. Setters take the attribute's type from the C++ type of the value.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    set_raw(name, attribute_type(value), 1, &value);
    return *this;
  }
  template <class T>
  Descriptor& set_all(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    set_raw(name, attribute_type(T{}), static_cast<std::int64_t>(values.size()), values.data());
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    set_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.handle_);
    return *this;
  }
  Descriptor& set_descriptors(cudnnBackendAttributeName_t name,
                              std::span<const cudnnBackendDescriptor_t> values) {
    set_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(values.size()), values.data());
    return *this;
  }
  Descriptor& set_text(cudnnBackendAttributeName_t name, const std::string& text) {
    set_raw(name, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(text.size()), text.data());
    return *this;
  }

  // Checks what was set; the object is complete afterwards. `what` names it in the error.
  void finalize(const std::string& what);

  cudnnBackendDescriptor_t get() const { return handle_; }

 private:
  static cudnnBackendAttributeType_t attribute_type(cudnnHandle_t) { return CUDNN_TYPE_HANDLE; }
  static cudnnBackendAttributeType_t attribute_type(cudnnDataType_t) { return CUDNN_TYPE_DATA_TYPE; }
  static cudnnBackendAttributeType_t attribute_type(bool) { return CUDNN_TYPE_BOOLEAN; }
  static cudnnBackendAttributeType_t attribute_type(std::int64_t) { return CUDNN_TYPE_INT64; }
  static cudnnBackendAttributeType_t attribute_type(void*) { return CUDNN_TYPE_VOID_PTR; }
  static cudnnBackendAttributeType_t attribute_type(cudnnBackendHeurMode_t) { return CUDNN_TYPE_HEUR_MODE; }
  static cudnnBackendAttributeType_t attribute_type(cudnnPointwiseMode_t) {
    return CUDNN_TYPE_POINTWISE_MODE;
  }
  static cudnnBackendAttributeType_t attribute_type(cudnnReduceTensorOp_t) {
    return CUDNN_TYPE_REDUCTION_OPERATOR_TYPE;
  }
  static cudnnBackendAttributeType_t attribute_type(cudnnMoeGroupedMatmulMode_t) {
    return CUDNN_TYPE_MOE_GROUPED_MATMUL_MODE;
  }

  void set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
               const void* values);

  cudnnBackendDescriptor_t handle_ = nullptr;
};

// The GPU that plans are made for.
class Target {
 public:
  // The current device of the calling thread. Made once: a handle of cuDNN is costly.
  static std::shared_ptr<const Target> current_device();
  // A GPU that need not be here, from JSON (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION): enough for graphs and
  // heuristics, not for running.
  static std::shared_ptr<const Target> described(const std::string& json);

  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  cudnnHandle_t handle() const { return handle_; }  // null when described
  // Sets whichever of the two this target is.
  void set(Descriptor& descriptor, cudnnBackendAttributeName_t handle_name,
           cudnnBackendAttributeName_t properties_name) const;
  const std::optional<Descriptor>& properties() const { return properties_; }

 private:
  Target() = default;
  cudnnHandle_t handle_ = nullptr;
  std::optional<Descriptor> properties_;
};

using TensorId = std::int64_t;

class Graph {
 public:
  // In device memory, bound when it is run. Strides in elements; memory is aligned to 16 bytes.
  TensorId array(cudnnDataType_t type, std::vector<std::int64_t> dims, std::vector<std::int64_t> strides);
  // Between operations only; row-major.
  TensorId intermediate(cudnnDataType_t type, std::vector<std::int64_t> dims);
  // The same with strides of its own: the last two dimensions exchanged, say.
  TensorId intermediate(cudnnDataType_t type, std::vector<std::int64_t> dims,
                        std::vector<std::int64_t> strides);
  // A number known now, with dimensions 1 x 1 x ... (`rank` of them).
  TensorId scalar(float value, std::size_t rank = 4);
  TensorId scalar(std::int32_t value, std::size_t rank = 4);

  // c = a b over the last two dimensions, summed in f32. With `lengths`, how much of each batch is real:
  // arrays of [batch, 1, 1, 1] i32 for the rows of a, the columns of b and the inner dimension.
  struct Lengths {
    std::optional<TensorId> rows = std::nullopt, columns = std::nullopt, inner = std::nullopt;
  };
  void matmul(TensorId a, TensorId b, TensorId c);
  void matmul(TensorId a, TensorId b, TensorId c, const Lengths& lengths);
  // y = mode(x[0], x[1]), by element, computed in `precision`. BINARY_SELECT: x[2] ? x[0] : x[1].
  void pointwise(cudnnPointwiseMode_t mode, std::initializer_list<TensorId> x, TensorId y,
                 cudnnDataType_t precision = CUDNN_DATA_FLOAT);
  // y[...] = index of the element along `axis`.
  void index(TensorId x, std::int64_t axis, TensorId y);
  // Over the dimensions that are 1 in y and not in x.
  void reduce(cudnnReduceTensorOp_t op, TensorId x, TensorId y);
  // Any operation of one descriptor whose tensors are attributes; `complete` sets what is not a tensor.
  void operation(
      cudnnBackendDescriptorType_t type, const std::string& what,
      const std::vector<std::pair<cudnnBackendAttributeName_t, TensorId>>& tensors,
      const std::function<void(Descriptor&)>& complete = [](Descriptor&) {});

  // The descriptor of all of it; checks that the operations fit together.
  Descriptor finalize(const Target& target) const;

  struct Layout {
    std::vector<std::int64_t> dims, strides;
  };
  const Layout& layout(TensorId id) const { return layouts_.at(static_cast<std::size_t>(id - 1)); }

  struct Value {
    TensorId id;
    alignas(16) unsigned char bytes[16];
  };
  const std::list<Value>& values() const { return values_; }

 private:
  TensorId add(cudnnDataType_t type, const std::vector<std::int64_t>& dims,
               const std::vector<std::int64_t>& strides, bool is_virtual, bool by_value);
  template <class T>
  TensorId add_scalar(cudnnDataType_t type, T value, std::size_t rank);
  const Descriptor& tensor(TensorId id) const { return tensors_.at(static_cast<std::size_t>(id - 1)); }

  std::vector<Descriptor> tensors_;  // id - 1 is the index
  std::vector<Layout> layouts_;      // the same
  std::list<Descriptor> parts_;      // what operations refer to
  std::vector<Descriptor> operations_;
  std::list<Value> values_;  // a list: their addresses are handed out
};

// Engines that the heuristics name for a graph, best first; at most `most`.
std::vector<Descriptor> engine_configs(const Descriptor& operation_graph, const Target& target,
                                       std::int64_t most = 16);

class Plan {
 public:
  // Compiles kernels: up to some seconds.
  Plan(Graph graph, std::shared_ptr<const Target> target);

  std::int64_t workspace_bytes() const { return workspace_bytes_; }

 private:
  friend class Execution;
  Graph graph_;
  std::shared_ptr<const Target> target_;
  Descriptor operation_graph_;
  std::vector<Descriptor> configs_;
  std::optional<Descriptor> plan_;
  std::int64_t workspace_bytes_ = 0;
};

class Execution {
 public:
  struct Binding {
    TensorId id;
    void* memory;
  };
  // `workspace` has plan->workspace_bytes(), and may be null when that is 0.
  Execution(std::shared_ptr<const Plan> plan, const std::vector<Binding>& bindings, void* workspace);

  // `stream` is a cudaStream_t. Allocates nothing and does not wait.
  void enqueue(void* stream) const;

 private:
  std::shared_ptr<const Plan> plan_;
  Descriptor pack_;
};

}  // namespace chokepoint::cudnn
