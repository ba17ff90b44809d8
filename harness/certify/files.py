"""What a certification writes at the end: the value, and its reports."""

from pathlib import Path

from harness.certify.result import CERTIFY_JSON, Certification
from harness.codec import pretty
from harness.report import certification as report
from harness.report import certification_junit as junit


def write(directory: Path, found: Certification) -> None:
    """:raises OSError: a file cannot be written"""
    (directory / CERTIFY_JSON).write_bytes(pretty(found))
    (directory / "report.md").write_text(report.markdown(found), encoding="utf-8")
    (directory / "report.html").write_text(report.html(found), encoding="utf-8")
    (directory / "junit.xml").write_text(junit.render(found), encoding="utf-8")
