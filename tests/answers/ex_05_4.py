"""Answers to 05.4: an archive with new weights, and everything else as it was."""

import io
import zipfile

import torch

from course_utils.tools import archive
from tests.answers import right, wrong


def updated_by(*, extras=None, fill=None, polish=None, to=None):
    """The reference answer, with one step replaced."""

    def updated(source, state, target):
        names = archive.inspect(source).extra_files if extras is None else extras
        files = dict.fromkeys(names, "")
        model = torch.jit.load(source, _extra_files=files)
        (fill or checked)(model, state)
        if polish:
            model = polish(model)
        torch.jit.save(model, (to or (lambda source, target: target))(source, target), _extra_files=files)

    return updated


def checked(model, state):
    kept = model.load_state_dict(state, strict=False)
    parameters = dict(model.named_parameters())
    if kept.unexpected_keys or any(name in parameters for name in kept.missing_keys):
        raise ValueError(f"the state does not fit: {kept}")


@wrong("The extra files are not those of the source")
def forgets_the_extra_files():
    return updated_by(extras=())


@wrong("The extra files are not those of the source")
def knows_one_name():
    return updated_by(extras=("labels.json",))


@wrong("The extra files are not those of the source")
def names_with_a_suffix_only():
    def updated(source, state, target):
        names = [name for name in archive.inspect(source).extra_files if "." in name]
        return updated_by(extras=names)(source, state, target)

    return updated


@wrong("Your function raises an error for a small classifier")
def into_a_class_that_it_does_not_have():
    def fill(model, state):
        model.linear.load_state_dict(state)

    return updated_by(fill=fill)


@wrong("Your function raises an error for an archive with a non-persistent buffer")
def strict():
    return updated_by(fill=lambda model, state: model.load_state_dict(state))


@wrong("For a state with a name that the archive does not have, your function raises no error")
def lenient():
    return updated_by(fill=lambda model, state: model.load_state_dict(state, strict=False))


@wrong("For a state with no value for a parameter, your function raises no error")
def missing_names_are_fine():
    def fill(model, state):
        if model.load_state_dict(state, strict=False).unexpected_keys:
            raise ValueError("unknown names")

    return updated_by(fill=fill)


@wrong("raises an error that is not a ValueError")
def key_error():
    def fill(model, state):
        own = model.state_dict()
        with torch.no_grad():
            for name, value in state.items():
                own[name].copy_(value)

    return updated_by(fill=fill)


@wrong("The mode is not what it was in an archive in train mode")
def in_eval_mode():
    return updated_by(polish=lambda model: model.eval())


@wrong("does not have its new value in an archive in float64")
def in_float32():
    return updated_by(polish=lambda model: model.float())


@wrong("does not have its new value in a small classifier")
def no_new_weights():
    return updated_by(fill=lambda model, state: None)


@wrong("`mean` does not have its new value")
def parameters_only():
    def fill(model, state):
        names = {name for name, _ in model.named_parameters()}
        checked(model, {name: value for name, value in state.items() if name in names})

    return updated_by(fill=fill)


@wrong("Your function changes the file at `source`")
def in_place():
    return updated_by(to=lambda source, target: source)


@wrong("There is no file at `target`")
def beside_it():
    return updated_by(to=lambda source, target: target.with_suffix(".new"))


@right
def by_load_state_dict():
    return updated_by()


@right
def copied_by_hand():
    def fill(model, state):
        own = model.state_dict()
        needed = {name for name, _ in model.named_parameters()}
        if not needed <= set(state) <= set(own):
            raise ValueError("the state does not fit")
        with torch.no_grad():
            for name, value in state.items():
                own[name].copy_(value)

    return updated_by(fill=fill)


@right
def extra_files_from_the_zip():
    def updated(source, state, target):
        with zipfile.ZipFile(source) as file:
            extras = {x.partition("/extra/")[2]: file.read(x) for x in file.namelist() if "/extra/" in x}
        model = torch.jit.load(io.BytesIO(source.read_bytes()), map_location="cpu")
        checked(model, state)
        model.save(str(target), _extra_files=extras)

    return updated
