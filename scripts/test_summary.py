#!/usr/bin/env python3
"""Adds up JUnit reports: names what failed and what was skipped, with reasons, then prints "N passed, N failed, N skipped".

usage: test_summary.py REPORT.xml...    A report that is missing, broken or empty counts as one failure. Exit code 1 after any failure.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def reason_of(case, skipped):
    """pytest puts the reason into the message, GoogleTest into what the program printed."""
    output = case.findtext("system-out") or ""
    printed = re.search(r": Skipped\n(.*?)\n*\[  SKIPPED \]", output, re.DOTALL)
    return " ".join((printed.group(1) if printed else skipped.get("message") or "no reason given").split())


def outcomes(report):
    """(name, "passed" | "failed" | "skipped", reason) of every test case in the report."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = ".".join(filter(None, dict.fromkeys((case.get("classname"), case.get("name")))))
        if case.find("failure") is not None or case.find("error") is not None:
            yield name, "failed", ""
        elif case.get("status") == "disabled":
            yield name, "skipped", "disabled in the source"
        elif (skipped := case.find("skipped")) is not None:
            yield name, "skipped", reason_of(case, skipped)
        else:
            yield name, "passed", ""


def read(report):
    try:
        return list(outcomes(report)) or [(report.name, "failed", "it holds no tests")]
    except (OSError, ElementTree.ParseError) as error:
        return [(report.name, "failed", f"did not finish ({type(error).__name__})")]


def main(reports):
    counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
    for report in map(pathlib.Path, reports):
        for name, outcome, reason in read(report):
            counts[outcome] += 1
            if outcome != "passed":
                print(f"{outcome}: {report.stem}: {name}" + (f": {reason}" if reason else ""))
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
