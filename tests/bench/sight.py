"""How much of what listed people send another client in IDLE is told of, and for how long: with a rule, and without."""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.peers.dovecot import dovecot
from tests.test_out_of_sight import seconds_in_sight, seen_with_a_rule

DELIVERIES = 200


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="nocontact-bench-"))
    try:
        with dovecot(sieve=True) as server:
            seen = seen_with_a_rule(folder / "with", server, DELIVERIES)
            seconds, came = seconds_in_sight(folder / "without", server, DELIVERIES)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    middle, late = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    print(f"{DELIVERIES} deliveries over LMTP, told to a client in IDLE")
    print(f"{'':>14}  {'seen':>5}  {'in sight: median':>16}  {'p99':>7}  {'most':>7}")
    print(f"{'with a rule':>14}  {seen:>5}  {'-':>16}  {'-':>7}  {'-':>7}")
    print(f"{'without':>14}  {came:>5}  {middle:>14.3f} s  {late:>5.3f} s  {max(seconds):>5.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
