"""One source under the schedule."""

import time
from threading import Thread

from nocontactd.assemble import Job
from nocontactd.watch import FIRST_PAUSE, FIRST_REST, LONGEST_PAUSE, LONGEST_REST, Watch


class Closing:
    """A source that is only ever closed."""

    name = "home"

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def job(source: Closing | None = None, every: float = 60.0) -> Job:
    return Job("home", every, source or Closing(), None, None)  # type: ignore[arg-type]


def test_looks_at_one_source_never_overlap() -> None:
    watch = Watch(job())
    assert watch.begin(0) is not None
    assert watch.begin(0) is None
    watch.end(watch.job)
    assert watch.begin(0) is not None


def test_a_refused_login_is_tried_ever_more_seldom() -> None:
    watch, at, waits = Watch(job(every=1)), 0.0, []
    for _ in range(12):
        look = watch.begin(at)
        assert look
        waits.append(watch.rest(at, refused=True))
        watch.end(look)
        assert watch.begin(at + waits[-1] - 0.1) is None
        at += waits[-1]
    assert waits[:3] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]
    assert waits[-1] == LONGEST_REST


def test_a_server_that_cannot_be_reached_is_tried_ever_more_seldom_up_to_once_a_minute() -> None:
    chances = iter([0.0, 1.0, 0.5] + [0.0] * 20)
    watch, at, waits = Watch(job(every=0.1), lambda: next(chances)), 0.0, []
    for _ in range(12):
        look = watch.begin(at)
        assert look
        waits.append(watch.rest(at, refused=False, unreachable=True))
        watch.end(look)
        assert watch.begin(at + waits[-1] - 0.1) is None
        at += waits[-1]
    assert waits[:3] == [FIRST_PAUSE, FIRST_PAUSE, 3 * FIRST_PAUSE]
    assert waits[-1] == LONGEST_PAUSE
    watch.begin(at)
    assert watch.rest(at, refused=False) == 0.1


def test_where_looks_are_far_apart_an_unreachable_server_is_looked_for_at_each() -> None:
    watch = Watch(job(every=60), lambda: 0.0)
    for number in range(20):
        look = watch.begin(60 * number)
        assert look
        assert watch.rest(60 * number + 5, refused=False, unreachable=True) == 60
        watch.end(look)


def test_a_look_is_not_followed_by_another_long_before_its_time() -> None:
    watch = Watch(job(every=60))
    look = watch.begin(0)
    assert look
    watch.rest(1, refused=False)
    watch.end(look)
    assert watch.begin(2) is None
    assert watch.begin(60) is not None


def test_a_long_look_does_not_put_the_next_one_off() -> None:
    watch = Watch(job(every=60))
    look = watch.begin(0)
    assert look
    watch.rest(59, refused=False)
    watch.end(look)
    assert watch.begin(60) is not None


def test_a_login_that_is_taken_again_ends_the_rest() -> None:
    watch = Watch(job(every=1))
    for refused in (True, True, False, True):
        watch.ask()
        look = watch.begin(0)
        assert look
        wait = watch.rest(0, refused=refused)
        watch.end(look)
    assert wait == FIRST_REST


def test_the_rest_is_never_shorter_than_the_interval() -> None:
    watch = Watch(job(every=3600))
    watch.begin(0)
    assert watch.rest(0, refused=True) == 3600


def test_who_asks_gets_a_look_during_a_rest() -> None:
    watch = Watch(job())
    watch.begin(0)
    watch.rest(0, refused=True)
    watch.end(watch.job)
    assert watch.begin(1) is None
    before = watch.ask()
    assert watch.begin(1) is not None
    watch.end(watch.job)
    assert watch.ended > before


def test_who_asks_during_a_look_gets_another_one() -> None:
    watch = Watch(job())
    watch.begin(0)
    before = watch.ask()
    watch.end(watch.job)
    assert watch.ended <= before
    assert watch.begin(0) is not None
    watch.end(watch.job)
    assert watch.ended > before
    watch.rest(0, refused=False)
    assert watch.begin(1) is None


def test_its_thread_sleeps_until_it_is_time_or_somebody_asks() -> None:
    watch, awake = Watch(job()), list[str]()

    def attend() -> None:
        while watch.wait():
            if look := watch.begin(0):
                awake.append("sign" if watch.signed else "asked")
                watch.end(look)
            else:
                awake.append("early")

    thread = Thread(target=attend)
    thread.start()
    for number, wake in enumerate((watch.ask, watch.ring, watch.ask), 2):
        while len(awake) < number - 1:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(awake) == number - 1, "it woke up by itself"
        wake()
    while len(awake) < 4:
        time.sleep(0.001)
    assert awake == ["asked", "asked", "sign", "asked"]
    watch.rest(0, refused=False)
    watch.fall_due()
    while len(awake) < 5:
        time.sleep(0.001)
    assert awake[4] == "early", "a look was made just now"
    watch.retire()
    thread.join(2)
    assert not thread.is_alive()


def test_a_replaced_source_is_closed_when_nobody_looks_at_it_any_more() -> None:
    old, new = Closing(), Closing()
    watch = Watch(job(old))
    look = watch.begin(0)
    assert look
    watch.replace(job(new))
    assert old.closed == 0
    watch.end(look)
    assert (old.closed, new.closed) == (1, 0)
    watch.replace(job())
    assert new.closed == 1


def test_the_same_source_at_another_interval_stays_open() -> None:
    source = Closing()
    watch = Watch(job(source))
    watch.replace(job(source, every=5))
    assert source.closed == 0


def test_a_retired_source_is_closed_and_looked_at_no_more() -> None:
    idle, busy = Closing(), Closing()
    watch = Watch(job(idle))
    watch.retire()
    assert (idle.closed, watch.begin(0)) == (1, None)
    watch = Watch(job(busy))
    look = watch.begin(0)
    assert look
    watch.retire()
    assert busy.closed == 0
    watch.end(look)
    assert busy.closed == 1
