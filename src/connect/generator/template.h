// A text with placeholders, compiled once: {{seq}}, {{uuid}}, {{int a b}}, {{float a b}}, {{choice a|b|c}}, {{time}},
// {{pad n}}. Filling it in costs no allocation once the target has grown. A value type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/rng.h"

namespace fmesh::connect {

class Template {
 public:
  // Errors: kFixInput naming the placeholder and what there is.
  static Result<Template> compile(std::string_view text);
  void fill(std::string& out, uint64_t sequence, int64_t now_ms, Rng& rng) const;

 private:
  enum class Kind { kText, kSequence, kUuid, kInteger, kFloat, kChoice, kTime, kPad };
  struct Piece {
    Kind kind = Kind::kText;
    std::string text;
    int64_t low = 0, high = 0;
    double float_low = 0, float_high = 0;
    std::vector<std::string> choices;
  };
  static Result<Piece> placeholder(std::string_view inner);
  void add_text(std::string_view text);

  std::vector<Piece> pieces_;
};

}  // namespace fmesh::connect
