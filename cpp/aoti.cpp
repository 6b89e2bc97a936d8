// aoti PACKAGE REQUEST [TOLERANCE]
//
// Runs an AOTInductor package on the tensors of one request, and compares with the result that the request brings.
// No TorchScript model is involved: a request is read by torch::jit::load because that is how this course passes
// tensors to C++. Exit codes as in run_model.cpp. Inputs are checked where AOTI_RUNTIME_CHECK_INPUTS=1 is set.
#include "common.h"

#include <ATen/Parallel.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <iostream>
#include <memory>

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::cerr << "usage: aoti PACKAGE REQUEST [TOLERANCE]\n";
    return course::kUsage;
  }
  at::set_num_threads(1);
  c10::InferenceMode guard;
  std::unique_ptr<torch::inductor::AOTIModelPackageLoader> package;
  course::Request request;
  double tolerance = 0;
  const auto unreadable = course::error_of([&] {
    if (argc == 4) tolerance = std::stod(argv[3]);
    package = std::make_unique<torch::inductor::AOTIModelPackageLoader>(argv[1]);
    request = course::read_request(argv[2]);
  });
  if (!unreadable.empty()) {
    std::cerr << "cannot load: " << unreadable << "\n";
    return course::kCannotLoad;
  }

  std::vector<at::Tensor> inputs, outputs;
  const auto raised = course::error_of([&] {
    for (const auto& value : request.args) inputs.push_back(value.toTensor());
    outputs = package->run(inputs);
  });
  if (!raised.empty()) {
    std::cerr << "the package raised: " << raised << "\n";
    return course::kModelRaised;
  }
  for (const auto& output : outputs) std::cout << "-> " << course::describe(output) << "\n";
  if (request.expected.isNone()) return course::kFine;
  const double far = course::difference(outputs.at(0), request.expected);
  std::cout << "compared with Python: " << course::verdict(far, tolerance) << "\n";
  return far <= tolerance ? course::kFine : course::kDiffers;
}
