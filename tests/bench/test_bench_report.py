"""What is made of samples: medians, ratios between neighbours, the tables and the picture."""

from xml.etree import ElementTree

from bench.cases import CASES
from bench.picture import svg
from bench.report import markdown
from bench.results import Spread, case_from_json, case_to_json, ratio, spread
from bench.rows import ROWS, row_named
from bench.run import CaseResult
from bench.sample import Sample

RUN = {
    "command": "make bench",
    "date": "2030-01-01",
    "took_s": 9,
    "commit": "abc",
    "rounds": 3,
    "seconds": 1.0,
    "counting": "not counted",
    "loading": "in C",
    "load_average": 0.1,
    "machine": {"virtual": True, "cores": 2, "processor": "X", "memory_gb": 4, "kernel": "Linux 6"},
    "versions": {"python": "CPython 3.13"},
}


def samples(*cpu_s: float, faults: dict[str, int] | None = None) -> list[Sample]:
    return [Sample(figures={"cpu_s": value}, faults=faults or {}) for value in cpu_s]


def result() -> CaseResult:
    return CaseResult(
        "fanout-500-lone",
        {
            "transport": samples(2e-6, 4e-6, 3e-6),
            "roomful": samples(2.4e-6, 4.8e-6, 3.6e-6),
            "picows": samples(9e-6, faults={"lost": 3}),
        },
        {"socketify": "not installed: socketify"},
        [0.1, 1.2],
    )


def test_rounds_that_do_not_count_are_left_out() -> None:
    """A fault in a round takes its figures with it."""
    mixed = samples(1.0, 3.0) + samples(99.0, faults={"lost": 1}) + samples(2.0)
    assert spread(mixed, "cpu_s") == Spread(2.0, 1.0, 3.0, 3)
    assert spread(samples(99.0, faults={"lost": 1}), "cpu_s") is None


def test_a_ratio_is_made_round_by_round() -> None:
    """A machine that is slow for a round is slow for both rows."""
    assert ratio(samples(2.0, 20.0), samples(1.0, 10.0), "cpu_s") == Spread(2.0, 2.0, 2.0, 2)


def test_the_report_opens_with_its_bias_and_says_what_was_reached() -> None:
    """Bias first, then the machine, the aims, the tables, and what was left out and why."""
    text = markdown(RUN, [result()])
    assert text.splitlines()[2].startswith("**Bias.** This benchmark was written by the authors of Roomful")
    assert "÷ raw transport loop (uvloop) | 1.250 | 1.100 | 1.200 (1.200–1.200) | reached |" in text
    assert "| Roomful | 3.60 (2.40–4.80) |" in text
    assert "picows: 1 of 1 rounds do not count (lost)." in text
    assert "socketify (uWebSockets, C++): left out, not installed: socketify." in text
    assert "The machine was busy" not in text
    assert "The machine was busy" in markdown({**RUN, "load_average": 3.0}, [result()])


def test_the_picture_is_xml_and_opens_with_its_bias() -> None:
    """One bar for each row that has a figure."""
    root = ElementTree.fromstring(svg([result()], machine="2 cores of <X>"))
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0].startswith("Written by Roomful's authors")
    assert texts[-4:] == ["raw transport loop (uvloop)", "3.00", "Roomful", "3.60"]


def test_results_survive_their_json() -> None:
    """What is written is what is read."""
    assert case_from_json(case_to_json(result())) == result()


def test_cases_and_rows_fit_together() -> None:
    """Names are unique, every row of a case exists, and what is to be reached is a column of its case."""
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({row.name for row in ROWS}) == len(ROWS)
    for case in CASES:
        for name in (*case.rows, *case.bases):
            assert case.load.program in row_named(name).programs or name not in case.rows, (case.name, name)
        columns = {column.figure for column in case.columns}
        assert {aim.figure for aim in case.aims} <= columns
        assert all(aim.against is None or aim.against in case.rows for aim in case.aims)
