"""Answers to 09.3: call a module from many threads and count wrong answers."""

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


@wrong("Some answers were wrong, and your function says that all were right")
def shapes_only():
    def hammer(module, inputs, threads, rounds):
        expected = [module(x) for x in inputs]
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(module, inputs * rounds))
        return sum(a.shape != b.shape for a, b in zip(answers, expected * rounds, strict=True))

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
        expected = [module(x) for x in inputs]
        with ThreadPoolExecutor(threads) as pool:
            calls = [
                (pool.submit(module, x), want) for _ in range(rounds) for x, want in zip(inputs, expected, strict=True)
            ]
        return len([1 for call, want in calls if call.exception() or not torch.equal(call.result(), want)])

    return hammer
