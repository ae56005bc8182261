"""Turns JUnit files into GitHub annotations, one for each failed or undecided expectation, and a summary table.

Usage: python3 .github/annotate.py reports/*/junit.xml
"""

import os
import sys
import xml.etree.ElementTree as ElementTree


def escape(text: str, also: str = "") -> str:
    """Escapes what has a meaning in a workflow command."""
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def annotation(case: ElementTree.Element) -> str | None:
    """The workflow command for one test case; none if it passed or was skipped."""
    for kind, level in (("failure", "error"), ("error", "warning")):
        problem = case.find(kind)
        if problem is not None:
            break
    else:
        return None
    place = ""
    if case.get("file"):
        place = f" file={escape(case.get('file'), ':,')},line={case.get('line', '1')},"
    else:
        place = " "
    title = escape(f"{case.get('classname', '')}: {case.get('name', '')}", ":,")
    message = problem.get("message") or (problem.text or "").strip()
    return f"::{level}{place}title={title}::{escape(message)}"


def main(files: list[str]) -> None:
    rows = []
    for file in files:
        for suite in ElementTree.parse(file).getroot().iter("testsuite"):
            cases = list(suite.iter("testcase"))
            notes = [note for note in map(annotation, cases) if note]
            for note in notes:
                print(note)
            verdict = "✗" if notes else "✓"
            rows.append(f"| {verdict} | {suite.get('name')} | {len(cases)} | {len(notes)} | {suite.get('time', '')} |")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary and rows:
        with open(summary, "a", encoding="utf-8") as out:
            print("| | scenario | expectations | not passed | seconds |\n|---|---|---|---|---|", *rows, sep="\n", file=out)


if __name__ == "__main__":
    main(sys.argv[1:])
