#pragma once

#include <vector>

#include "client/node/serve/chat_template.h"
#include "client/node/serve/openai_fields.h"

namespace signum::client {

// "messages" of a request. Content is text, or a list of parts of type text, which are joined. What
// is not read (images, calls of tools) is refused by its place: "messages[1].content[0]".
Result<void> ReadMessages(const Fields& fields, std::vector<ChatMessage>& out);

}  // namespace signum::client
