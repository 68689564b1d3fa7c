#pragma once

#include <string_view>

// Files of server/embedded/ that the program carries (server/CMakeLists.txt makes them).

namespace signum {

std::string_view AdminPageHtml();  // admin.html
std::string_view
ComponentsJson();  // components.json: parameters and schemas of the OpenAPI document

}  // namespace signum
