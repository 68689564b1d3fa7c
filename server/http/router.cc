#include "server/http/router.h"

#include <set>
#include <stdexcept>

namespace signum::http {

Router::Pattern Router::Compile(const std::string& pattern) {
  if (!pattern.starts_with('/')) throw std::logic_error("route must begin with '/': " + pattern);
  Pattern compiled;
  size_t begin = 1;
  while (begin < pattern.size()) {
    const size_t end = std::min(pattern.find('/', begin), pattern.size());
    const std::string text = pattern.substr(begin, end - begin);
    if (text.starts_with('{') && text.ends_with("...}") && end == pattern.size()) {
      compiled.push_back({Segment::kRest, {}});
    } else if (text.starts_with('{') && text.ends_with('}') && !text.ends_with("...}")) {
      compiled.push_back({Segment::kParam, {}});
    } else if (!text.empty() && text.find_first_of("{}") == std::string::npos) {
      compiled.push_back({Segment::kLiteral, text});
    } else {
      throw std::logic_error("malformed route: " + pattern);
    }
    begin = end + 1;
  }
  return compiled;
}

bool Router::Fits(const Pattern& pattern, const std::vector<std::string>& segments) {
  const bool rest = !pattern.empty() && pattern.back().kind == Segment::kRest;
  if (rest ? segments.size() < pattern.size() : segments.size() != pattern.size()) return false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i].kind == Segment::kLiteral ? segments[i] != pattern[i].literal
                                             : segments[i].empty()) {
      return false;
    }
  }
  return true;
}

bool Router::MoreSpecific(const Pattern& a, const Pattern& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i].kind != b[i].kind) return a[i].kind < b[i].kind;
  }
  return a.size() > b.size();
}

Params Router::Extract(const Pattern& pattern, const std::vector<std::string>& segments) {
  Params params;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i].kind == Segment::kLiteral) continue;
    params.push_back(segments[i]);
    if (pattern[i].kind != Segment::kRest) continue;
    for (size_t j = i + 1; j < segments.size(); ++j) params.back() += "/" + segments[j];
  }
  return params;
}

void Router::Add(Route route) {
  Pattern pattern = Compile(route.pattern);
  for (size_t i = 0; i < patterns_.size(); ++i) {
    if (routes_[i].method == route.method && routes_[i].pattern == route.pattern) {
      throw std::logic_error("route added twice: " + route.method + " " + route.pattern);
    }
  }
  routes_.push_back(std::move(route));
  patterns_.push_back(std::move(pattern));
}

Router::Match Router::Find(std::string_view method,
                           const std::vector<std::string>& segments) const {
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  std::set<std::string> methods;
  const Pattern* best = nullptr;
  Match match;
  for (size_t i = 0; i < patterns_.size(); ++i) {
    if (!Fits(patterns_[i], segments)) continue;
    if (routes_[i].method == wanted) {
      if (best == nullptr || MoreSpecific(patterns_[i], *best)) {
        best = &patterns_[i];
        match.route = &routes_[i];
      }
    } else if (best == nullptr) {
      methods.insert(routes_[i].method);
      if (routes_[i].method == "GET") methods.insert("HEAD");
    }
  }
  if (best != nullptr) {
    match.params = Extract(*best, segments);
  } else if (!methods.empty()) {
    methods.insert("OPTIONS");
    for (const auto& name : methods) match.allow += (match.allow.empty() ? "" : ", ") + name;
  }
  return match;
}

}  // namespace signum::http
