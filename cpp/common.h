// What the programs share: loading with readable errors, requests, and the comparison with Python's result.
#pragma once

#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/script.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace course {

enum Exit { kFine = 0, kDiffers = 1, kUsage = 2, kCannotLoad = 3, kModelRaised = 4 };

// The sentence of an error without the C++ stack. A failure inside the TorchScript interpreter puts its cause last;
// a failure of the reader adds three sentences on how files get damaged.
inline std::string sentence(const std::string& text) {
  std::istringstream lines(text);
  std::string line, first, last;
  while (std::getline(lines, line)) {
    if (line.find_first_not_of(" \t\r~^") == std::string::npos) continue;
    if (first.empty()) first = line;
    last = line;
  }
  const bool in_interpreter = text.find("TorchScript interpreter") != std::string::npos;
  const std::string& cause = in_interpreter ? last : first;
  return cause.substr(0, cause.find(". This is an internal"));
}

// Call f. What it throws comes back as "type: sentence", nothing thrown as an empty string.
// The order matters: both torch types are std::exception too. A model that needs an unknown operator throws
// torch::jit::ErrorReport, which is neither of them.
template <typename F>
std::string error_of(F f) {
  try {
    f();
  } catch (const torch::jit::JITException& e) {  // a `raise` in the model
    return "JITException: " + sentence(e.what());
  } catch (const c10::Error& e) {  // libtorch itself; what() would add the C++ stack
    return "c10::Error: " + sentence(e.what_without_backtrace());
  } catch (const std::exception& e) {
    return "std::exception: " + sentence(e.what());
  } catch (...) {
    return "unknown exception";
  }
  return "";
}

// torch::jit::load, which names the two most frequent mistakes first.
inline torch::jit::Module load(const std::string& path, torch::jit::ExtraFilesMap& extra) {
  if (!std::filesystem::exists(path)) throw std::runtime_error("there is no file " + path);
  if (std::filesystem::file_size(path) == 0) throw std::runtime_error("the file is empty: " + path);
  auto module = torch::jit::load(path, c10::kCPU, extra);
  module.eval();
  return module;
}

inline torch::jit::Module load(const std::string& path) {
  torch::jit::ExtraFilesMap none;
  return load(path, none);
}

// A request is a scripted module that holds a tuple `args` and perhaps `expected`, the result in Python.
struct Request {
  std::vector<c10::IValue> args;
  c10::IValue expected;
};

inline Request read_request(const std::string& path) {
  auto box = load(path);
  if (!box.hasattr("args") || !box.attr("args").isTuple()) {
    throw std::runtime_error("not a request: it has no tuple `args`: " + path);
  }
  const auto args = box.attr("args").toTuple()->elements().vec();
  return {args, box.hasattr("expected") ? box.attr("expected") : c10::IValue()};
}

inline std::string describe(const c10::IValue& value) {
  std::ostringstream out;
  if (value.isTensor()) {
    const auto& t = value.toTensor();
    out << c10::toString(t.scalar_type()) << t.sizes();
  } else if (value.isTuple() || value.isList()) {
    const auto parts = value.isTuple() ? value.toTuple()->elements().vec() : value.toList().vec();
    out << (value.isTuple() ? "(" : "[");
    for (size_t i = 0; i < parts.size(); i++) out << (i ? ", " : "") << describe(parts[i]);
    out << (value.isTuple() ? ")" : "]");
  } else if (value.isGenericDict()) {
    std::vector<std::string> entries;
    for (const auto& entry : value.toGenericDict()) {
      entries.push_back(describe(entry.key()) + ": " + describe(entry.value()));
    }
    std::sort(entries.begin(), entries.end());
    out << "{";
    for (size_t i = 0; i < entries.size(); i++) out << (i ? ", " : "") << entries[i];
    out << "}";
  } else if (value.isDouble()) {
    out.precision(4);
    out << value.toDouble();
  } else if (value.isString()) {
    out << value.toStringRef();
  } else {
    out << value;
  }
  return out.str();
}

// The largest difference between two results, at any depth: 0 if they are bitwise identical, infinity if their shapes,
// types or structures differ.
inline double difference(const c10::IValue& a, const c10::IValue& b) {
  constexpr double kOther = std::numeric_limits<double>::infinity();
  if (a.isTensor() && b.isTensor()) {
    const auto &x = a.toTensor(), &y = b.toTensor();
    if (x.sizes() != y.sizes() || x.scalar_type() != y.scalar_type()) return kOther;
    if (torch::equal(x, y)) return 0;
    const auto far = (x.to(torch::kDouble) - y.to(torch::kDouble)).abs().max().item<double>();
    return far > 0 ? far : kOther;  // NaN on one side
  }
  if ((a.isTuple() && b.isTuple()) || (a.isList() && b.isList())) {
    const auto x = a.isTuple() ? a.toTuple()->elements().vec() : a.toList().vec();
    const auto y = b.isTuple() ? b.toTuple()->elements().vec() : b.toList().vec();
    if (x.size() != y.size()) return kOther;
    double worst = 0;
    for (size_t i = 0; i < x.size(); i++) worst = std::max(worst, difference(x[i], y[i]));
    return worst;
  }
  if (a.isGenericDict() && b.isGenericDict()) {
    const auto x = a.toGenericDict(), y = b.toGenericDict();
    if (x.size() != y.size()) return kOther;
    double worst = 0;
    for (const auto& entry : x) {
      if (!y.contains(entry.key())) return kOther;
      worst = std::max(worst, difference(entry.value(), y.at(entry.key())));
    }
    return worst;
  }
  if (a.isDouble() && b.isDouble()) return std::abs(a.toDouble() - b.toDouble());
  return a == b ? 0 : kOther;
}

inline std::string verdict(double far, double tolerance) {
  if (far == 0 && tolerance == 0) return "bitwise identical";
  std::ostringstream out;
  out.precision(2);
  if (far <= tolerance) {
    out << "within " << tolerance;
  } else if (std::isinf(far)) {
    out << "another shape, type or structure";
  } else {
    out << "differs by " << far;
  }
  return out.str();
}

}  // namespace course
