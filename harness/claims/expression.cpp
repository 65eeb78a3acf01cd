#include "harness/claims/expression.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace chokepoint {
namespace {

bool is_digit(char c) { return '0' <= c && c <= '9'; }
bool starts_name(char c) { return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_'; }

// Evaluates while reading. After the first fault every function returns at once, so that the fault stays the first.
class Reader {
 public:
  Reader(std::string_view text, const Symbols& symbols) : text_(text), symbols_(symbols) {}

  Evaluation read() {
    if (text_.size() > kMostExpressionBytes) {
      fail(kMostExpressionBytes, fmt::format("is {} characters long, more than {}", text_.size(), kMostExpressionBytes),
           "split it");
      return result_;
    }
    const double value = sum();
    skip_space();
    if (at_ < text_.size())
      fail(at_, fmt::format("has {} where an operator or the end is due", here()), "write one of + - * / there");
    finite(value, 0);
    if (is_fine()) result_.value = value;
    return result_;
  }

 private:
  bool is_fine() const { return result_.fault.empty(); }

  void fail(std::size_t at, std::string fault, std::string remedy, std::string symbol = "") {
    if (!is_fine()) return;
    result_ = {std::nullopt, std::move(fault), std::move(remedy), std::move(symbol), at};
  }

  double finite(double value, std::size_t at) {
    if (!std::isfinite(value)) fail(at, "gives a number too large to hold", "use smaller numbers");
    return value;
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }

  std::string here() const {
    if (at_ >= text_.size()) return "its end";
    const unsigned char c = static_cast<unsigned char>(text_[at_]);
    return c > ' ' && c < 127 ? fmt::format("'{}'", text_[at_]) : fmt::format("byte {}", c);
  }

  // The next of these two characters, taken; 0 when it is neither.
  char taken(char first, char second) {
    skip_space();
    if (at_ >= text_.size() || (text_[at_] != first && text_[at_] != second)) return 0;
    return text_[at_++];
  }

  double sum() {
    double value = product();
    while (is_fine()) {
      const char sign = taken('+', '-');
      if (sign == 0) break;
      const std::size_t at = at_ - 1;
      const double next = product();
      value = finite(sign == '+' ? value + next : value - next, at);
    }
    return value;
  }

  double product() {
    double value = factor();
    while (is_fine()) {
      const char sign = taken('*', '/');
      if (sign == 0) break;
      const std::size_t at = at_ - 1;
      const double next = factor();
      if (is_fine() && sign == '/' && next == 0.0) fail(at, "divides by zero", "correct the divisor");
      value = finite(sign == '*' ? value * next : value / next, at);
    }
    return value;
  }

  double factor() {
    skip_space();
    if (depth_ == kMostExpressionDepth) {
      fail(at_, fmt::format("is nested deeper than {}", kMostExpressionDepth), "take parentheses or signs out");
      return 0.0;
    }
    ++depth_;
    const double value = unnested();
    --depth_;
    return value;
  }

  double unnested() {
    if (!is_fine()) return 0.0;
    if (const char sign = taken('+', '-')) return sign == '-' ? -factor() : factor();
    if (taken('(', '(')) return parenthesis();
    if (at_ < text_.size() && (is_digit(text_[at_]) || text_[at_] == '.')) return number();
    if (at_ < text_.size() && starts_name(text_[at_])) return name();
    fail(at_, fmt::format("has {} where a number, a name or ( is due", here()), "use + - * / ( ), numbers and names");
    return 0.0;
  }

  double parenthesis() {
    const std::size_t open = at_ - 1;
    const double value = sum();
    if (is_fine() && taken(')', ')') == 0)
      fail(at_, fmt::format("has {} where the ) for the ( at position {} is due", here(), open + 1), "close it");
    return value;
  }

  double number() {
    double value = 0.0;
    const auto [end, fault] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    const std::size_t start = at_;
    at_ = static_cast<std::size_t>(end - text_.data());
    if (fault != std::errc{})
      fail(start, at_ == start ? "has a . without digits" : "has a number too large or too small to hold",
           "correct it");
    return is_fine() ? value : 0.0;
  }

  double name() {
    const std::size_t start = at_;
    while (at_ < text_.size() && (starts_name(text_[at_]) || is_digit(text_[at_]))) ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    const std::optional<double> value = symbols_(word);
    if (!value) fail(start, fmt::format("names \"{}\", which is not defined", word), "define it", std::string(word));
    return value.value_or(0.0);
  }

  std::string_view text_;
  const Symbols& symbols_;
  std::size_t at_ = 0;
  int depth_ = 0;
  Evaluation result_;
};

}  // namespace

Evaluation evaluate(std::string_view expression, const Symbols& symbols) { return Reader(expression, symbols).read(); }

}  // namespace chokepoint
