// What is the value of an expression that came out of a file? Sums, products, numbers and names; nothing is executed.
//
//   sum     := product (("+" | "-") product)*
//   product := factor (("*" | "/") factor)*
//   factor  := ("+" | "-") factor | number | name | "(" sum ")"
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace chokepoint {

inline constexpr std::size_t kMostExpressionBytes = 1000;
inline constexpr int kMostExpressionDepth = 50;  // parentheses and signs inside one another

// The value of a name; absent when there is no such name.
using Symbols = std::function<std::optional<double>(std::string_view name)>;

// A value, or what is wrong and where. `at` counts bytes from 0; `symbol` is the name nobody knows, where that is it.
struct Evaluation {
  std::optional<double> value;
  std::string fault, remedy, symbol;
  std::size_t at = 0;
};

// Never throws and never returns a value that is not finite: division by zero, overflow, an unknown name, a stray
// character and an expression that is too long or too deep are faults.
Evaluation evaluate(std::string_view expression, const Symbols& symbols);

}  // namespace chokepoint
