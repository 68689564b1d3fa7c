#include "tests/storage/format/format_support.h"

namespace signum {

std::string RawSafetensors(std::string_view json, std::string_view data) {
  std::string out(8, '\0');
  StoreLe<uint64_t>(out.data(), json.size());
  return out.append(json).append(data);
}

std::string MakeSafetensors(const std::vector<TestTensor>& tensors) {
  std::vector<SafetensorsEntry> entries;
  std::string data;
  for (const TestTensor& tensor : tensors) {
    entries.push_back({tensor.info, 0, 0});
    data += tensor.data;
  }
  return BuildSafetensorsHeader(entries, {}, 8) + data;
}

std::shared_ptr<const ByteSource> Source(std::string bytes) {
  return std::make_shared<MemorySource>(std::move(bytes));
}

TestTensor Counting(TensorInfo info) {
  std::string data(info.bytes(), '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i % 64);
  return {std::move(info), std::move(data)};
}

std::string TestData(std::string_view name) {
  return std::string(SIGNUM_TEST_DATA) + "/" + std::string(name);
}

}  // namespace signum
