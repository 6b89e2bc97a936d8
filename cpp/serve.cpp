// serve MODEL [--threads N]
//
// A server without a network: each line of standard input names a request file, and each request gets a line of JSON on
// standard output, in the order in which they finish. All threads share one module. An error ends a request, not the server.
#include "common.h"

#include <ATen/Parallel.h>

#include <iostream>
#include <mutex>
#include <thread>

namespace {

std::string json(const std::string& text) {
  std::ostringstream out;
  out << '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out << '\\' << c;
    else if (static_cast<unsigned char>(c) < 0x20) out << ' ';
    else out << c;
  }
  out << '"';
  return out.str();
}

std::string answer(torch::jit::Module& model, const std::string& file) {
  std::ostringstream out;
  const auto error = course::error_of([&] {
    const auto request = course::read_request(file);
    const auto result = model.forward(request.args);
    out << ", \"ok\": true, \"output\": " << json(course::describe(result));
    if (!request.expected.isNone()) {
      out << ", \"compared\": " << json(course::verdict(course::difference(result, request.expected), 0));
    }
  });
  if (!error.empty()) return ", \"ok\": false, \"error\": " + json(error);
  return out.str();
}

}  // namespace

int main(int argc, char** argv) {
  const bool has_threads = argc == 4 && std::string(argv[2]) == "--threads";
  int workers = 1;
  const auto wrong = course::error_of([&] {
    if (argc != 2 && !has_threads) throw std::invalid_argument("one model is needed");
    if (has_threads) workers = std::stoi(argv[3]);
    if (workers < 1 || workers > 64) throw std::invalid_argument("--threads takes 1 to 64");
  });
  if (!wrong.empty()) {
    std::cerr << wrong << "\nusage: serve MODEL [--threads N]   (request files on standard input, one per line)\n";
    return course::kUsage;
  }

  torch::jit::Module model;
  if (const auto error = course::error_of([&] { model = course::load(argv[1]); }); !error.empty()) {
    std::cerr << "cannot load: " << error << "\n";
    return course::kCannotLoad;
  }

  std::mutex reading, writing;
  int next = 0;
  const auto work = [&] {
    c10::InferenceMode guard;  // one in each thread: it applies to the thread that makes it
    at::set_num_threads(1);    // so does this: the workers are the parallelism
    for (std::string file;;) {
      int id = 0;
      {
        const std::lock_guard<std::mutex> lock(reading);
        do {
          if (!std::getline(std::cin, file)) return;
          if (!file.empty() && file.back() == '\r') file.pop_back();
        } while (file.empty());
        id = next++;
      }
      const auto line = answer(model, file);
      const std::lock_guard<std::mutex> lock(writing);
      std::cout << "{\"id\": " << id << line << "}" << std::endl;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < workers; i++) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  return course::kFine;
}
