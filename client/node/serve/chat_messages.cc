#include "client/node/serve/chat_messages.h"

#include "storage/base/name.h"

namespace signum::client {
namespace {

using nlohmann::json;

const std::string* TextAt(const json& object, const char* name) {
  const auto at = object.find(name);
  return at == object.end() ? nullptr : at->get_ptr<const std::string*>();
}

Result<std::string> PartText(const json& part, const std::string& place) {
  const std::string* type = part.is_object() ? TextAt(part, "type") : nullptr;
  if (type == nullptr) return BadField(place, "must be an object with a type");
  if (*type != "text") {
    return BadField(place + ".type", "is '" + Printable(*type) + "'; this node reads text alone");
  }
  const std::string* text = TextAt(part, "text");
  if (text == nullptr) return BadField(place + ".text", "must be a text");
  return *text;
}

Result<std::string> ContentOf(const json& message, const std::string& place) {
  if (const std::string* text = TextAt(message, "content")) return *text;
  const auto content = message.find("content");
  if (content == message.end() || !content->is_array()) {
    return BadField(place, "must be text or a list of parts");
  }
  std::string out;
  for (size_t i = 0; i < content->size(); ++i) {
    SIGNUM_ASSIGN(const std::string text,
                  PartText((*content)[i], place + "[" + std::to_string(i) + "]"));
    out += text;
  }
  return out;
}

// An assistant's answer may come back as this node gave it, with what was not in it.
Result<void> CheckRest(const json& message, const std::string& place) {
  for (const auto& [name, value] : message.items()) {
    if (name == "role" || name == "content" || name == "name" || value.is_null()) continue;
    if (value.is_array() && value.empty()) continue;
    return BadField(place + "." + Printable(name), "is not supported by this node");
  }
  return {};
}

Result<ChatMessage> MessageOf(const json& message, const std::string& place) {
  const std::string* role = message.is_object() ? TextAt(message, "role") : nullptr;
  if (role == nullptr) return BadField(place, "must be an object with role and content");
  SIGNUM_TRY(CheckRest(message, place));
  ChatMessage out;
  // The name that the API has given to the same since.
  out.role = *role == "developer" ? "system" : *role;
  SIGNUM_ASSIGN(out.content, ContentOf(message, place + ".content"));
  const auto name = message.find("name");
  if (name == message.end() || name->is_null()) return out;
  if (!name->is_string()) return BadField(place + ".name", "must be a text");
  out.name = name->get<std::string>();
  return out;
}

}  // namespace

Result<void> ReadMessages(const Fields& fields, std::vector<ChatMessage>& out) {
  const json* messages = fields.Find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    return BadField("messages", "must be a list of one message or more");
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    SIGNUM_ASSIGN(ChatMessage message,
                  MessageOf((*messages)[i], "messages[" + std::to_string(i) + "]"));
    out.push_back(std::move(message));
  }
  return {};
}

}  // namespace signum::client
