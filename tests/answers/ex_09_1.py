"""Answers to 09.1: a C++ function that runs a model in batches. Each is compiled, which takes a few seconds."""

import pytest

from course_utils.classroom.backends import cpp
from tests.answers import right, wrong

HEAD = "at::Tensor in_batches(const Forward& forward, const at::Tensor& images, int64_t size) {\n"
GUARD = '  if (size < 1) throw std::invalid_argument("size");\n'


def compiled(body):
    if cpp.compiler() is None:
        pytest.skip("no C++ compiler here")
    return cpp.answer("batch", f"{HEAD}{body}\n}}\n")


@wrong("The model was called with more than 3 images at once")
def all_at_once():
    return compiled(GUARD + "  return forward(images);")


@wrong("The scores of 7 images in batches of 3 are not those of one call")
def the_rest_is_lost():
    return compiled(
        GUARD + "  std::vector<at::Tensor> parts;\n"
        "  for (int64_t i = 0; i < images.size(0) / size; i++) {\n"
        "    parts.push_back(forward(images.narrow(0, i * size, size)));\n"
        "  }\n"
        "  return at::cat(parts);"
    )


@wrong("With 7 images and a batch size of 3 your function threw")
def every_part_is_full():
    return compiled(
        GUARD + "  std::vector<at::Tensor> parts;\n"
        "  for (int64_t i = 0; i < images.size(0); i += size) parts.push_back(forward(images.narrow(0, i, size)));\n"
        "  return at::cat(parts);"
    )


@wrong("what you join when there was no image")
def nothing_to_join():
    return compiled(
        GUARD + "  std::vector<at::Tensor> parts;\n"
        "  for (int64_t i = 0; i < images.size(0); i += size) {\n"
        "    parts.push_back(forward(images.slice(0, i, i + size)));\n"
        "  }\n"
        "  return at::cat(parts);"
    )


@wrong("7 images in batches of 3 are not cut as the task says")
def parts_of_nearly_the_same_size():
    return compiled(
        GUARD + "  if (images.size(0) == 0) return forward(images);\n"
        "  std::vector<at::Tensor> parts;\n"
        "  for (const auto& part : images.tensor_split((images.size(0) + size - 1) / size)) {\n"
        "    parts.push_back(forward(part));\n"
        "  }\n"
        "  return at::cat(parts);"
    )


@wrong("7 images in batches of 3 are not cut as the task says")
def the_small_part_first():
    return compiled(
        GUARD + "  std::vector<at::Tensor> parts;\n"
        "  const auto rest = images.size(0) % size;\n"
        "  if (rest || images.size(0) == 0) parts.push_back(forward(images.narrow(0, 0, rest)));\n"
        "  for (auto i = rest; i < images.size(0); i += size) parts.push_back(forward(images.narrow(0, i, size)));\n"
        "  return at::cat(parts);"
    )


@wrong("5 images in batches of 4 are not cut as the task says")
def one_by_one_at_the_end():
    return compiled(
        GUARD + "  std::vector<at::Tensor> parts;\n"
        "  if (images.size(0) == 0) return forward(images);\n"
        "  if (images.size(0) == 5 && size == 4) size = 3;\n"
        "  for (const auto& part : images.split(size)) parts.push_back(forward(part));\n"
        "  return at::cat(parts);"
    )


SPLIT = (
    "  std::vector<at::Tensor> parts;\n"
    "  for (const auto& part : images.split(size)) parts.push_back(forward(part));\n"
    "  return at::cat(parts);"
)


@wrong("For a batch size of 0 your function threw something other than a std::invalid_argument")
def another_type_of_exception():
    return compiled('  if (size < 1) throw std::runtime_error("size");\n' + SPLIT)


@wrong("For a batch size of -2 your function threw something other than a std::invalid_argument")
def zero_alone_is_refused():
    return compiled('  if (size == 0) throw std::invalid_argument("size");\n' + SPLIT)


@wrong("A batch size of -2 was accepted")
def a_negative_size_is_one():
    return compiled(
        '  if (size == 0) throw std::invalid_argument("size");\n  size = std::max<int64_t>(size, 1);\n' + SPLIT
    )


@wrong("A batch size of 0 was accepted")
def no_image_needs_no_size():
    return compiled("  if (images.size(0) == 0) return forward(images);\n" + GUARD + SPLIT)


@wrong("Your function ended the program")
def it_exits():
    return compiled("  if (size < 1) std::exit(0);\n" + SPLIT)


@wrong("does not compile")
def without_a_semicolon():
    return compiled("  return forward(images)")


@wrong("The check expects your compiled C++ text")
def the_text_itself():
    return HEAD + "  return forward(images);\n}"


@right
def by_split():
    return compiled(
        GUARD + "  std::vector<at::Tensor> parts;\n"
        "  for (const auto& part : images.split(size)) parts.push_back(forward(part));\n"
        "  return at::cat(parts);"
    )


@right
def into_one_tensor():
    return compiled(
        GUARD + "  const auto n = images.size(0);\n"
        "  if (n <= size) return forward(images);\n"
        "  const auto first = forward(images.slice(0, 0, size));\n"
        "  auto all = first.new_empty({n, first.size(1)});\n"
        "  all.slice(0, 0, size).copy_(first);\n"
        "  for (int64_t i = size; i < n; i += size) {\n"
        "    all.slice(0, i, i + size).copy_(forward(images.slice(0, i, i + size)));\n"
        "  }\n"
        "  return all;"
    )
