// run_model MODEL REQUEST [--method NAME] [--tolerance T] [--extra NAME] [--save FILE]
//
// Runs one method of a TorchScript archive on one request, and compares with the result that the request brings.
// Exit codes: 0 fine, 1 differs, 2 wrong usage, 3 a file cannot be loaded, 4 the model raised.
#include "common.h"

#include <ATen/Parallel.h>

#include <fstream>
#include <iostream>

namespace {

struct Options {
  std::vector<std::string> files;
  std::string method = "forward", extra, save;
  double tolerance = 0;
};

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    if (word.rfind("--", 0) != 0) {
      options.files.push_back(word);
      continue;
    }
    if (i + 1 == argc) throw std::invalid_argument(word + " needs a value");
    const std::string value = argv[++i];
    if (word == "--method") options.method = value;
    else if (word == "--extra") options.extra = value;
    else if (word == "--save") options.save = value;
    else if (word == "--tolerance") options.tolerance = std::stod(value);
    else throw std::invalid_argument("unknown option " + word);
  }
  if (options.files.size() != 2) throw std::invalid_argument("two files are needed");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (const auto error = course::error_of([&] { options = read_options(argc, argv); }); !error.empty()) {
    std::cerr << error << "\nusage: run_model MODEL REQUEST [--method NAME] [--tolerance T] [--extra NAME]"
              << " [--save FILE]\n";
    return course::kUsage;
  }

  at::set_num_threads(1);
  c10::InferenceMode guard;  // no autograd in this thread
  torch::jit::Module model;
  course::Request request;
  torch::jit::ExtraFilesMap extra;
  if (!options.extra.empty()) extra[options.extra] = "";
  const auto unreadable = course::error_of([&] {
    model = course::load(options.files[0], extra);
    request = course::read_request(options.files[1]);
  });
  if (!unreadable.empty()) {
    std::cerr << "cannot load: " << unreadable << "\n";
    return course::kCannotLoad;
  }
  if (!options.extra.empty()) std::cout << options.extra << ": " << extra[options.extra] << "\n";

  c10::IValue result;
  const auto raised = course::error_of([&] { result = model.get_method(options.method)(request.args); });
  if (!raised.empty()) {
    std::cerr << "the model raised: " << raised << "\n";
    return course::kModelRaised;
  }
  std::cout << options.method << course::describe(c10::ivalue::Tuple::create(request.args)) << " -> "
            << course::describe(result) << "\n";

  if (!options.save.empty()) {
    const auto bytes = torch::jit::pickle_save(result);  // torch.load(FILE, weights_only=True) reads it
    std::ofstream file(options.save, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file) {
      std::cerr << "cannot write " << options.save << "\n";
      return course::kCannotLoad;
    }
  }
  if (request.expected.isNone()) return course::kFine;
  const double far = course::difference(result, request.expected);
  std::cout << "compared with Python: " << course::verdict(far, options.tolerance) << "\n";
  return far <= options.tolerance ? course::kFine : course::kDiffers;
}
