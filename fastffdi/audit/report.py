"""An audit as text, gravest findings first, and as data. File names are shown so that they can do no harm."""

from __future__ import annotations

from typing import Any

from fastffdi.audit.audit import SPLITS, Audit
from fastffdi.audit.facts import PROBLEMS
from fastffdi.audit.findings import Finding
from fastffdi.escapes import escaped

_SHOWN = 3  # images of a finding


def text(audit: Audit) -> str:
    """The report for a terminal: one line of what was looked at, then two or three for each finding."""
    count = len(audit.labels)
    how = "all decoded and hashed" if audit.full else "headers and ends only"
    lines = [f"{count:,} files checked, {how}; {_verdict(audit.findings)}"]
    for finding in audit.findings:
        lines += ["", f"{finding.severity:8} {finding.text}", f"{'':8} {_sentence(finding.advice)}"]
        if len(finding.rows):
            lines.append(f"{'':8} {_examples(audit, finding)}")
    known = [one for one in audit.shortcuts if any(value is not None for value in one.reach)]
    if known:
        lines += ["", "labels from facts about the files alone: AUC in training, in validation"]
        for one in known:
            values = "  ".join("   –" if value is None else f"{value:.2f}" for value in one.reach)
            lines.append(f"{'warning' if one.warn else '':8} {one.fact:20} {values}")
    return "\n".join(lines)


def data(audit: Audit) -> dict[str, Any]:
    """Everything the audit knows, for json.dumps."""
    splits = zip(SPLITS, (audit.train, audit.val), strict=True)
    return {
        "data": audit.dataset.description,
        "mode": "full" if audit.full else "quick",
        "files": len(audit.labels),
        "classes": {
            name: dict(zip(("real", "fake"), split.manifest.class_counts().values(), strict=True))
            for name, split in splits
        },
        "findings": [_finding_data(audit, finding) for finding in audit.findings],
        "shortcuts": [
            {"fact": one.fact, **dict(zip(SPLITS, one.reach, strict=True)), "warning": one.warn}
            for one in audit.shortcuts
        ],
        "unusable": [
            {"split": name, "name": str(split.manifest.names[row]), "problem": problem, "reason": reason}
            for name, split in zip(SPLITS, (audit.train, audit.val), strict=True)
            for row, reason in sorted(split.reasons.items())
            for problem in [PROBLEMS[split.facts["problem"][row]]]
        ],
    }


def _verdict(findings: list[Finding]) -> str:
    if not findings:
        return "nothing found"
    counts = {one.severity: sum(f.severity == one.severity for f in findings) for one in findings}
    return ", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items())


def _sentence(advice: str) -> str:
    return f"{advice[0].upper()}{advice[1:]}."


def _examples(audit: Audit, finding: Finding) -> str:
    found = []
    for place, row in enumerate(finding.rows[:_SHOWN].tolist()):
        words = escaped(audit.named(row)[1])
        if len(finding.others):
            words += f" {_sign(finding)} {escaped(audit.named(int(finding.others[place]))[1])}"
        found.append(words)
    return ", ".join(found + ["…"] * (len(finding.rows) > _SHOWN))


def _sign(finding: Finding) -> str:
    return "≈" if finding.kind.startswith("near") else "="


def _finding_data(audit: Audit, finding: Finding) -> dict[str, Any]:
    named = []
    for place, row in enumerate(finding.rows.tolist()):
        split, name = audit.named(row)
        image = {"split": split, "name": name}
        if len(finding.others):
            image["like_split"], image["like"] = audit.named(int(finding.others[place]))
        named.append(image)
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "text": finding.text,
        "advice": finding.advice,
        "images": named,
    }
