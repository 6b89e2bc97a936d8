"""Answers to 09.3: call a module from many threads and count wrong answers."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from tests.answers import right, wrong


@wrong("Only one call was running at any time")
def one_after_the_other():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x) for x in inputs]
        bad = 0
        with ThreadPoolExecutor(threads) as pool:
            for _ in range(rounds):
                for x, want in zip(inputs, expected, strict=True):
                    bad += not torch.equal(pool.submit(module, x).result(), want)
        return bad

    return hammer


@wrong("Some calls raised in their thread, and your function did not count them")
def errors_end_with_their_thread():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x) for x in inputs]
        bad = []

        def work(k):
            try:
                for i in range(k, len(inputs) * rounds, threads):
                    if not torch.equal(module(inputs[i % len(inputs)]), expected[i % len(inputs)]):
                        bad.append(i)
            except RuntimeError:
                pass

        workers = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return len(bad)

    return hammer


@wrong("your function passed the error on")
def errors_passed_on():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x) for x in inputs]
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(module, inputs * rounds))
        return sum(not torch.equal(a, b) for a, b in zip(answers, expected * rounds, strict=True))

    return hammer


@wrong("A module that is always right is reported as wrong")
def compared_with_another_input():
    def hammer(module, inputs, threads, rounds):
        first = module(inputs[0])
        with ThreadPoolExecutor(threads) as pool:
            return sum(not torch.equal(x, first) for x in pool.map(module, inputs * rounds))

    return hammer


@wrong("The module was called too few times")
def one_round_only():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x) for x in inputs]
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(module, inputs))
        return sum(not torch.equal(a, b) for a, b in zip(answers, expected, strict=True))

    return hammer


@wrong("Some answers were wrong, but your function says that all were right")
def shapes_only():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x) for x in inputs]
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(module, inputs * rounds))
        return sum(a.shape != b.shape for a, b in zip(answers, expected * rounds, strict=True))

    return hammer


def differs(module, x, want):
    try:
        return not torch.equal(module(x), want)
    except Exception:
        return True


@wrong("Your number is not the number of wrong answers")
def rounds_with_an_error():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x).clone() for x in inputs]
        bad = 0
        for _ in range(rounds):
            with ThreadPoolExecutor(threads) as pool:
                bad += any(pool.map(lambda pair: differs(module, *pair), zip(inputs, expected, strict=True)))
        return bad

    return hammer


@wrong("Your number is not the number of wrong answers")
def inputs_with_an_error():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x).clone() for x in inputs]
        bad = set()
        with ThreadPoolExecutor(threads) as pool:
            jobs = list(range(len(inputs))) * rounds
            for i, is_bad in zip(jobs, pool.map(lambda i: differs(module, inputs[i], expected[i]), jobs), strict=True):
                bad |= {i} if is_bad else set()
        return len(bad)

    return hammer


@wrong("were computed while other calls were running")
def the_first_round_is_taken_for_right():
    def hammer(module, inputs, threads, rounds):
        def call(x):
            try:
                return module(x).clone()
            except RuntimeError:
                return None

        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(call, inputs * (rounds + 1)))
        expected = answers[: len(inputs)]
        return sum(
            a is None or b is None or not torch.equal(a, b)
            for a, b in zip(answers[len(inputs) :], expected * rounds, strict=True)
        )

    return hammer


@wrong("A module that returns its own buffer is reported as safe")
def right_answers_kept_by_reference():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x) for x in inputs]
        jobs = list(range(len(inputs))) * rounds
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(lambda i: differs(module, inputs[i], expected[i]), jobs))

    return hammer


@wrong("Your threads call copies of the module")
def a_copy_for_each_thread():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x).clone() for x in inputs]
        jobs = list(range(len(inputs))) * rounds

        def work(k):
            own = copy.deepcopy(module)
            return sum(differs(own, inputs[i], expected[i]) for i in jobs[k::threads])

        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(work, range(threads)))

    return hammer


@wrong("More threads were in the module than were asked for")
def a_thread_for_every_call():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x).clone() for x in inputs]
        jobs = list(range(len(inputs))) * rounds
        with ThreadPoolExecutor(len(jobs)) as pool:
            return sum(pool.map(lambda i: differs(module, inputs[i], expected[i]), jobs))

    return hammer


@right
def right_answers_from_a_copy():
    def hammer(module, inputs, threads, rounds):
        alone = copy.deepcopy(module).eval()
        expected = [alone(x).clone() for x in inputs]
        jobs = list(range(len(inputs))) * rounds
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(lambda i: differs(module.forward, inputs[i], expected[i]), jobs))

    return hammer


@right
def right_answers_afterwards():
    def hammer(module, inputs, threads, rounds):
        def call(x):
            try:
                return module(x).clone()
            except RuntimeError:
                return None

        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(call, inputs * rounds))
        expected = [module(x).clone() for x in inputs]
        return sum(a is None or not torch.equal(a, b) for a, b in zip(answers, expected * rounds, strict=True))

    return hammer


@right
def with_plain_threads():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x).clone() for x in inputs]
        bad, lock = [0], threading.Lock()

        def work(k):
            for i in range(k, len(inputs) * rounds, threads):
                try:
                    ok = bool((module(inputs[i % len(inputs)]) == expected[i % len(inputs)]).all())
                except Exception:
                    ok = False
                with lock:
                    bad[0] += not ok

        workers = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return bad[0]

    return hammer


@right
def with_futures():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x).clone() for x in inputs]
        with ThreadPoolExecutor(threads) as pool:
            calls = [
                (pool.submit(module, x), want) for _ in range(rounds) for x, want in zip(inputs, expected, strict=True)
            ]
        return len([1 for call, want in calls if call.exception() or not torch.equal(call.result(), want)])

    return hammer
