#include "storage/format/safetensors_sax.h"

#include "storage/base/name.h"

namespace signum {

namespace {

// In one file; the largest models have some 200,000 tensors in all. Keeps a hostile header from
// taking many times its size in memory.
constexpr size_t kMaxTensors = 1 << 19;
constexpr size_t kMaxMetadata = 1 << 19;
constexpr size_t kMaxRank = 32;
constexpr std::string_view kMetadataName = "__metadata__";

}  // namespace

bool SafetensorsSax::Refuse(std::string_view code, std::string text) {
  reason = code;
  why = std::move(text);
  return false;
}

bool SafetensorsSax::Misplaced(std::string_view what) {
  const std::string found = std::string(what) + " is not what the format has there";
  switch (state_) {
    case State::kStart:
      return Refuse("bad_header", "the header is not a JSON object");
    case State::kMetadata:
      return Refuse("bad_metadata", "__metadata__ '" + Printable(key_) + "': " + found);
    case State::kTop:
      return Refuse(key_ == kMetadataName ? "bad_metadata" : "bad_header",
                    "'" + Printable(key_) + "': " + found);
    case State::kShape:
      return Refuse("bad_shape", "tensor '" + Printable(current().info.name) + "' shape: " + found);
    default:
      return Refuse("bad_header", "tensor '" + Printable(current().info.name) + "': " + found);
  }
}

bool SafetensorsSax::number_unsigned(number_unsigned_t value) {
  if (state_ == State::kShape) {
    if (current().info.shape.size() == kMaxRank) {
      return Refuse("bad_shape", "tensor '" + Printable(current().info.name) + "' has more than " +
                                     std::to_string(kMaxRank) + " dimensions");
    }
    current().info.shape.push_back(value);
    return true;
  }
  if (state_ != State::kOffsets || offsets_ == 2) return Misplaced("a number");
  (offsets_++ == 0 ? current().begin : current().end) = value;
  return true;
}

bool SafetensorsSax::SetDtype(const std::string& name) {
  const std::optional<Dtype> dtype = DtypeFromName(name);
  if (!dtype) {
    return Refuse("unknown_dtype", "tensor '" + Printable(current().info.name) +
                                       "' has the unknown dtype '" + Printable(name) + "'");
  }
  current().info.dtype = *dtype;
  return true;
}

bool SafetensorsSax::string(string_t& value) {
  if (state_ == State::kTensor && field_ == kDtype) return SetDtype(value);
  if (state_ != State::kMetadata) return Misplaced("a string");
  if (metadata.size() == kMaxMetadata) {
    return Refuse("bad_metadata",
                  "__metadata__ has over " + std::to_string(kMaxMetadata) + " members");
  }
  if (!metadata.emplace(key_, std::move(value)).second) {
    return Refuse("bad_metadata", "__metadata__ has '" + Printable(key_) + "' twice");
  }
  return true;
}

bool SafetensorsSax::start_object(size_t) {
  if (state_ == State::kStart) {
    state_ = State::kTop;
    return true;
  }
  if (state_ != State::kTop) return Misplaced("an object");
  if (key_ == kMetadataName) {
    state_ = State::kMetadata;
    return true;
  }
  state_ = State::kTensor;
  field_ = fields_seen_ = 0;
  offsets_ = 0;
  return true;
}

bool SafetensorsSax::TopKey(std::string& name) {
  key_ = name;
  if (name == kMetadataName) {
    return !std::exchange(metadata_seen_, true) ||
           Refuse("bad_metadata", "__metadata__ stands twice");
  }
  if (name.empty()) return Refuse("bad_header", "a tensor without a name");
  if (!names_.insert(name).second) {
    return Refuse("duplicate_tensor", "tensor '" + Printable(name) + "' is listed twice");
  }
  if (tensors.size() == kMaxTensors) {
    return Refuse("bad_header", "more than " + std::to_string(kMaxTensors) + " tensors");
  }
  tensors.emplace_back();
  current().info.name = std::move(name);
  return true;
}

bool SafetensorsSax::TensorKey(std::string_view name) {
  field_ = name == "dtype"          ? kDtype
           : name == "shape"        ? kShapeField
           : name == "data_offsets" ? kOffsetsField
                                    : 0U;
  if (field_ == 0 || (fields_seen_ & field_) != 0) {
    return Refuse("bad_header", "tensor '" + Printable(current().info.name) + "' has the field '" +
                                    Printable(name) + (field_ == 0 ? "', unknown" : "' twice"));
  }
  fields_seen_ |= field_;
  return true;
}

bool SafetensorsSax::key(string_t& name) {
  if (state_ == State::kTop) return TopKey(name);
  if (state_ == State::kTensor) return TensorKey(name);
  key_ = std::move(name);
  return true;
}

bool SafetensorsSax::end_object() {
  if (state_ == State::kTensor && fields_seen_ != kAll) {
    return Refuse("bad_header", "tensor '" + Printable(current().info.name) +
                                    "' lacks one of dtype, shape and data_offsets");
  }
  state_ = State::kTop;
  return true;
}

bool SafetensorsSax::start_array(size_t) {
  if (state_ == State::kTensor && field_ == kShapeField) {
    state_ = State::kShape;
    return true;
  }
  if (state_ != State::kTensor || field_ != kOffsetsField) return Misplaced("an array");
  state_ = State::kOffsets;
  return true;
}

bool SafetensorsSax::end_array() {
  if (state_ == State::kOffsets && offsets_ != 2) {
    return Refuse("bad_header", "tensor '" + Printable(current().info.name) +
                                    "' data_offsets does not hold two numbers");
  }
  state_ = State::kTensor;
  field_ = 0;  // a value was read: a second one is misplaced
  return true;
}

bool SafetensorsSax::parse_error(size_t position, const std::string&,
                                 const nlohmann::json::exception&) {
  return Refuse("header_not_json", "the header is not JSON: byte " + std::to_string(7 + position));
}

}  // namespace signum
