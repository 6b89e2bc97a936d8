"""Answers to 09.2: a C++ function that reads labels from the map of extra files."""

import pytest

from course_utils import native
from tests.answers import right, wrong

HEAD = "std::vector<std::string> read_labels(const ExtraFiles& extra, int64_t classes) {\n"
COUNT = (
    "  if (static_cast<int64_t>(labels.size()) != classes) "
    'throw std::runtime_error("labels: " + std::to_string(labels.size()));\n'
)


def compiled(body):
    if native.compiler() is None:
        pytest.skip("no C++ compiler here")
    return native.answer("labels", f"{HEAD}{body}\n}}\n")


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
        + '  if (static_cast<int64_t>(labels.size()) < classes) throw std::runtime_error("too few");\n'
        + "  labels.resize(classes);\n  return labels;"
    )


@right
def character_by_character():
    return compiled(
        "  std::vector<std::string> labels;\n  std::string line;\n"
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
