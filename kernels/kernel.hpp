// The contract between kernels and the harness: what a problem is, what a kernel offers, what a launch does.
//
// An operation owns shapes, inputs, the reference in double, the tolerance and the work counts; its kernels share
// them, so no kernel grades itself. Both register themselves from their own file:
//   kernels/<operation>/<operation>.cpp   const Register<Operation> operation{{.name = "matmul", ...}};
//   kernels/<operation>/<kernel>.cpp      const Register<Kernel> kernel{{.name = "cpu_native", .operation = "matmul", ...}};
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "harness/base/dtype.hpp"
#include "harness/base/registry.hpp"
#include "harness/base/resource.hpp"
#include "harness/base/tensor.hpp"
#include "kernels/pace.hpp"

namespace chokepoint {

class Device;  // harness/device/device.hpp; CPU kernels do not need it

// One field of an operation's shape: a whole number, or a word when `words` is not empty.
struct ShapeField {
  std::string name;
  std::string meaning;
  std::optional<std::int64_t> fallback = std::nullopt;  // value when the suite is silent; absent = required
  std::int64_t least = 1;
  std::int64_t most = std::int64_t{1} << 31;
  std::vector<std::string> words = {};  // allowed words; the first is the fallback
  // Where the fallback is not one number but the value of another field, which stands before this one.
  std::string fallback_field = {};
  // A complete shape has this field only where its value is not the fallback, given or not: for fields that came after
  // records did, whose shapes keep their text. Ask `has` first.
  bool unsaid_fallback = false;
};

// A shape: values by field name. Complete and within range once `complete_shape` has returned it.
class Shape {
 public:
  using Value = std::variant<std::int64_t, std::string>;

  Shape() = default;
  Shape(std::initializer_list<std::pair<const std::string, Value>> values) : values_(values) {}

  std::int64_t operator[](const std::string& field) const;      // a number; throws Error{config} when absent
  const std::string& word(const std::string& field) const;      // a word
  bool has(const std::string& field) const { return values_.contains(field); }
  void set(const std::string& field, Value value) { values_[field] = std::move(value); }
  const std::map<std::string, Value>& values() const { return values_; }
  std::string text() const;  // "k=512,m=64,n=128", fields in alphabetical order
  bool operator==(const Shape&) const = default;

 private:
  std::map<std::string, Value> values_;
};

// Work of one launch on the machine that plays one rank. Convention: each input read once and each output written
// once counts as memory traffic; link and network bytes are per direction; a multiply-add is 2 FLOP.
struct Work {
  double flop = 0.0;
  double memory_bytes = 0.0;
  double link_bytes = 0.0;
  double network_bytes = 0.0;
  double tokens = 0.0;         // 0 where the operation has no tokens
  double link_messages = 0.0;  // message latencies (alpha) on the critical path, per launch
  double network_messages = 0.0;

  double of(Resource resource) const {
    switch (resource) {
      case Resource::compute: return flop;
      case Resource::memory: return memory_bytes;
      case Resource::link: return link_bytes;
      case Resource::network: return network_bytes;
    }
    return 0.0;
  }
};

// Seed and distribution of the inputs: recorded, because power and speed depend on data.
struct InputSpec {
  std::uint64_t seed = 1;
  std::string distribution = "normal";
};

// A concrete problem: inputs in host memory, and how to know the right answer.
class Problem {
 public:
  virtual ~Problem() = default;

  // The same values in other memory: the harness rotates through copies, so that no cache flatters a kernel.
  virtual std::unique_ptr<Problem> clone() const = 0;

  virtual Work work() const = 0;
  virtual std::vector<const Tensor*> inputs() const = 0;

  // The output is one array; its last dimension is a row, the others together count rows.
  virtual std::vector<std::int64_t> output_dims() const = 0;
  virtual Dtype output_dtype() const = 0;

  // Rows of the output in double precision from the inputs as stored (rounded to dtype); [rows.size(), row length].
  virtual std::vector<double> reference(std::span<const std::int64_t> rows) const = 0;

  // Largest allowed error of an element, |out - ref| / (|ref| + rms of its row of ref), for a correct kernel of this
  // dtype.
  virtual double tolerance() const = 0;

  // Further arrays worth dumping (chosen experts and their weights, say), computed when asked for.
  virtual std::vector<Tensor> extras() const { return {}; }

  std::int64_t output_rows() const;
  std::int64_t output_row_length() const;
};

struct Operation {
  std::string name;
  std::string summary;
  std::vector<ShapeField> fields;
  std::vector<Dtype> dtypes;

  // Throws Error{config} when the fields of a complete shape do not go together (top_k above experts, say).
  std::function<void(const Shape&)> check = [](const Shape&) {};

  std::function<std::unique_ptr<Problem>(const Shape&, Dtype, const InputSpec&)> make;

  // Work without building the inputs; equals make(...)->work().
  std::function<Work(const Shape&, Dtype)> work;

  // A shape that moves about `amount` of `resource` and little else, where this operation can serve as its probe for
  // calibration and cap verification; empty otherwise. Compute is probed in the dtype of the case.
  std::function<std::optional<Shape>(Resource resource, double amount)> probe =
      [](Resource, double) { return std::optional<Shape>{}; };
};

// Some of a device's memory, which begins at a multiple of 16 bytes.
struct DeviceBytes {
  const void* at = nullptr;
  std::size_t bytes = 0;
};

// One prepared way to compute one problem. Launches are repeatable: each run recomputes the whole output.
class Launch {
 public:
  virtual ~Launch() = default;
  virtual void run() = 0;             // returns when the output is complete (CPU), or enqueued (cuda)
  virtual Tensor& output() = 0;       // host view of the last run's output, fetched when it lives elsewhere
  // The same; only these rows need be those of the last run.
  virtual Tensor& output_rows(std::span<const std::int64_t> /*rows*/) { return output(); }
  // The last run's output where it lies in the memory of its device; absent where that is the host's.
  virtual std::optional<DeviceBytes> output_on_device() const { return std::nullopt; }
  // What the record should say about how it is computed: a library's algorithm, say.
  virtual std::vector<std::pair<std::string, std::string>> remarks() const { return {}; }
  virtual void poison() { output().poison(); }  // fills the output, where it lives, with values that show
};

struct Kernel {
  std::string name;                          // the file's stem and the name on the command line
  std::string operation;
  std::string summary;
  std::string device = "cpu";                // kind of device it runs on
  std::vector<Dtype> dtypes = {};
  std::vector<Resource> paces = {};          // resources it charges on the pace clocks; empty for library kernels
  bool probes = true;                        // may stand in for the resource in calibration and cap probes
  // Smallest compute capability, times ten, of the GPU it needs, and whether only that very one will do (sm_90a).
  int least_sm = 0;
  bool exactly_that_sm = false;
  // Why this shape, dtype or machine is out of reach; empty when it is not. No exception, no side effect.
  std::function<std::optional<std::string>(const Shape&, Dtype)> unsupported = [](const Shape&, Dtype) {
    return std::optional<std::string>{};
  };
  // Multiprocessors that the wire of a launch of this shape is to have for itself, because products run beside it; 0
  // where they do not. Where the device can do it, its lanes are apart when a launch is prepared and when it runs.
  std::function<int(const Shape&)> wire_multiprocessors = [](const Shape&) { return 0; };
  // `problem` outlives the launch. `pace` clocks outlive it too.
  std::function<std::unique_ptr<Launch>(const Problem&, Device&, const Pace&)> prepare;

  bool charges(Resource resource) const;  // is it one that it paces?
};

// Kernels of different operations share names; within one operation a name is unique.
template <>
inline std::string registry_key<Kernel>(const Kernel& kernel) {
  return kernel.operation + "/" + kernel.name;
}

const Operation& find_operation(const std::string& name);                            // throws Error{config}
const Kernel& find_kernel(const std::string& operation, const std::string& name);    // throws Error{config}
std::vector<const Kernel*> kernels_of(const std::string& operation);                 // by name

// Fills in fallbacks that are said and checks names, ranges, words and `check`. Throws Error{config} naming the field.
Shape complete_shape(const Operation& operation, const Shape& shape);

// "m=64,n=128,b_layout=nk"; throws Error{config}.
Shape parse_shape(const std::string& text);

}  // namespace chokepoint
