"""The verdict for machines: JUnit XML, and annotations that GitHub Actions shows beside a change."""

from __future__ import annotations

from xml.etree import ElementTree as xml

from freelane.bench.results import Result


def junit(result: Result) -> str:
    """One test case for each request and contender compared with the first (the schema that Jenkins reads)."""
    suite = xml.Element("testsuite", name="freelane bench", timestamp=result.started)
    differing = {(item.request, item.contender): item for item in result.differences}
    failures = errors = tests = 0
    for side in result.sides[1:]:
        for label in result.requests:
            case = xml.SubElement(suite, "testcase", classname=f"{side.name} as {result.sides[0].name}", name=label)
            tests += 1
            if difference := differing.get((label, side.name)):
                failures += 1
                failed = xml.SubElement(case, "failure", message=f"differs in {', '.join(difference.places)}")
                failed.text = clean(difference.diff)
    for row in result.rows:
        case = xml.SubElement(suite, "testcase", classname=f"{row.contender} under load", name=row.scenario)
        tests += 1
        if row.invalid:
            errors += 1
            xml.SubElement(case, "error", message=clean(row.invalid))
    suite.set("tests", str(tests))
    suite.set("failures", str(failures))
    suite.set("errors", str(errors))
    return xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot carry."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "?" for c in text
    )


def github(result: Result) -> list[str]:
    """Workflow commands, one for each difference and invalid row."""
    lines = []
    for item in result.differences:
        title = f"{item.request}: answers differ"
        lines.append(f"::error title={escaped(title, True)}::{escaped(str(item))}")
    for row in result.rows:
        if row.invalid:
            title = f"{row.scenario}: no measurement"
            lines.append(f"::error title={escaped(title, True)}::{escaped(f'{row.contender}: {row.invalid}')}")
    lines += [f"::warning title=noisy machine::{escaped(why)}" for why in result.noisy]
    return lines


def escaped(text: str, within: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if within else text
