#include "runtime/native/library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace fmesh::runtime {
namespace {

namespace files = std::filesystem;
constexpr const char* kSymbol = "fmesh_library";

Result<std::string> read_file(const std::string& path) {
  std::error_code code;
  if (!files::exists(path, code)) {
    return fail(
        ErrorKind::kFixInput,
        fmt::format("function library {}: no such file; build it, or correct genericRuntime.functionFile", path));
  }
  if (!files::is_regular_file(path, code)) {
    return fail(ErrorKind::kFixInput,
                fmt::format("function library {}: found no file, expected a shared library (.so)", path));
  }
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in)
    return fail(ErrorKind::kFixInput,
                fmt::format("function library {}: it can't be read; check its permissions", path));
  return bytes;
}

bool holds(const files::path& path, std::string_view bytes) {
  std::error_code code;
  if (files::file_size(path, code) != bytes.size() || code) return false;
  std::ifstream in(path, std::ios::binary);
  const std::string found((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  return found == bytes;
}

void prune(const files::path& directory) {
  std::error_code code;
  std::vector<std::pair<files::file_time_type, files::path>> copies;
  for (const auto& entry : files::directory_iterator(directory, code)) {
    if (entry.path().extension() == ".so") copies.emplace_back(entry.last_write_time(code), entry.path());
  }
  if (copies.size() <= kCachedLibrariesMax) return;
  std::sort(copies.begin(), copies.end());
  // A copy that is in use stays mapped without its name.
  for (size_t i = 0; i + kCachedLibrariesMax < copies.size(); ++i) files::remove(copies[i].second, code);
}

// The path of a copy with exactly these bytes. A file of that name with other bytes (a torn write, a collision) is not
// trusted; the copy then takes the next name.
Result<std::string> copy_by_content(const std::string& path, const std::string& bytes,
                                    const std::string& cache_directory) {
  std::error_code code;
  files::create_directories(cache_directory, code);
  if (code) {
    return fail(ErrorKind::kRetryLater,
                fmt::format("cache directory {} can't be made: {}", cache_directory, code.message()));
  }
  const std::string stem = fmt::format("{}-{:08x}{:08x}-{}", files::path(path).stem().string(), crc32c(bytes),
                                       murmur3_32(bytes), bytes.size());
  static std::atomic<int> copies{0};
  for (int attempt = 0; attempt < 8; ++attempt) {
    const files::path target =
        files::path(cache_directory) / (attempt == 0 ? stem + ".so" : fmt::format("{}-{}.so", stem, attempt));
    if (files::exists(target, code)) {
      if (holds(target, bytes)) return target.string();
      continue;
    }
    const std::string temporary = fmt::format("{}.{}-{}.tmp", target.string(), getpid(), ++copies);
    {
      std::ofstream out(temporary, std::ios::binary);
      out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      out.close();
      if (!out) {
        files::remove(temporary, code);
        return fail(ErrorKind::kRetryLater, fmt::format("{} can't be written; is the disk full?", temporary));
      }
    }
    files::rename(temporary, target, code);
    if (code) return fail(ErrorKind::kRetryLater, fmt::format("{} can't be made: {}", target.string(), code.message()));
    prune(cache_directory);
    return target.string();
  }
  return fail(ErrorKind::kRetryLater, fmt::format("{} holds damaged copies of {}; empty it", cache_directory, path));
}

// The loader names the copy; people know the original.
std::string loader_words(const std::string& loaded, const std::string& path) {
  const char* words = dlerror();
  std::string text = words != nullptr ? words : "unknown error of the loader";
  if (text.starts_with(loaded + ": ")) text.erase(0, loaded.size() + 2);
  for (size_t at = text.find(loaded); at != std::string::npos; at = text.find(loaded, at + path.size())) {
    text.replace(at, loaded.size(), path);
  }
  return text;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row[b.size()];
}

const fmesh_function& function_at(const fmesh_library_table& library, size_t index) {
  const char* first = reinterpret_cast<const char*>(library.functions);
  return *reinterpret_cast<const fmesh_function*>(first + index * library.functions->size);
}

Status check_table(const fmesh_library_table* table, const std::string& path) {
  if (table == nullptr)
    return fail(ErrorKind::kFixInput, fmt::format("function library {}: fmesh_library() gave no table", path));
  if (table->abi_version != FMESH_ABI_VERSION) {
    return fail(
        ErrorKind::kFixInput,
        fmt::format("function library {}: built for version {} of the function ABI, this fmesh {} has version {}; {}",
                    path, table->abi_version, FMESH_VERSION, FMESH_ABI_VERSION,
                    table->abi_version < FMESH_ABI_VERSION
                        ? "rebuild the library with the headers of this fmesh"
                        : "install a newer fmesh, or rebuild the library with the headers of this one"));
  }
  if (table->size < sizeof(fmesh_library_table) || table->function_count == 0 || table->functions == nullptr ||
      table->functions->size < sizeof(fmesh_function)) {
    return fail(ErrorKind::kFixInput,
                fmt::format("function library {}: its table holds no function, or is damaged", path));
  }
  for (size_t i = 0; i < table->function_count; ++i) {
    const fmesh_function& function = function_at(*table, i);
    if (function.name == nullptr || function.create == nullptr || function.destroy == nullptr ||
        (function.process == nullptr && function.process_window == nullptr)) {
      return fail(ErrorKind::kFixInput,
                  fmt::format("function library {}: function {} ({}) lacks create, destroy or process", path, i,
                              function.name != nullptr ? function.name : "no name"));
    }
  }
  return {};
}

}  // namespace

Result<const fmesh_library_table*> load_library(const std::string& path, const std::string& cache_directory) {
  FMESH_TRY(const std::string bytes, read_file(path));
  std::string loaded = path;
  if (!cache_directory.empty()) {
    FMESH_TRY(loaded, copy_by_content(path, bytes, cache_directory));
  }
  void* handle = dlopen(loaded.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return fail(ErrorKind::kFixInput,
                fmt::format("function library {}: it can't be loaded: {}", path, loader_words(loaded, path)));
  }
  void* symbol = dlsym(handle, kSymbol);
  if (symbol == nullptr) {
    return fail(ErrorKind::kFixInput,
                fmt::format("function library {}: no symbol {}; end the library with "
                            "FMESH_FUNCTIONS(fmesh::function<MyFunction>(\"name\")) of <fmesh/function.h>",
                            path, kSymbol));
  }
  const fmesh_library_table* table = reinterpret_cast<decltype(&fmesh_library)>(symbol)();
  FMESH_CHECK(check_table(table, path));
  return table;
}

Result<const fmesh_function*> find_function(const fmesh_library_table& library, const std::string& path,
                                            const std::string& class_name) {
  std::string names, closest;
  size_t closest_distance = class_name.size() / 2 + 1;
  for (size_t i = 0; i < library.function_count; ++i) {
    const fmesh_function& function = function_at(library, i);
    if (class_name == function.name) return &function;
    if (!names.empty()) names += ", ";
    names += function.name;
    const size_t distance = edit_distance(class_name, function.name);
    if (distance < closest_distance) {
      closest_distance = distance;
      closest = function.name;
    }
  }
  return fail(ErrorKind::kFixInput,
              fmt::format("className: found \"{}\", which {} does not hold; it holds: {}{}", class_name, path,
                          names.empty() ? "nothing" : names, closest.empty() ? "" : "; did you mean " + closest + "?"));
}

}  // namespace fmesh::runtime
