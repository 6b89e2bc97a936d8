"""The bisection finds what was planted, all of it and nothing else, and leaves the model as it was."""

# No `from __future__ import annotations`: the models here are scripted.

import copy
import functools
import importlib
import io
import random
import warnings
from pathlib import Path

import pytest
import torch
import torchvision.models as zoo
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import BasicBlock
from torchvision.models.squeezenet import Fire

from course_utils.tools.bisection import Place, bisect_difference, bisect_script, fresh_types
from course_utils.tools.bisection.compiling import file_name
from course_utils.tools.parity import Case

X = torch.tensor([[0.5, -1.0, 2.0, 1.5], [1.0, 0.25, -0.5, 3.0]])


class Sorted(nn.Module):
    def forward(self, x):
        return torch.stack(sorted(x, key=lambda row: float(row.sum())))  # does not compile


class Formatted(nn.Module):
    def forward(self, x):
        name = f"{1.5:.1f}"  # does not compile
        return x * len(name)


class Pair(nn.Module):
    def forward(self, x):
        return x, [f"{1.5:.1f}"]


class AnnotatedPair(nn.Module):
    def forward(self, x) -> tuple[Tensor, list[str]]:
        return x, [f"{1.5:.1f}"]


class TakesPair(nn.Module):
    """Fine itself: what it does with the pair is right, and a Tensor in its place would be an error."""

    def __init__(self, pair):
        super().__init__()
        self.pair = pair

    def forward(self, x):
        out, names = self.pair(x)
        return out * len(names)


class OwnError(TakesPair):
    def forward(self, x):
        out, _ = self.pair(x)
        return out + max([1, 2], key=abs)


class OwnTypeError(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = Sorted()

    def forward(self, x):
        return self.part(x) + "one"


class Gate(nn.Module):
    def forward(self, x):
        return x * 2 if bool(x.sum() > 0) else x * 3


class UsesMethod(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = WithMethod()

    def forward(self, x):
        return self.part.doubled(x) + self.part(x)


class WithMethod(Sorted):
    def doubled(self, x):
        return x * 2


def net(*parts):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), *parts), nn.Tanh())


# --- torchvision, planted and clean ----------------------------------------------------------------------------------


def residual():
    layer = nn.Sequential(BasicBlock(4, 4), nn.Sequential(BasicBlock(4, 4), nn.Identity()))
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def squeezed():
    inner = nn.Sequential(Fire(8, 4, 4, 4), nn.MaxPool2d(3, 2), nn.Sequential(Fire(8, 4, 8, 8), nn.Dropout(0.5)))
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), inner, nn.Conv2d(16, 10, 1), nn.ReLU())


def normalised():
    return zoo.VGG(zoo.vgg.make_layers([8, "M", 8, "M"], batch_norm=True), init_weights=False)


def inverted():
    inner = nn.Sequential(InvertedResidual(8, 8, 1, 2), nn.ReLU6())
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), inner, nn.Sequential(nn.Flatten(), nn.Softmax(1)))


# In these things are planted: blocks of torchvision, at different depths, and few of them.
SMALL = {"residual": residual, "squeezed": squeezed, "vgg_bn": normalised, "inverted": inverted}
# These are compiled only, so that their weights need no memory.
MAKERS = {
    "resnet18": zoo.resnet18,
    "squeezenet1_1": zoo.squeezenet1_1,
    "vgg_bn": lambda **_: normalised(),
    "densenet": lambda **_: zoo.DenseNet(8, (2, 2), 8, num_classes=10),
    "googlenet": lambda **options: zoo.googlenet(init_weights=False, aux_logits=False, **options),
    "segmentation": lambda **_: zoo.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None),
}


@functools.cache
def model_of(name):
    with torch.device("meta" if name == "vgg_bn" else "cpu"):  # its classifier alone has 120 million weights
        return SMALL[name]().eval()


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_found_in_a_model_that_compiles(name):
    with torch.device("meta"):
        model = MAKERS[name](weights=None).eval()
    report = bisect_script(model)
    assert report.ok and report.names == [] and "compiles" in str(report)


def planted(model, name, part):
    """A shallow copy of the model with `part` at `name`; the model stays clean."""
    model = copy.copy(model)
    at = model
    *path, last = name.split(".")
    at.__dict__["_modules"] = dict(at._modules)
    for step in path:
        at._modules[step] = copy.copy(at._modules[step])
        at = at._modules[step]
        at.__dict__["_modules"] = dict(at._modules)
    at._modules[last] = part
    return model


def leaves(model):
    return [name for name, module in model.named_modules() if name and not any(module.children())]


@pytest.mark.parametrize("seed", range(12))
def test_a_planted_part_is_found_at_any_depth(seed):
    draw = random.Random(seed)
    name = [*SMALL][seed % len(SMALL)]
    where = draw.choice(leaves(model_of(name)))
    report = bisect_script(planted(model_of(name), where, draw.choice([Sorted, Formatted])()))
    assert report.names == [where]
    assert report.unclear == ()
    assert report.failures[0].place.file == "test_bisection.py"
    assert report.failures[0].place.text.endswith(("# does not compile", '.1f}"', "sum())))"))


@pytest.mark.parametrize("seed", range(4))
def test_all_planted_parts_are_found(seed):
    draw = random.Random(100 + seed)
    model = model_of("residual")
    names = draw.sample(leaves(model), 3)
    for name in names:
        model = planted(model, name, draw.choice([Sorted, Formatted])())
    report = bisect_script(model)
    assert sorted(report.names) == sorted(names)
    assert "everything else does" in str(report)


# --- what is above a failing part -----------------------------------------------------------------------------------


def test_the_model_itself_is_found():
    report = bisect_script(Sorted())
    assert report.names == [""] and "itself does not compile" in str(report)


def test_an_error_above_a_failing_part_is_found_too():
    report = bisect_script(net(OwnError(AnnotatedPair())))
    assert report.names == ["1.1.pair", "1.1"]
    lines = {failure.kind: failure.place.text for failure in report.failures}
    assert lines["OwnError"] == "return out + max([1, 2], key=abs)"


def test_an_error_of_types_above_a_failing_part_needs_an_example():
    assert bisect_script(net(OwnTypeError())).unclear == ("1.1",)
    report = bisect_script(net(OwnTypeError()), X)
    assert report.unclear == () and report.names == ["1.1.part", "1.1"]


def test_what_a_failing_part_returns_comes_from_its_annotation_or_from_the_example():
    assert bisect_script(net(TakesPair(AnnotatedPair()))).names == ["1.1.pair"]
    assert bisect_script(net(TakesPair(Pair())), X).names == ["1.1.pair"]
    unknown = bisect_script(net(TakesPair(Pair())))
    assert unknown.names == ["1.1.pair"] and unknown.unclear == ("1.1",)
    assert "run this again" in str(unknown)


def test_a_method_of_a_part_that_was_set_aside_is_no_find():
    report = bisect_script(net(UsesMethod()), X)
    assert report.names == ["1.1.part"] and report.unclear == ("1.1",)


def test_containers_are_looked_through():
    class Lists(nn.Module):
        def __init__(self):
            super().__init__()
            self.many = nn.ModuleList([nn.ReLU(), Sorted(), nn.Sequential(nn.ReLU(), Formatted())])
            self.named = nn.ModuleDict({"a": Formatted(), "b": nn.ReLU()})

        def forward(self, x):
            for part in self.many:
                x = part(x)
            for part in self.named.values():
                x = part(x)
            return x

    assert set(bisect_script(Lists()).names) == {"many.1", "many.2.1", "named.a"}


def test_one_object_in_two_places_is_one_failure_with_two_names():
    part = Sorted()
    (failure,) = bisect_script(nn.Sequential(part, nn.ReLU(), part)).failures
    assert failure.names == ("0", "2")


def test_one_class_in_two_places_is_one_failure_with_two_names():
    (failure,) = bisect_script(nn.Sequential(Sorted(), nn.ReLU(), Sorted())).failures
    assert failure.names == ("0", "2")


def test_parts_that_are_compiled_already_are_left_alone():
    assert bisect_script(nn.Sequential(torch.jit.script(nn.ReLU()), Sorted())).names == ["1"]


def test_a_decorated_forward_can_be_set_aside():
    class Decorated(nn.Module):
        @torch.no_grad()
        def forward(self, x):
            return torch.stack(sorted(x, key=len))

    assert bisect_script(nn.Sequential(nn.ReLU(), Decorated()), X).names == ["1"]


def test_a_forward_with_any_number_of_arguments_can_be_set_aside():
    class Loose(nn.Module):
        def forward(self, x, *others, **options):
            return x

    class KeywordOnly(nn.Module):
        def forward(self, x, *, scale: float):
            return x * scale

    class Uses(nn.Module):
        def __init__(self):
            super().__init__()
            self.loose, self.named, self.odd = Loose(), KeywordOnly(), Formatted()

        def forward(self, x):
            return self.named(self.loose(self.odd(x)), scale=2.0)

    assert bisect_script(nn.Sequential(Uses(), nn.ReLU()), X).names == ["0.loose", "0.odd"]
    assert bisect_script(nn.Sequential(nn.ReLU(), Loose()), X).names == ["1"]


def test_an_error_without_a_line_names_the_class():
    class Hooked(nn.Module):
        def forward(self, x):
            return x

    part = Hooked()
    part.register_forward_hook(lambda module, args, out: None)
    (failure,) = bisect_script(nn.Sequential(nn.ReLU(), part)).failures
    assert failure.names == ("1",) and failure.place.text.startswith("class Hooked")


def test_asked_twice_it_says_the_same_and_the_model_is_as_it_was():
    model = net(Sorted(), Formatted())
    before = copy.deepcopy(model.state_dict())
    modules = dict(model.named_modules())
    first, second = bisect_script(model, X), bisect_script(model, X)
    assert str(first) == str(second)
    assert dict(model.named_modules()) == modules
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_after_a_plain_failure_the_reason_is_still_the_first_one():
    model = nn.Sequential(Formatted())
    for _ in range(2):
        with pytest.raises(Exception, match=r"JoinedStr|redefine"):
            torch.jit.script(model)
    assert "JoinedStr" in bisect_script(model).failures[0].reason


def test_fresh_types_are_put_back():
    from torch.jit import _recursive

    store = _recursive.concrete_type_store
    with pytest.raises(ValueError, match="from inside"), fresh_types():
        raise ValueError("from inside")
    assert _recursive.concrete_type_store is store


def test_no_folder_of_this_machine_is_shown():
    report = bisect_script(net(Sorted()))
    assert "/" not in str(report) and "tests" not in report._repr_html_()


def test_file_names_are_short_on_every_system():
    assert file_name("/" + "home/a/model.py") == "model.py"
    assert file_name("C:\\" + "Users\\a\\model.py") == "model.py"
    assert file_name("/".join(["", "any", f"ipykernel_{17}", "123.py"])) == "a cell"


def test_the_table_escapes_what_it_shows():
    html = bisect_script(nn.Sequential(Sorted(), Formatted()))._repr_html_()
    assert html.count("<tr>") == 3 and "&quot;" in html


def test_a_function_is_refused_in_words():
    with pytest.raises(TypeError, match="takes a module"):
        bisect_script(lambda x: x)


# --- what differs ----------------------------------------------------------------------------------------------------


def trace(model, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(model, x, check_trace=False)


@pytest.mark.parametrize("convert", [lambda m, x: torch.jit.script(m), trace], ids=["script", "trace"])
@pytest.mark.parametrize("name", ["residual", "squeezed"])
def test_equal_conversions_do_not_differ(name, convert):
    model, x = model_of(name), torch.rand(2, 3, 32, 32)
    report = bisect_difference(model, convert(model, x), [x, x[:1]])
    assert report.ok and report.compared >= 2 * len(leaves(model)) and "No difference" in str(report)


@pytest.mark.parametrize("seed", range(8))
def test_a_baked_branch_is_found_at_any_depth(seed):
    model = model_of("residual")
    where = random.Random(seed).choice([n for n in leaves(model) if n.startswith("2.") and "relu" not in n])
    part = nn.Sequential(copy.deepcopy(model.get_submodule(where)), Mean())
    model = planted(model, where, part)
    torch.manual_seed(seed)
    x = torch.rand(2, 3, 32, 32)
    traced = trace(model, x)
    assert bisect_difference(model, traced, x).ok
    Mean.shift = 1.0
    try:
        report = bisect_difference(model, traced, [x, x * 0])
    finally:
        Mean.shift = 0.0
    assert report.name == f"{where}.1" and report.kind == "Mean"


class Mean(nn.Module):
    """Its trace holds what `shift` was."""

    shift = 0.0

    def forward(self, x):
        return x + self.shift


def test_other_weights_are_found():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh())).eval()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[1][0].weight[0, 0] += 1
    report = bisect_difference(model, torch.jit.script(other), X)
    assert report.name == "1.0" and "is the first to differ" in str(report) and "reference" in report._repr_html_()


def test_a_wrong_trace_is_found_on_the_input_that_shows_it():
    model = nn.Sequential(nn.Linear(4, 4), Gate()).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(4))
        model[0].bias.zero_()
    traced = trace(model, X)
    assert bisect_difference(model, traced, X).ok
    assert bisect_difference(model, traced, [X, -X]).name == "1"


def test_a_second_call_of_one_module_is_compared_with_its_own_trace():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = Gate()

        def forward(self, x):
            return self.gate(x) + self.gate(-x)

    model = Twice().eval()
    assert bisect_difference(model, trace(model, X), X).ok
    assert bisect_difference(model, trace(model, X), -X).name == "gate"


def test_in_place_operators_are_compared_with_what_they_were_given():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4), nn.ReLU(inplace=True)).eval()
    assert bisect_difference(model, torch.jit.script(model), X).ok


def test_the_whole_is_named_where_its_parts_are_equal():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            out = self.linear(x)
            return out * 2 if x.shape[0] > 1 else out

    model = Own().eval()
    report = bisect_difference(model, trace(model, X), X[:1])
    assert report.name == "" and "itself differs" in str(report)


def test_frozen_modules_have_only_the_whole():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    frozen = torch.jit.freeze(torch.jit.script(model))
    report = bisect_difference(model, frozen, X)
    assert report.ok and report.compared == 1 and dict(report.left_out).keys() == {"0", "1"}


def test_randomness_of_eager_is_no_difference():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4)).train()
    report = bisect_difference(model, torch.jit.script(model), torch.ones(64, 4))
    assert report.name != "0"
    assert any("each time" in why for _, why in report.left_out)


def test_keyword_arguments_and_a_second_conversion():
    class Keyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = Gate()

        def forward(self, x, scale: float = 1.0):
            return self.gate(x) * scale

    model = Keyword()
    assert bisect_difference(model, torch.jit.script(model), Case((X,), {"scale": 2.0})).ok


def test_another_shape_is_a_difference():
    class Shaped(nn.Module):
        def forward(self, x):
            return x.reshape(int(x.shape[0]), -1)

    model = nn.Sequential(nn.Linear(4, 4), Shaped()).eval()
    report = bisect_difference(model, trace(model, X), torch.ones(3, 4))
    assert report.name == "1" and report.finding.kind == "shape"


def test_inputs_of_another_kind_are_refused_in_words():
    with pytest.raises(TypeError, match="Wrap a single argument"):
        bisect_difference(nn.ReLU(), torch.jit.script(nn.ReLU()), 3)


# --- a trace that passes its tensors in another order ----------------------------------------------------------------


class Doubles(nn.Module):
    def forward(self, x, e):
        return x * 2


class Gathers(nn.Module):
    def forward(self, x, e):
        return x[e[0]] + x[e[1]]


class Differs(nn.Module):
    """Uses the second one first, and decides in Python."""

    def forward(self, x, y):
        z = y * 2
        return z - x if bool(x.sum() > 0) else z + x


class Edges(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.a, self.b = Doubles(), last

    def forward(self, x, e):
        return self.b(self.a(x, e), e)


GRAPH = (torch.arange(12.0).reshape(4, 3), torch.tensor([[0, 1], [2, 3]]))


def reloaded(module):
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


@pytest.mark.parametrize("convert", [lambda m: m, reloaded, copy.deepcopy], ids=["traced", "loaded", "copied"])
def test_a_trace_that_reorders_its_arguments_is_no_difference(convert):
    report = bisect_difference(Edges(Gathers()), convert(trace(Edges(Gathers()), GRAPH)), GRAPH)
    assert report.ok and report.compared == 3 and not report.left_out, str(report)


def test_with_arguments_reordered_a_difference_is_found_all_the_same():
    inputs = (torch.ones(3), torch.ones(3, 3))
    traced = trace(Edges(Differs()), inputs)
    report = bisect_difference(Edges(Differs()), traced, (-inputs[0], inputs[1]))
    assert (report.name, report.finding.kind) == ("b", "value"), str(report)


def test_where_the_order_cannot_be_known_nothing_inside_is_blamed():
    inputs = (torch.ones(3), torch.ones(3))  # of one type: either may be the first
    traced = trace(Edges(Differs()), inputs)
    report = bisect_difference(Edges(Differs()), traced, (-inputs[0], inputs[1]))
    assert report.name == "" and dict(report.left_out)["b"], str(report)


# --- the line that is shown ------------------------------------------------------------------------------------------


def test_the_line_under_a_decorator_of_another_file_is_the_one_of_the_method(tmp_path, monkeypatch):
    for name, text in {
        "wrapping": "import functools\n\n\ndef wrap(f):\n    @functools.wraps(f)\n    def inner(*a):\n"
        "        return f(*a)\n    return inner\n",
        "wrapped_up": "# " + "\n# ".join("abcdefghijklmnop") + "\nfrom torch import nn\nfrom wrapping import wrap\n\n\n"
        "class Odd(nn.Module):\n    @wrap\n    def forward(self, x):\n        y = x + 1\n"
        "        return sorted(y, key=lambda v: -v)\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    kind = importlib.import_module("wrapped_up").Odd
    (place,) = [f.place for f in bisect_script(kind()).failures]
    source = (tmp_path / "wrapped_up.py").read_text(encoding="utf-8").splitlines()
    if place.line:
        assert place.file == "wrapped_up.py" and source[place.line - 1].strip() == place.text, str(place)
    assert place.text in "\n".join(source)


class Comprehends(nn.Module):
    def forward(self, x):
        parts = [
            x[i]
            for i in range(3)
            if i > 0
        ]  # fmt: skip
        return parts[0]


@pytest.mark.parametrize("part", [Sorted, Formatted, Comprehends])
def test_file_line_and_text_are_of_one_line(part):
    (place,) = [f.place for f in bisect_script(part()).failures]
    assert not str(place).rstrip().endswith(":")
    written = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert place.file == Path(__file__).name and written[place.line - 1].strip() == place.text


def test_an_empty_line_is_not_shown():
    assert str(Place("a.py", 3, "")) == "a.py, line 3"
    assert str(Place("a.py", 3, "x = 1")) == "a.py, line 3: x = 1"
    assert str(Place("", 0, "x = 1")) == "no line is given: x = 1"
