"""Claims of lesson 08, on parity checks and tolerances."""

import torch
from torch import nn

from course_utils import check_parity
from course_utils.parity import ulp_distance
from tests.claims import claim

HERE = "notebooks/08_parity_checks.ipynb"


def close(a, b, **options) -> bool:
    try:
        torch.testing.assert_close(a, b, **options)
    except AssertionError:
        return False
    return True


@claim(f"{HERE}#c080a4302", "`allclose` broadcasts, so it passes tensors of other shapes")
def allclose_broadcasts():
    for a, b in (
        (torch.ones(3), torch.ones(1, 3)),
        (torch.zeros(2, 1), torch.zeros(5)),
        (torch.ones(()), torch.ones(4)),
    ):
        assert torch.allclose(a, b) and not close(a, b)


@claim(f"{HERE}#c080a4302", "takes NaN for equal only when asked")
def nan_is_equal_when_asked():
    for values in ([torch.nan], [1.0, torch.nan], [torch.nan, torch.inf]):
        a = torch.tensor(values)
        assert not close(a, a.clone()) and close(a, a.clone(), equal_nan=True)


@claim(f"{HERE}#ca65dc237", "an error that touches only small outputs fits into it", was="far below any error of logic")
def small_outputs_hide_errors():
    for small in (2e-5, 1e-6, -3e-5):
        good = torch.tensor([9.0, small])
        bad = good * torch.tensor([1.0, 2.0])
        assert close(bad, good, rtol=0, atol=9e-5) and not close(bad, good, rtol=1e-5, atol=0)


@claim(f"{HERE}#cbaafe060", "a list for a tuple is a note", was="structure is compared")
def a_list_for_a_tuple_is_a_note():
    assert check_parity(lambda x: (x, x), lambda x: [x, x], torch.ones(2)).ok


@claim(f"{HERE}#c87cd8f92", "The same holds for any purely relative measure")
def ulps_near_zero():
    far = [ulp_distance(torch.tensor([v]), torch.tensor([v]) + 1e-6).item() for v in (1.0, 1e-5, 0.0)]
    assert far[0] < 100 < far[1] < far[2]


@claim(f"{HERE}#cfbcd77ab", "is not traced in strict mode", was="None of the whole zoo refuses")
def a_dict_is_not_traced_in_strict_mode():
    class Maps(nn.Module):
        def forward(self, x):
            return {"out": x * 2}

    try:
        torch.jit.trace(Maps(), torch.ones(2))
    except RuntimeError:
        pass
    else:
        raise AssertionError("it was traced")
    assert "out" in torch.jit.trace(Maps(), torch.ones(2), strict=False)(torch.ones(2))
