"""Figures: medians of interleaved rounds, how far they spread, and the ratios of the pairs that ran together."""
import statistics


def quartiles(values):
    """The first and the third quartile; of few values the least and the greatest."""
    if len(values) < 4:
        return [min(values), max(values)]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]


def figure(name, unit, samples, against, limit=None, **more):
    """One figure: samples by contender, askance's first; a round's ratio is to `against` of the same round.

    `ratio` is the median over the rounds, so that what the machine does else hits both sides of each pair alike."""
    pairs = [ours / theirs for ours, theirs in zip(samples["askance"], samples[against])]
    return {
        "figure": name,
        "unit": unit,
        "median": {who: statistics.median(values) for who, values in samples.items()},
        "spread": {who: quartiles(values) for who, values in samples.items()},
        "against": against,
        "ratio": statistics.median(pairs),
        "ratio_spread": quartiles(pairs),
        "limit": limit,
        "rounds": len(samples["askance"]),
        **more,
    }


def with_floor(found, samples, calls, per_call):
    """Adds what the kernel's own mechanism would cost: native and `calls` notifications, each of the bare loop's cost.

    Where that alone is more than what native may become, the computed time is the one to be held against."""
    floors = [native + calls * per_call for native in samples["native"]]
    pairs = [ours / floor for ours, floor in zip(samples["askance"], floors)]
    computed = statistics.median(floors)
    found.update(trapped_calls=calls, computed_limit=computed, to_computed=statistics.median(pairs),
                 to_computed_spread=quartiles(pairs))
    if computed > found["limit"] * found["median"]["native"]:
        found.update(limit=None, computed_bound=1.2)
    return found


def span(bounds, digits=2):
    return f"{bounds[0]:.{digits}f}–{bounds[1]:.{digits}f}"


def table(found, notes):
    lines = [f"{'figure':<38} {'askance':>10} {'spread':>17} {'ratio':>6} {'spread':>11} {'limit':>5}  against", "-" * 118]
    for one in found:
        limit = f"{one['limit']:.2f}" if one["limit"] else ""
        median, spread = one["median"], one["spread"]
        lines.append(f"{one['figure']:<38} {median['askance']:>7.2f} {one['unit']:<2} {span(spread['askance']):>17} "
                     f"{one['ratio']:>6.2f} {span(one['ratio_spread']):>11} {limit:>5}  {one['against']}")
        others = (f"{who} {value:.2f} ({span(spread[who])})" for who, value in median.items() if who != "askance")
        lines.append(" " * 6 + ", ".join(others))
        if "computed_limit" in one:
            bound = f", may be {one['computed_bound']:.2f}" if "computed_bound" in one else ""
            lines.append(" " * 6 + f"{one['trapped_calls']} trapped calls: computed limit {one['computed_limit']:.2f} {one['unit']}, "
                         f"ratio to it {one['to_computed']:.2f} ({span(one['to_computed_spread'])}){bound}")
    lines += ["", *notes]
    return "\n".join(lines)
