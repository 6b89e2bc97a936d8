"""Answers to 05.1: a model and its labels in one archive."""

import base64
import json
import pickle
import zipfile

import torch

from tests.answers import right, wrong

NAME = "labels.json"


def save_json(model, labels, path):
    torch.jit.save(model, path, _extra_files={NAME: json.dumps(labels)})


def load_json(path):
    wanted = {NAME: ""}
    model = torch.jit.load(path, _extra_files=wanted)
    if not wanted[NAME]:
        raise ValueError("no labels")
    return model, json.loads(wanted[NAME])


@wrong("raises no error")
def silent_without_labels():
    def load(path):
        wanted = {NAME: ""}
        model = torch.jit.load(path, _extra_files=wanted)
        return model, json.loads(wanted[NAME] or "[]")

    return save_json, load


@wrong("the error comes from the reader of JSON")
def error_of_json():
    def load(path):
        wanted = {NAME: ""}
        return torch.jit.load(path, _extra_files=wanted), json.loads(wanted[NAME])

    return save_json, load


@wrong("writes more than one file")
def a_file_beside():
    def save(model, labels, path):
        model.save(path)
        path.with_suffix(".json").write_text(json.dumps(labels))

    def load(path):
        return torch.jit.load(path), json.loads(path.with_suffix(".json").read_text())

    return save, load


@wrong("The labels come back changed")
def joined_by_lines():
    def save(model, labels, path):
        torch.jit.save(model, path, _extra_files={NAME: "\n".join(labels)})

    def load(path):
        wanted = {NAME: ""}
        model = torch.jit.load(path, _extra_files=wanted)
        if not wanted[NAME]:
            raise ValueError("no labels")
        return model, wanted[NAME].decode().split("\n")

    return save, load


@wrong("come back as one text")
def bytes_as_they_are():
    def load(path):
        wanted = {NAME: ""}
        model = torch.jit.load(path, _extra_files=wanted)
        if not wanted[NAME]:
            raise ValueError("no labels")
        return model, wanted[NAME]

    return save_json, load


@wrong("not the pair of your two functions")
def only_one_function():
    return save_json


@wrong("is not a pair")
def only_the_model():
    return save_json, lambda path: torch.jit.load(path)


@wrong("raises another error than a ValueError")
def a_key_error():
    def load(path):
        with zipfile.ZipFile(path) as file:
            labels = json.loads(file.read(f"{file.namelist()[0].split('/')[0]}/extra/{NAME}"))
        return torch.jit.load(path), labels

    return save_json, load


@right
def as_base64_of_a_pickle():
    def save(model, labels, path):
        torch.jit.save(model, path, _extra_files={"l": base64.b64encode(pickle.dumps(labels)).decode()})

    def load(path):
        wanted = {"l": ""}
        model = torch.jit.load(path, _extra_files=wanted)
        if wanted["l"] == b"":
            raise ValueError("no labels")
        return model, pickle.loads(base64.b64decode(wanted["l"]))

    return save, load


@right
def read_by_zipfile():
    def load(path):
        with zipfile.ZipFile(path) as file:
            names = [x for x in file.namelist() if x.endswith("/extra/" + NAME)]
            if not names:
                raise ValueError("no labels")
            return torch.jit.load(str(path), map_location="cpu"), json.loads(file.read(names[0]))

    return save_json, load


@right
def added_to_the_zip_afterwards():
    def save(model, labels, path):
        model.save(str(path))
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(f"{file.namelist()[0].split('/')[0]}/extra/{NAME}", json.dumps(labels, ensure_ascii=False))

    return save, load_json


@wrong("The labels come back changed")
def joined_by_commas():
    def save(model, labels, path):
        torch.jit.save(model, path, _extra_files={NAME: ",".join(labels)})

    def load(path):
        wanted = {NAME: ""}
        model = torch.jit.load(path, _extra_files=wanted)
        if not wanted[NAME]:
            raise ValueError("no labels")
        return model, wanted[NAME].decode().split(",")

    return save, load


@wrong("the first comes back with the labels of the second")
def remembered_in_a_global():
    last = []

    def save(model, labels, path):
        last[:] = labels
        torch.jit.save(model, path, _extra_files={NAME: "yes"})

    def load(path):
        wanted = {NAME: ""}
        model = torch.jit.load(path, _extra_files=wanted)
        if not wanted[NAME]:
            raise ValueError("no labels")
        return model, list(last)

    return save, load


@wrong("one in train mode comes back")
def in_train_mode():
    def load(path):
        model, labels = load_json(path)
        return model.train(), labels

    return save_json, load


@wrong("The labels do not come back as a list")
def as_a_tuple():
    def load(path):
        model, labels = load_json(path)
        return model, tuple(labels)

    return save_json, load


@wrong("The pair is in the other order")
def swapped():
    return save_json, lambda path: load_json(path)[::-1]
