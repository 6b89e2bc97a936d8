"""Answers to 07.2: script and freeze a model, keep names, and leave the model alone."""

import copy
import io

import torch

from tests.answers import right, wrong


@wrong("A name that should be preserved is gone")
def nothing_preserved():
    return lambda model, names: torch.jit.freeze(torch.jit.script(model).eval())


@wrong("A name that should be preserved is gone")
def only_the_first_name():
    return lambda model, names: torch.jit.freeze(torch.jit.script(model).eval(), preserved_attrs=names[:1])


@wrong("changed the mode of the model")
def eval_on_the_callers_model():
    return lambda model, names: torch.jit.freeze(torch.jit.script(model.eval()), preserved_attrs=names)


@wrong("they are not folded")
def without_numerics():
    def freeze_keeping(model, names):
        return torch.jit.freeze(torch.jit.script(model).eval(), preserved_attrs=names, optimize_numerics=False)

    return freeze_keeping


@wrong("it still has parameters")
def result_thrown_away():
    def freeze_keeping(model, names):
        scripted = torch.jit.script(model).eval()
        torch.jit.freeze(scripted, preserved_attrs=names)
        return scripted

    return freeze_keeping


@wrong("they are not folded")
def keeps_all_submodules():
    def freeze_keeping(model, names):
        scripted = torch.jit.script(model).eval()
        return torch.jit.freeze(scripted, preserved_attrs=[*names, *dict(scripted.named_children())])

    return freeze_keeping


@wrong("Please call .eval()", status="your code raised")
def mode_forgotten():
    return lambda model, names: torch.jit.freeze(torch.jit.script(model), preserved_attrs=names)


@wrong("does not return a compiled module")
def not_scripted():
    return lambda model, names: copy.deepcopy(model).eval()


@right
def works_on_a_copy():
    def freeze_keeping(model, names):
        return torch.jit.freeze(torch.jit.script(copy.deepcopy(model).eval()), preserved_attrs=names)

    return freeze_keeping


@wrong("changed the mode of the model")
def gives_one_mode_to_all():
    def freeze_keeping(model, names):
        training = model.training
        frozen = torch.jit.freeze(torch.jit.script(model.eval()), names)
        model.train(training)
        return frozen

    return freeze_keeping


@right
def frozen_first_and_folded_by_a_second_call():
    def freeze_keeping(model, names):
        scripted = torch.jit.script(copy.deepcopy(model)).eval()
        frozen = torch.jit.freeze(scripted, preserved_attrs=names, optimize_numerics=False)
        torch.jit.run_frozen_optimizations(frozen, preserved_methods=[n for n in names if frozen._c._has_method(n)])
        return frozen

    return freeze_keeping


@wrong("A call of the frozen model changes the original model")
def shares_its_buffers():
    return lambda model, names: torch.jit.freeze(torch.jit.script(model).eval(), preserved_attrs=names)


@right
def scripted_saved_and_loaded():
    def freeze_keeping(model, names):
        file = io.BytesIO()
        torch.jit.save(torch.jit.script(model), file)
        file.seek(0)
        return torch.jit.freeze(torch.jit.load(file).eval(), preserved_attrs=names)

    return freeze_keeping


@wrong("changed weights or statistics")
def statistics_set_back():
    def freeze_keeping(model, names):
        frozen = torch.jit.freeze(torch.jit.script(copy.deepcopy(model)).eval(), preserved_attrs=names)
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.reset_running_stats()
        return frozen

    return freeze_keeping
