#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "storage/format/safetensors.h"

namespace signum {

// Reads the JSON of a safetensors header as events, without a DOM: a header may be 100 MB. Collects
// the entries in the order in which they stand; whether they fit together is for ParseSafetensors.
class SafetensorsSax final : public nlohmann::json::json_sax_t {
 public:
  std::vector<SafetensorsEntry> tensors;
  std::map<std::string, std::string> metadata;
  std::string reason;  // set where an event was refused
  std::string why;

  bool null() override { return Misplaced("null"); }
  bool boolean(bool) override { return Misplaced("a boolean"); }
  bool number_integer(number_integer_t) override { return Misplaced("a negative number"); }
  bool number_unsigned(number_unsigned_t value) override;
  bool number_float(number_float_t, const string_t&) override { return Misplaced("a fraction"); }
  bool string(string_t& value) override;
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override;
  bool key(string_t& name) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override;

 private:
  enum class State { kStart, kTop, kMetadata, kTensor, kShape, kOffsets };
  enum Field : unsigned { kDtype = 1, kShapeField = 2, kOffsetsField = 4, kAll = 7 };

  bool Refuse(std::string_view code, std::string text);
  bool Misplaced(std::string_view what);
  bool TopKey(std::string& name);
  bool TensorKey(std::string_view name);
  bool SetDtype(const std::string& name);
  SafetensorsEntry& current() { return tensors.back(); }

  State state_ = State::kStart;
  bool metadata_seen_ = false;
  std::string key_;
  unsigned field_ = 0;        // of the current tensor: the one whose value comes next
  unsigned fields_seen_ = 0;  // of the current tensor
  size_t offsets_ = 0;        // of the current tensor: read so far
  std::unordered_set<std::string> names_;
};

}  // namespace signum
