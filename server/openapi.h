#pragma once

#include <span>
#include <string>
#include <string_view>

namespace signum {

// One call of the REST interface as the document describes it. The table of them stands in
// openapi_table.cc; a test fails where it and the router disagree.
struct Operation {
  std::string_view method;
  std::string_view pattern;  // as in the router
  std::string_view tag;
  std::string_view id;  // operationId: what generated clients call it
  std::string_view summary;
  std::string_view roles;     // who may: "publisher, admin"; empty: open to everyone
  std::string_view query;     // parameters of components.json, parted by spaces; headers too
  std::string_view request;   // schema of the JSON body, with ? where there may be none, or a media
                              // type of bytes; empty for none
  int status = 200;           // when it works
  std::string_view response;  // likewise, parted by spaces where the caller chooses
  int other_status = 0;       // when it works the other way: made anew, asked to stop; 0: none
};
std::span<const Operation> Operations();

// The OpenAPI 3.1 document, as JSON. Built once.
const std::string& OpenApiDocument();

}  // namespace signum
