"""Claims of lesson 08, on parity checks and tolerances."""

import copy

import torch
from torch import nn

from course_utils import check_parity
from course_utils.tools.parity import ulp_distance
from tests.claims import claim

HERE = "notebooks/08_parity_checks.ipynb"


def close(a, b, **options) -> bool:
    try:
        torch.testing.assert_close(a, b, **options)
    except AssertionError:
        return False
    return True


@claim(f"{HERE}#c080a4302", "`allclose` broadcasts, so it passes tensors of different shapes")
def allclose_broadcasts():
    for a, b in (
        (torch.ones(3), torch.ones(1, 3)),
        (torch.zeros(2, 1), torch.zeros(5)),
        (torch.ones(()), torch.ones(4)),
    ):
        assert torch.allclose(a, b) and not close(a, b)


@claim(f"{HERE}#c080a4302", "treats NaNs as equal only when asked")
def nan_is_equal_when_asked():
    for values in ([torch.nan], [1.0, torch.nan], [torch.nan, torch.inf]):
        a = torch.tensor(values)
        assert not close(a, a.clone()) and close(a, a.clone(), equal_nan=True)


@claim(
    f"{HERE}#ca65dc237",
    "an error that affects only small outputs stays within the tolerance",
    was="far below any error of logic",
)
def small_outputs_hide_errors():
    for small in (2e-5, 1e-6, -3e-5):
        good = torch.tensor([9.0, small])
        bad = good * torch.tensor([1.0, 2.0])
        assert close(bad, good, rtol=0, atol=9e-5) and not close(bad, good, rtol=1e-5, atol=0)


@claim(f"{HERE}#cbaafe060", "a list instead of a tuple is a note", was="structure is compared")
def a_list_for_a_tuple_is_a_note():
    assert check_parity(lambda x: (x, x), lambda x: [x, x], torch.ones(2)).ok


@claim(f"{HERE}#c87cd8f92", "Any purely relative measure has the same problem")
def ulps_near_zero():
    far = [ulp_distance(torch.tensor([v]), torch.tensor([v]) + 1e-6).item() for v in (1.0, 1e-5, 0.0)]
    assert far[0] < 100 < far[1] < far[2]


@claim(f"{HERE}#cfbcd77ab", "cannot be traced in strict mode", was="None of the whole zoo refuses")
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


@claim(f"{HERE}#c080a4302", "compares shape, dtype and device first, walks through tuples and dicts")
def assert_close_compares_more_than_values():
    one = torch.ones(3)
    for other in (torch.ones(1, 3), one.double(), torch.ones(3, device="meta")):
        assert not close(one, other)
    for good, bad in (((one, one), (one, one + 1)), ({"a": one}, {"a": one + 1}), ({"a": (one,)}, {"a": (one + 1,)})):
        assert close(good, good) and not close(good, bad)


@claim(
    f"{HERE}#c0719b6db",
    "about ten times `eps` for float32, twice `eps` for bfloat16, and several hundred million times `eps` for float64",
)
@claim(f"{HERE}#c0719b6db", "`torch.allclose` uses 1e-5 and 1e-8 for every dtype")
def tolerances_by_dtype():
    for dtype, least, most in ((torch.float32, 8, 12), (torch.bfloat16, 1.8, 2.3), (torch.float64, 2e8, 9e8)):
        rtol, _ = torch.testing._comparison.default_tolerances(dtype)
        assert least < rtol / torch.finfo(dtype).eps < most
    for dtype in (torch.float32, torch.float64):
        one, zero = torch.ones(1, dtype=dtype), torch.zeros(1, dtype=dtype)
        assert torch.allclose(one * (1 + 9e-6), one) and not torch.allclose(one * (1 + 1.2e-5), one)
        assert torch.allclose(zero + 9e-9, zero) and not torch.allclose(zero + 1.2e-8, zero)
    one = torch.ones(1, dtype=torch.bfloat16)
    assert not torch.allclose(one + torch.finfo(one.dtype).eps, one) and close(one + torch.finfo(one.dtype).eps, one)


@claim(f"{HERE}#ce3463983", "batch normalisation with mean 0 and variance 1, which hides a missing normalisation")
def fresh_statistics_hide_a_lost_normalisation():
    for norm, shape in (
        (nn.BatchNorm1d(3), (4, 3)),
        (nn.BatchNorm2d(3), (2, 3, 4, 4)),
        (nn.BatchNorm3d(3), [1, 3, 2, 2, 2]),
    ):
        x = torch.linspace(-2, 2, torch.Size(shape).numel()).reshape(shape)
        norm.eval()
        assert torch.allclose(norm(x), x)
        norm.running_mean += 0.5
        assert not torch.allclose(norm(x), x)


@claim(
    f"{HERE}#c0719b6db", "Two finite numbers are close when |a − b| ≤ atol + rtol · |b|", was="two numbers are close"
)
def the_bound_of_finite_numbers():
    one, two = torch.ones(1), torch.full((1,), 2.0)
    assert close(one, two, rtol=0.5, atol=0) and not close(two, one, rtol=0.5, atol=0)  # b is the expected one
    assert close(one, two, rtol=0, atol=1) and not close(one, two, rtol=0, atol=0.99)
    far = torch.full((1,), torch.inf)
    assert close(far, far, rtol=0, atol=0) and not close(far, -far, rtol=0, atol=1e30)
    assert not close(one, far, rtol=0.5, atol=0)  # though the bound would be infinite


@claim(
    f"{HERE}#ce3463983",
    "so all outputs are zero, whatever finite numbers come before it",
    was="all outputs are zero, whatever happens before it",
)
def a_head_of_zeros():
    head = nn.Linear(3, 2)
    nn.init.zeros_(head.weight), nn.init.zeros_(head.bias)
    for value in (0.0, -7.0, 1e30):
        assert not head(torch.full((4, 3), value)).any()
    for value in (torch.inf, -torch.inf, torch.nan):
        assert head(torch.full((4, 3), value)).isnan().all()


@claim("solutions/08_parity_checks.ipynb#why-08-1", "a scripted module shares its buffers with the eager one")
def buffers_are_shared():
    for copied in (False, True):
        eager = nn.BatchNorm1d(2)
        scripted = torch.jit.script(copy.deepcopy(eager) if copied else eager)
        scripted(torch.rand(4, 2))
        assert (eager.num_batches_tracked.item() == 1) is not copied
    traced = torch.jit.trace(eager := nn.BatchNorm1d(2), torch.rand(4, 2), check_trace=False)
    before = eager.running_mean.clone()
    traced(torch.rand(4, 2) + 5)
    assert not torch.equal(eager.running_mean, before)


class Halves(nn.Module):
    def forward(self, x):
        return x.reshape(2, int(x.shape[0]) // 2, -1).sum(1)


@claim(f"{HERE}#cbaafe060", "a size stays dynamic only when you say so")
@claim(f"{HERE}#cbaafe060", "But it *raises* for another batch size, where a trace may return a wrong result")
def another_batch_size():
    four, eight = torch.ones(4, 3), torch.ones(8, 3)
    traced = torch.jit.trace(Halves(), four, check_trace=False)
    assert traced(eight).shape != Halves()(eight).shape
    for module in (nn.Linear(3, 2), Halves()):
        exported = torch.export.export(module, (four,)).module()
        for other in (eight, torch.ones(1, 3)):
            try:
                exported(other)
            except AssertionError:
                continue
            raise AssertionError("it took another batch size")
    linear = nn.Linear(3, 2)
    free = torch.export.export(linear, (four,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    assert free(eight).shape == linear(eight).shape


@claim(f"{HERE}#cbaafe060", "`inf` in the reference if the tolerance is a fraction of it")
@claim(f"{HERE}#cbaafe060", "outputs that are all zero or constant")
def checks_that_say_nothing():
    good = torch.tensor([1.0, torch.inf, 2.0])
    share = 1e-5 * good.abs().max().item()
    for bad in (torch.tensor([9.0, torch.inf, 9.0]), torch.tensor([-1e9, torch.inf, 0.0])):
        assert close(bad, good, rtol=0, atol=share)
        finite = 1e-5 * good[good.isfinite()].abs().max().item()
        assert not close(bad, good, rtol=0, atol=finite)
    for lost in (lambda x: x * 0, lambda x: x.sin() * 0, lambda x: x.relu() * 0):
        assert check_parity(lambda x: x * 0, lost, torch.rand(3)).ok
    assert "proves little" in str(check_parity(lambda x: x * 0, lambda x: x.sin() * 0, torch.rand(3)))
