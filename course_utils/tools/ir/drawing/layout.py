"""Where the boxes of a drawing are: a small layered layout for one block of a program.

Boxes are put on ranks from top to bottom (a user below its producer), ordered within a rank so that few edges
cross, and moved sideways near to what they are linked with. All numbers are pixels. The steps are those of Sugiyama,
Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981), each in its
simplest form.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

GAP = 18  # between two boxes of one rank
RANK_GAP = 30  # between two ranks: room for a bend and an arrow head
LANE = 14  # width of an edge that passes a rank


@dataclass(eq=False)
class Box:
    """Something on a rank. `ins` and `outs` are values, in argument order; `content` is the caller's own."""

    width: int
    height: int
    ins: list[str]
    outs: list[str]
    content: object = None
    first: bool = False  # it is in the first ranks: an input
    last: bool = False  # it is in the last ranks: an output
    barrier: bool = False  # has a side effect: stays below all before it and above all after it
    free: bool = False  # the order of `ins` says nothing, so edges may come in as they like
    overhang: int = 0  # how far the names of its values reach out on the right, below it
    stub: int = 0  # how far its edges go straight down, next to those names
    x: int = 0
    y: int = 0
    rank: int = -1

    def in_port(self, index: int) -> int:
        """Distance of an incoming edge from the left side."""
        return round(self.width * (index + 1) / (len(self.ins) + 1))

    def out_port(self, index: int) -> int:
        """Distance of an outgoing edge from the left side."""
        return round(self.width * (index + 1) / (len(self.outs) + 1))


@dataclass(eq=False)
class _Lane(Box):
    """A place on a rank that an edge passes through."""

    def in_port(self, index: int) -> int:
        return self.width // 2

    def out_port(self, index: int) -> int:
        return self.width // 2


@dataclass(frozen=True)
class Edge:
    """From source to target: straight down from `points[0]`, a curve from `points[1]`, and so on."""

    value: str
    points: tuple[tuple[int, int], ...]


@dataclass
class Placed:
    """A block with every box in its place. The upper left corner is (0, 0)."""

    width: int
    height: int
    boxes: list[Box] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Link:
    """One piece of an edge, between neighbouring ranks."""

    source: Box
    out: int
    target: Box
    into: int


def place(boxes: list[Box], max_width: int) -> Placed:
    """Place boxes that come in program order, if possible within `max_width`."""
    if not boxes:
        return Placed(0, 0)
    producer = {value: (box, index) for box in boxes for index, value in enumerate(box.outs)}
    widest = max(box.width for box in boxes)
    tried = []
    # Edges that pass a rank also need room, and how many there are shows only when the ranks are known.
    for part in (1.0, 0.8, 0.65, 0.5):
        placed = _place(boxes, producer, max(widest, round(max_width * part)), max_width)
        if placed.width <= max(widest, max_width):
            return placed
        tried.append((placed.width, -part))
    _, part = min(tried)
    return _place(boxes, producer, max(widest, round(max_width * -part)), max_width)


def _place(boxes: list[Box], producer: dict[str, tuple[Box, int]], rank_width: int, max_width: int) -> Placed:
    for box in boxes:
        box.rank = -1
    _assign_ranks(boxes, producer, rank_width)
    ranks: list[list[Box]] = [[] for _ in range(1 + max(box.rank for box in boxes))]
    for box in boxes:
        ranks[box.rank].append(box)
    links, routes = _link(boxes, producer, ranks)
    _order(ranks, links)
    links, routes = _sort_free(ranks, links, routes)
    width = _set_x(ranks, links, max_width)
    height = _set_y(ranks, links)
    placed = Placed(width, height, boxes)
    placed.edges = [Edge(value, _points(route, ranks)) for value, route in routes]
    return placed


def _assign_ranks(boxes: list[Box], producer: dict[str, tuple[Box, int]], max_width: int) -> None:
    used: list[int] = []

    def put(box: Box, lowest: int) -> None:
        rank = lowest
        while rank < len(used) and used[rank] and used[rank] + GAP + box.width > max_width:
            rank += 1
        used.extend([0] * (rank + 1 - len(used)))
        used[rank] += box.width + (GAP if used[rank] else 0)
        box.rank = rank

    def below_producers(box: Box) -> int:
        return max((producer[value][0].rank + 1 for value in box.ins if value in producer), default=0)

    for box in boxes:
        if box.first:
            put(box, 0)
    floor = 0
    for box in boxes:
        if not box.first and not box.last:
            lowest = max(floor, below_producers(box))
            if box.barrier:
                lowest = max([lowest, *(other.rank + 1 for other in boxes if other.rank >= 0 and not other.first)])
            put(box, lowest)
            if box.barrier:
                floor = box.rank + 1
    for box in reversed(boxes):  # what needs no input goes right above its first user
        if not box.first and not box.last and not box.barrier and not any(value in producer for value in box.ins):
            users = [user.rank for user in boxes if user.rank >= 0 and set(user.ins) & set(box.outs)]
            wanted = min(users, default=box.rank + 1) - 1
            barriers = [other.rank for other in boxes if other.barrier and other.rank > box.rank]
            wanted = min([wanted, *(rank - 1 for rank in barriers)])
            if wanted > box.rank and used[wanted] + GAP + box.width <= max_width:
                used[box.rank] -= box.width + GAP
                used[wanted] += box.width + GAP
                box.rank = wanted
    end = 1 + max((box.rank for box in boxes if box.rank >= 0), default=-1)
    for box in boxes:
        if box.last:
            put(box, end)
    taken = sorted({box.rank for box in boxes})
    for box in boxes:
        box.rank = taken.index(box.rank)


def _link(
    boxes: list[Box], producer: dict[str, tuple[Box, int]], ranks: list[list[Box]]
) -> tuple[list[_Link], list[tuple[str, list[_Link]]]]:
    """The pieces of all edges, and each edge's pieces in order. Edges of one value share their lanes."""
    links: list[_Link] = []
    lanes: dict[str, list[_Link]] = {}
    routes = []
    for box in boxes:
        for index, value in enumerate(box.ins):
            if value not in producer:
                continue
            source, out = producer[value]
            lane = lanes.setdefault(value, [])
            while source.rank + len(lane) + 1 < box.rank:
                previous, port = (lane[-1].target, 0) if lane else (source, out)
                passing = _Lane(LANE, 0, [value], [value], rank=previous.rank + 1)
                ranks[passing.rank].append(passing)
                lane.append(_Link(previous, port, passing, 0))
                links.append(lane[-1])
            before = lane[: box.rank - source.rank - 1]
            previous, port = (before[-1].target, 0) if before else (source, out)
            links.append(_Link(previous, port, box, index))
            routes.append((value, [*before, links[-1]]))
    return links, routes


def _order(ranks: list[list[Box]], links: list[_Link]) -> None:
    """Sort every rank so that few edges cross: by the barycentre of linked boxes, then by swaps."""
    above: dict[Box, list[_Link]] = {}
    below: dict[Box, list[_Link]] = {}
    between: list[list[_Link]] = [[] for _ in ranks]
    for link in links:
        above.setdefault(link.target, []).append(link)
        below.setdefault(link.source, []).append(link)
        between[link.target.rank].append(link)

    def positions(rank: list[Box]) -> dict[Box, int]:
        return {box: index for index, box in enumerate(rank)}

    def crossings(number: int) -> int:
        """Crossings between rank number-1 and rank number."""
        if number <= 0 or number >= len(ranks):
            return 0
        upper, lower = positions(ranks[number - 1]), positions(ranks[number])
        ends = [
            (upper[k.source] + k.source.out_port(k.out) / (k.source.width + 1),
             lower[k.target] + (0.5 if k.target.free else k.target.in_port(k.into) / (k.target.width + 1)))
            for k in between[number]
        ]  # fmt: skip
        return sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[:i])

    def total() -> int:
        return sum(crossings(number) for number in range(1, len(ranks)))

    def sweep(numbers: list[int], neighbours: dict[Box, list[_Link]], up: bool) -> None:
        for number in numbers:
            other = positions(ranks[number + 1 if up else number - 1])
            own = positions(ranks[number])

            def centre(box: Box, other: dict[Box, int] = other, own: dict[Box, int] = own) -> float:
                found = []
                for k in neighbours.get(box, []):
                    end = k.target if up else k.source
                    port = k.target.in_port(k.into) if up else k.source.out_port(k.out)
                    found.append(other[end] + (0.5 if up and end.free else port / (end.width + 1)))
                return sum(found) / len(found) if found else own[box]

            ranks[number].sort(key=centre)

    best, best_order = total(), [list(rank) for rank in ranks]
    for round_ in range(8):
        if best == 0:
            break
        if round_ % 2 == 0:
            sweep(list(range(1, len(ranks))), above, up=False)
        else:
            sweep(list(range(len(ranks) - 2, -1, -1)), below, up=True)
        now = total()
        if now < best:
            best, best_order = now, [list(rank) for rank in ranks]
    ranks[:] = best_order
    improved = best > 0
    for _ in range(6):
        if not improved:
            break
        improved = False
        for number, rank in enumerate(ranks):
            for i in range(len(rank) - 1):
                old = crossings(number) + crossings(number + 1)
                rank[i], rank[i + 1] = rank[i + 1], rank[i]
                if crossings(number) + crossings(number + 1) < old:
                    improved = True
                else:
                    rank[i], rank[i + 1] = rank[i + 1], rank[i]


def _sort_free(
    ranks: list[list[Box]], links: list[_Link], routes: list[tuple[str, list[_Link]]]
) -> tuple[list[_Link], list[tuple[str, list[_Link]]]]:
    """Let the edges of a free box come in from left to right, in the order of their sources."""
    place_of = {box: index for rank in ranks for index, box in enumerate(rank)}
    moved: dict[_Link, _Link] = {}
    for box in place_of:
        coming = [k for k in links if k.target is box]
        if box.free and coming:
            coming.sort(key=lambda k: (place_of[k.source], k.source.out_port(k.out)))
            slots = sorted(k.into for k in coming)
            moved.update((k, replace(k, into=slot)) for k, slot in zip(coming, slots, strict=True))
    return [moved.get(k, k) for k in links], [(v, [moved.get(k, k) for k in route]) for v, route in routes]


def _set_x(ranks: list[list[Box]], links: list[_Link], max_width: int) -> int:
    """Place boxes sideways, near to what they are linked with, rank after rank, down and up. Returns the width.

    An edge that passes ranks pulls harder, so that it runs straight: the weights are those of Gansner, Koutsofios,
    North and Vo, "A technique for drawing directed graphs" (1993), section 4.
    """
    above: dict[Box, list[tuple[Box, int, int]]] = {box: [] for rank in ranks for box in rank}
    below: dict[Box, list[tuple[Box, int, int]]] = {box: [] for box in above}
    for k in links:
        weight = (1, 2, 8)[isinstance(k.source, _Lane) + isinstance(k.target, _Lane)]
        offset = k.source.out_port(k.out) - k.target.in_port(k.into)
        above[k.target].append((k.source, offset, weight))
        below[k.source].append((k.target, -offset, weight))
    x = {box: -box.width / 2 for box in above}
    for neighbours, order in [(above, ranks), (below, ranks[::-1])] * 2:
        for rank in order:
            wanted = []
            for box in rank:
                weight = sum(pull for _, _, pull in neighbours[box])
                drawn = sum(pull * (x[other] + offset) for other, offset, pull in neighbours[box])
                # What nothing pulls stays where it is, and gives way.
                wanted.append((drawn / weight, weight) if weight else (x[box], 0.1))
            x.update(zip(rank, _apart(rank, wanted, max_width), strict=True))
    start = min(x.values())
    for rank in ranks:
        for box in rank:
            box.x = round(x[box] - start)
        for before, box in pairwise(rank):
            box.x = max(box.x, before.x + _step(before, box))
    return max(box.x + box.width for box in x)


def _apart(rank: list[Box], wanted: list[tuple[float, float]], max_width: int) -> list[float]:
    """The left sides nearest to the wanted ones, as (place, weight), that keep the order, the steps and the width.

    Weighted least squares by pooling adjacent violators: boxes that would come too near move as a group from then on.
    """
    steps = list(accumulate((_step(a, b) for a, b in pairwise(rank)), initial=0))
    groups: list[tuple[float, float, int]] = []  # level, weight, number of boxes
    for (place, weight), step in zip(wanted, steps, strict=True):
        level, count = place - step, 1
        while groups and groups[-1][0] > level:
            other, more, members = groups.pop()
            level, weight, count = (other * more + level * weight) / (more + weight), more + weight, count + members
        groups.append((level, weight, count))
    levels = (level for level, _, count in groups for _ in range(count))
    least = -max_width / 2
    most = max(least, max_width / 2 - steps[-1] - rank[-1].width)
    return [min(max(level, least), most) + step for level, step in zip(levels, steps, strict=True)]


def _step(a: Box, b: Box) -> int:
    """The least distance of the left sides of two neighbours."""
    lanes = isinstance(a, _Lane) + isinstance(b, _Lane)
    return a.width + max((GAP, 12, 2)[lanes], a.overhang + 6)


def _set_y(ranks: list[list[Box]], links: list[_Link]) -> int:
    """Ranks below each other; more room where an edge goes far sideways. Returns the height."""
    reach = [0] * len(ranks)
    for k in links:
        sideways = abs(k.source.x + k.source.out_port(k.out) - k.target.x - k.target.in_port(k.into))
        reach[k.target.rank] = max(reach[k.target.rank], sideways)
    y = 0
    for number, rank in enumerate(ranks):
        if number:
            y += RANK_GAP + min(26, reach[number] // 10)
        height = max(box.height + box.stub for box in rank)
        for box in rank:
            box.y = y
            if isinstance(box, _Lane):
                box.height = height
        y += height
    return y - max((box.stub for box in ranks[-1]), default=0)


def _points(route: list[_Link], ranks: list[list[Box]]) -> tuple[tuple[int, int], ...]:
    points: list[tuple[int, int]] = []
    for k in route:
        start = k.source.x + k.source.out_port(k.out)
        bottom = max(box.y + box.height + box.stub for box in ranks[k.source.rank])
        if not points:
            points.append((start, k.source.y + k.source.height))
        points += [(start, bottom), (k.target.x + k.target.in_port(k.into), k.target.y)]
    if abs(points[-1][0] - points[-2][0]) <= 3:  # a step of a pixel or two would look like a mistake
        points[-1] = (points[-2][0], points[-1][1])
    return tuple(points)
