// Calls the answer to an exercise of lesson 09 and prints what it did; the check in Python judges.
//   answer batch MODEL REQUEST SIZE      answer labels MODEL CLASSES
#include "answer.h"
#include "common.h"

#include <ATen/Parallel.h>

#include <iostream>

namespace {

void batch(const std::string& model_file, const std::string& request_file, int64_t size) {
  auto model = course::load(model_file);
  const auto request = course::read_request(request_file);
  const auto images = request.args.at(0).toTensor();
  int calls = 0;
  const Forward forward = [&](const at::Tensor& part) {
    if (++calls > 1000) throw std::runtime_error("more than 1000 calls of forward");
    std::cout << "called with " << part.sizes() << "\n";
    return model.forward({part}).toTensor();
  };
  c10::IValue scores;
  const auto error = course::error_of([&] { scores = in_batches(forward, images, size); });
  if (!error.empty()) {
    std::cout << "threw " << error << "\n";
    return;
  }
  if (!scores.toTensor().defined()) {
    std::cout << "gave nothing\n";
    return;
  }
  std::cout << "gave " << scores.toTensor().sizes() << "\n"
            << "compared " << course::verdict(course::difference(scores, request.expected), 1e-4) << "\n";
}

void labels(const std::string& model_file, int64_t classes) {
  torch::jit::ExtraFilesMap extra{{"labels.txt", ""}};
  course::load(model_file, extra);
  const auto error = course::error_of([&] {
    for (const auto& label : read_labels(extra, classes)) std::cout << "label [" << label << "]\n";
  });
  if (!error.empty()) std::cout << "threw " << error << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  c10::InferenceMode guard;
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto error = course::error_of([&] {
    if (words.size() == 4 && words[0] == "batch") batch(words[1], words[2], std::stoll(words[3]));
    else if (words.size() == 3 && words[0] == "labels") labels(words[1], std::stoll(words[2]));
    else throw std::invalid_argument("usage: answer batch MODEL REQUEST SIZE | answer labels MODEL CLASSES");
  });
  if (error.empty()) return course::kFine;
  std::cerr << error << "\n";
  return course::kUsage;
}
