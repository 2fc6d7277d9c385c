"""The public names: complete type annotations, shipped to type checkers."""

import inspect
from importlib.resources import files

import pytest

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast.lobe import CRDNN

NAMES = [name for name in fast.__all__ if name != "__version__"]


def functions(thing):
    """A public function, or the public methods of a class."""
    if not inspect.isclass(thing):
        return [thing]
    methods = [thing.__init__, thing.forward]
    return methods + [
        method
        for name, method in vars(thing).items()
        if inspect.isfunction(method) and not name.startswith("_")
    ]


@pytest.mark.parametrize(
    "thing", [*(getattr(fast, name) for name in NAMES), CRDNN]
)
def test_every_argument_and_result_has_a_type(thing):
    for function in functions(thing):
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, function
        for name, parameter in signature.parameters.items():
            if name != "self":
                assert parameter.annotation is not parameter.empty, name


def test_type_checkers_are_told():
    assert files("speechbrain_ligru_fast").joinpath("py.typed").is_file()


def test_type_checkers_read_the_names_that_run():
    """Names are found at run time by a table, by a type checker in imports."""
    source = inspect.getsource(fast)
    for name in NAMES:
        assert f"{name} as {name}" in source
