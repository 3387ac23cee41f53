#include "runtime/builtin/jq.h"

extern "C" {
#include <jq.h>
#include <jv.h>
}

#include <algorithm>

namespace fmesh::runtime {
namespace {

std::string text_of(jv message) {
  std::string text;
  if (jv_get_kind(message) == JV_KIND_STRING) {
    text = jv_string_value(message);
    jv_free(message);
  } else {
    jv dumped = jv_dump_string(message, 0);
    text = jv_string_value(dumped);
    jv_free(dumped);
  }
  return text;
}

class Program final : public JqProgram {
 public:
  explicit Program(jq_state* state) : state_(state) { jq_set_error_cb(state_, &Program::on_error, this); }
  ~Program() override { jq_teardown(&state_); }

  bool compile(const std::string& expression) { return jq_compile(state_, expression.c_str()) != 0; }
  const std::string& error() const { return error_; }

  Status run(std::string_view json, const std::function<void(std::string_view)>& each) override {
    jv input = jv_parse_sized(json.data(), static_cast<int>(json.size()));
    if (!jv_is_valid(input)) {
      std::string text = text_of(jv_invalid_get_msg(input));
      return fail(ErrorKind::kFixInput, "the payload is not JSON: " + text);
    }
    jq_start(state_, input, 0);
    while (true) {
      jv result = jq_next(state_);
      if (!jv_is_valid(result)) {
        if (!jv_invalid_has_msg(jv_copy(result))) {
          jv_free(result);
          return {};
        }
        return fail(ErrorKind::kFixInput, text_of(jv_invalid_get_msg(result)));
      }
      jv dumped = jv_dump_string(result, 0);
      each(std::string_view(jv_string_value(dumped), static_cast<size_t>(jv_string_length_bytes(jv_copy(dumped)))));
      jv_free(dumped);
    }
  }

 private:
  static void on_error(void* self, jv message) {
    auto& error = static_cast<Program*>(self)->error_;
    if (!error.empty()) error += "; ";
    error += text_of(message);
  }

  jq_state* state_;
  std::string error_;
};

}  // namespace

Result<std::unique_ptr<JqProgram>> JqProgram::compile(const std::string& expression) {
  jq_state* state = jq_init();
  if (state == nullptr) return fail(ErrorKind::kRetryLater, "jq could not be started: no memory");
  auto program = std::make_unique<Program>(state);
  if (!program->compile(expression)) {
    std::string why = program->error();
    std::replace(why.begin(), why.end(), '\n', ' ');
    return fail(ErrorKind::kFixInput, "jq does not accept \"" + expression + "\": " + why);
  }
  return program;
}

}  // namespace fmesh::runtime
