"""Comparing what instances got with what their weights say."""

# The golden-ratio sequence is never more than 4 picks off at 10^6 picks; a little more, for
# the two ends of a run that starts anywhere.
SLACK = 6


def expected(instances, total):
    """instances: (address, port) -> weight. Address -> its share of total."""
    weight = sum(instances.values())
    return {address: total * w / weight for (address, _port), w in instances.items()}


def assert_fair(counts, instances, slack=SLACK):
    total = sum(counts.values())
    shares = expected(instances, total)
    assert set(counts) <= set(shares), "an address that is no instance's"
    for address, share in shares.items():
        assert abs(counts.get(address, 0) - share) <= slack, (address, share, dict(counts))
