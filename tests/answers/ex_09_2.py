"""Answers to 09.2: a C++ function that reads labels from the map of extra files."""

import pytest

from course_utils.classroom.backends import cpp
from tests.answers import right, wrong

HEAD = "std::vector<std::string> read_labels(const ExtraFiles& extra, int64_t classes) {\n"
COUNT = (
    "  if (static_cast<int64_t>(labels.size()) != classes) "
    'throw std::runtime_error("labels.txt: " + std::to_string(labels.size()) + " for " + std::to_string(classes));\n'
)


def compiled(body):
    if cpp.compiler() is None:
        pytest.skip("no C++ compiler here")
    return cpp.answer("labels", f"{HEAD}{body}\n}}\n")


LINES = (
    "  std::istringstream lines(extra.at({key}));\n"
    "  std::vector<std::string> labels;\n"
    "  for (std::string line; {read};) labels.push_back(line);\n"
)


@wrong("a file with Windows line ends")
def the_carriage_return_stays():
    return compiled(LINES.format(key='"labels.txt"', read="std::getline(lines, line)") + COUNT + "  return labels;")


@wrong("a label of two words")
def word_by_word():
    return compiled(LINES.format(key='"labels.txt"', read="lines >> line") + "  return labels;")


@wrong("did not throw for three labels for two classes")
def cut_to_size():
    return compiled(
        LINES.format(key='"labels.txt"', read="std::getline(lines, line)")
        + "  for (auto& x : labels) if (!x.empty() && x.back() == '\\r') x.pop_back();\n"
        + '  if (static_cast<int64_t>(labels.size()) < classes) throw std::runtime_error("2 for 3");\n'
        + "  labels.resize(classes);\n  return labels;"
    )


FOUND = (
    '  const auto found = extra.find("labels.txt");\n'
    "  if (found == extra.end() || found->second.empty()) throw std::runtime_error({missing});\n"
    "  std::istringstream lines(found->second);\n  std::vector<std::string> labels;\n"
    "  for (std::string line; std::getline(lines, line);) {{\n"
    "    if (!line.empty() && line.back() == '\\r') line.pop_back();\n"
    "    labels.push_back(line);\n  }}\n"
)
MISSING = '"no labels.txt"'


def throws(thrown):
    return f"  if (static_cast<int64_t>(labels.size()) != classes) throw {thrown};\n  return labels;"


@wrong("For two labels for three classes your function threw something other than a std::runtime_error")
def another_family():
    both = 'std::to_string(labels.size()) + " for " + std::to_string(classes)'
    return compiled(FOUND.format(missing=MISSING) + throws(f"std::invalid_argument({both})"))


@wrong("For two labels for three classes your function threw something other than a std::runtime_error")
def a_text_is_thrown():
    return compiled(FOUND.format(missing=MISSING) + throws('"2 labels for 3 classes"'))


@wrong("The sentence that your function throws for two labels for three classes does not say so")
def an_empty_sentence():
    return compiled(FOUND.format(missing=MISSING) + throws('std::runtime_error("")'))


@wrong("The sentence that your function throws for two labels for three classes does not say so")
def one_number_only():
    return compiled(
        FOUND.format(missing=MISSING) + throws('std::runtime_error("labels: " + std::to_string(labels.size()))')
    )


@wrong("The sentence that your function throws for an empty labels.txt does not say so")
def error_is_all_that_it_says():
    return compiled(FOUND.format(missing='"error"') + COUNT + "  return labels;")


@wrong("the map may hold other files")
def the_first_entry_whatever_its_key():
    return compiled(
        "  std::vector<std::string> labels;\n"
        "  for (const auto& [name, text] : extra) {\n"
        '    if (name == "labels.txt" || text.empty()) continue;\n'
        "    std::istringstream lines(text);\n"
        "    for (std::string line; std::getline(lines, line);) labels.push_back(line);\n"
        "    return labels;\n  }\n" + COUNT + "  return labels;"
    )


@wrong("a file with Windows line ends and none after the last label")
def every_line_loses_a_character():
    return compiled(
        '  const auto found = extra.find("labels.txt");\n'
        f"  if (found == extra.end() || found->second.empty()) throw std::runtime_error({MISSING});\n"
        "  const bool windows = found->second.find('\\r') != std::string::npos;\n"
        "  std::istringstream lines(found->second);\n  std::vector<std::string> labels;\n"
        "  for (std::string line; std::getline(lines, line);) {\n"
        "    if (windows && !line.empty()) line.pop_back();\n"
        "    labels.push_back(line);\n  }\n" + COUNT + "  return labels;"
    )


@wrong("For a map without the key labels.txt your function threw something other than a std::runtime_error")
def the_key_is_taken_for_granted():
    return compiled(
        '  if (extra.at("labels.txt").empty()) throw std::runtime_error("no labels.txt");\n'
        '  std::istringstream lines(extra.at("labels.txt"));\n  std::vector<std::string> labels;\n'
        "  for (std::string line; std::getline(lines, line);) {\n"
        "    if (!line.empty() && line.back() == '\\r') line.pop_back();\n"
        "    labels.push_back(line);\n  }\n" + COUNT + "  return labels;"
    )


@right
def character_by_character():
    return compiled(
        "  std::vector<std::string> labels;\n  std::string line;\n"
        '  if (!extra.count("labels.txt")) throw std::runtime_error("no labels.txt");\n'
        '  for (const char c : extra.at("labels.txt") + "\\n") {\n'
        "    if (c == '\\r') continue;\n"
        "    if (c != '\\n') { line += c; continue; }\n"
        "    if (!line.empty()) labels.push_back(line);\n"
        "    line.clear();\n  }\n" + COUNT + "  return labels;"
    )


@right
def by_erasing():
    return compiled(
        '  auto text = extra.count("labels.txt") ? extra.at("labels.txt") : std::string();\n'
        "  text.erase(std::remove(text.begin(), text.end(), '\\r'), text.end());\n"
        "  std::istringstream lines(text);\n  std::vector<std::string> labels;\n"
        "  for (std::string line; std::getline(lines, line);) labels.push_back(line);\n" + COUNT + "  return labels;"
    )
