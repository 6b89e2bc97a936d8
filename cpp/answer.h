// What an answer to an exercise of lesson 09 may use. Only the tensor's own header, so that it compiles in seconds.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

using Forward = std::function<at::Tensor(const at::Tensor&)>;
using ExtraFiles = std::unordered_map<std::string, std::string>;  // torch::jit::ExtraFilesMap

// 09.1: run `forward` on at most `size` images at a time, and return the scores of all of them.
at::Tensor in_batches(const Forward& forward, const at::Tensor& images, int64_t size);

// 09.2: the labels in the extra file labels.txt, one per line, exactly `classes` of them; else throw std::runtime_error.
std::vector<std::string> read_labels(const ExtraFiles& extra, int64_t classes);
