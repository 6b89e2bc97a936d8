"""Answers to 12.5: a guard in front of a package that checks nothing."""

from tests.answers import right, wrong


@wrong("Your function lets another dtype through")
def shapes_only():
    def guarded(package, example, most):
        def call(x):
            if x.shape[1:] != example.shape[1:] or not 1 <= x.shape[0] <= most:
                raise ValueError(f"no good shape: {x.shape}")
            return package(x.contiguous())

        return call

    return guarded


@wrong("A transposed tensor reaches the package as it is")
def memory_as_it_is():
    def guarded(package, example, most):
        def call(x):
            if x.dtype != example.dtype or x.shape[1:] != example.shape[1:] or not 1 <= x.shape[0] <= most:
                raise ValueError("no good input")
            return package(x)

        return call

    return guarded


@wrong("Your function rejects 1 rows")
def the_shape_of_the_example():
    def guarded(package, example, most):
        def call(x):
            if x.dtype != example.dtype or x.shape != example.shape:
                raise ValueError("no good input")
            return package(x.contiguous())

        return call

    return guarded


@wrong("Your function lets no rows through")
def no_lower_bound():
    def guarded(package, example, most):
        def call(x):
            if x.dtype != example.dtype or x.shape[1:] != example.shape[1:] or x.shape[0] > most:
                raise ValueError("no good input")
            return package(x.contiguous())

        return call

    return guarded


@wrong("raises an error that is not a ValueError")
def by_assert():
    def guarded(package, example, most):
        def call(x):
            assert x.dtype == example.dtype and x.shape[1:] == example.shape[1:] and 1 <= x.shape[0] <= most
            return package(x.contiguous())

        return call

    return guarded


@wrong("Your function returns nothing that can be called")
def called_at_once():
    return lambda package, example, most: package(example)


@right
def by_a_class():
    class Guard:
        def __init__(self, package, example, most):
            self.package, self.like, self.most = package, (example.dtype, tuple(example.shape[1:])), most

        def __call__(self, x):
            if (x.dtype, tuple(x.shape[1:])) != self.like or x.shape[0] not in range(1, self.most + 1):
                raise ValueError("not what the package was made for")
            return self.package(x.clone(memory_format=__import__("torch").contiguous_format))

    return Guard


@right
def in_one_list():
    def guarded(package, example, most):
        def call(x):
            wanted = [x.dtype == example.dtype, x.dim() == example.dim(), x.shape[1:] == example.shape[1:]]
            if not all(wanted) or not 0 < len(x) <= most:
                raise ValueError(f"{wanted}")
            return package(x if x.is_contiguous() else x.contiguous())

        return call

    return guarded


@wrong("Your function lets another dtype of the same width through")
def as_many_bytes():
    def guarded(package, example, most):
        def call(x):
            if x.element_size() != example.element_size():
                raise ValueError("another width")
            if x.shape[1:] != example.shape[1:] or x.dim() != example.dim() or not 1 <= x.shape[0] <= most:
                raise ValueError("another shape")
            return package(x.contiguous())

        return call

    return guarded


@wrong("Your function lets one dimension more in the middle through")
def the_last_size_only():
    def guarded(package, example, most):
        def call(x):
            if x.dtype != example.dtype or not x.dim() or x.shape[-1] != example.shape[-1] or not 1 <= len(x) <= most:
                raise ValueError("not as compiled")
            return package(x.contiguous())

        return call

    return guarded


@wrong("Your function lets another size in the middle through")
def the_last_size_and_the_dimensions():
    def guarded(package, example, most):
        def call(x):
            if x.dtype != example.dtype or x.dim() != example.dim() or x.shape[-1] != example.shape[-1]:
                raise ValueError("not as compiled")
            if not 1 <= x.shape[0] <= most:
                raise ValueError("too many rows, or none")
            return package(x.contiguous())

        return call

    return guarded


@wrong("For a tensor without dimensions your function raises an error that is not")
def rows_first():
    def guarded(package, example, most):
        def call(x):
            if not 1 <= x.shape[0] <= most or x.dtype != example.dtype or x.shape[1:] != example.shape[1:]:
                raise ValueError("not as compiled")
            return package(x.contiguous())

        return call

    return guarded
