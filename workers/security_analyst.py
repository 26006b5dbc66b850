"""The security analyst: dangerous code (bandit) and secrets in files (detect-secrets, asking no service about them)."""

import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from bandit.core.config import BanditConfig
from bandit.core.manager import BanditManager
from detect_secrets.core.scan import scan_file
from detect_secrets.filters.heuristic import is_non_text_file
from detect_secrets.settings import transient_settings

from hive import shared_task
from workers.findings import Finding, Outcome, Severity, Unit, in_order
from workers.source import Reading, Source, UnreadableError, read_bytes
from workers.task import AgentTask

AGENT = "security_analyst"

#: Bandit's severities as ours. It runs with its defaults: all tests, every severity and confidence, and
#: comments that silence it count.
BANDIT_SEVERITIES = {
    "UNDEFINED": Severity.INFO,
    "LOW": Severity.LOW,
    "MEDIUM": Severity.MEDIUM,
    "HIGH": Severity.HIGH,
}

#: End of the names of the files that bandit examines in a directory.
BANDIT_SUFFIX = ".py"

#: What detect-secrets looks for, by the type it names. Those that guess, from a name or from randomness, weigh less
#: than those that know a secret's form. Public addresses are left out: they are no secret.
DETECTORS = {
    "Artifactory Credentials": ("ArtifactoryDetector", Severity.CRITICAL),
    "AWS Access Key": ("AWSKeyDetector", Severity.CRITICAL),
    "Azure Storage Account access key": ("AzureStorageKeyDetector", Severity.CRITICAL),
    "Base64 High Entropy String": ("Base64HighEntropyString", Severity.LOW),
    "Basic Auth Credentials": ("BasicAuthDetector", Severity.MEDIUM),
    "Cloudant Credentials": ("CloudantDetector", Severity.CRITICAL),
    "Discord Bot Token": ("DiscordBotTokenDetector", Severity.CRITICAL),
    "GitHub Token": ("GitHubTokenDetector", Severity.CRITICAL),
    "GitLab Token": ("GitLabTokenDetector", Severity.CRITICAL),
    "Hex High Entropy String": ("HexHighEntropyString", Severity.LOW),
    "IBM Cloud IAM Key": ("IbmCloudIamDetector", Severity.CRITICAL),
    "IBM COS HMAC Credentials": ("IbmCosHmacDetector", Severity.CRITICAL),
    "JSON Web Token": ("JwtTokenDetector", Severity.HIGH),
    "Mailchimp Access Key": ("MailchimpDetector", Severity.CRITICAL),
    "NPM tokens": ("NpmDetector", Severity.CRITICAL),
    "OpenAI Token": ("OpenAIDetector", Severity.CRITICAL),
    "Private Key": ("PrivateKeyDetector", Severity.CRITICAL),
    "PyPI Token": ("PypiTokenDetector", Severity.CRITICAL),
    "Secret Keyword": ("KeywordDetector", Severity.MEDIUM),
    "SendGrid API Key": ("SendGridDetector", Severity.CRITICAL),
    "Slack Token": ("SlackDetector", Severity.CRITICAL),
    "SoftLayer Credentials": ("SoftlayerDetector", Severity.CRITICAL),
    "Square OAuth Secret": ("SquareOAuthDetector", Severity.CRITICAL),
    "Stripe Access Key": ("StripeDetector", Severity.CRITICAL),
    "Telegram Bot Token": ("TelegramBotTokenDetector", Severity.CRITICAL),
    "Twilio API Key": ("TwilioKeyDetector", Severity.CRITICAL),
}

#: What detect-secrets passes over: its own choice but for one, which leaves out every file below a directory whose name
#: has "swagger" in it. The one that asks a secret's service whether it is valid is not among them.
FILTERS = (
    "detect_secrets.filters.allowlist.is_line_allowlisted",
    "detect_secrets.filters.heuristic.is_indirect_reference",
    "detect_secrets.filters.heuristic.is_likely_id_string",
    "detect_secrets.filters.heuristic.is_lock_file",
    "detect_secrets.filters.heuristic.is_not_alphanumeric_string",
    "detect_secrets.filters.heuristic.is_potential_uuid",
    "detect_secrets.filters.heuristic.is_prefixed_with_dollar_sign",
    "detect_secrets.filters.heuristic.is_sequential_string",
    "detect_secrets.filters.heuristic.is_templated_secret",
)

# The settings of detect-secrets belong to the process: two threads would take each other's away.
_SETTINGS = threading.Lock()


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.security_analyst.review", pydantic=True)
def review(unit: Unit) -> Outcome:
    """Look for dangerous code and for secrets in the Python files of a unit.

    Args:
        unit: some files of a project; the findings of all units together are those of one run over all files.
    """
    reading = Reading(unit, AGENT)
    dangerous: list[str] = []
    found: list[Finding] = []
    for source in reading:
        if source.path.endswith(BANDIT_SUFFIX):
            dangerous.append(source.path)
        found += _source_secrets(source)
    found += _bandit(reading, dangerous)
    return Outcome(agent=AGENT, findings=in_order(found), skipped=tuple(reading.skipped))


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.security_analyst.secrets", pydantic=True)
def secrets(unit: Unit) -> Outcome:
    """Look for secrets in the files of a unit that are no Python: settings, documents, notebooks.

    Args:
        unit: some files of a project; images, archives and the like are passed over.
    """
    reading = Reading(unit, AGENT)
    found: list[Finding] = []
    for path in unit.files:
        if is_non_text_file(path):
            continue
        file = Path(unit.root, path)
        try:
            read_bytes(file).decode("utf-8")
        except UnreadableError as exc:
            reading.skip(path, str(exc))
        except UnicodeDecodeError:
            reading.skip(path, "is not UTF-8 text")
        else:
            found += _file_secrets(file, path)
    return Outcome(agent=AGENT, findings=in_order(found), skipped=tuple(reading.skipped))


def _bandit(reading: Reading, paths: list[str]) -> Iterator[Finding]:
    root = Path(reading.unit.root)
    # What it warns of is about the reviewed project's comments, and what it could not examine is listed as skipped.
    logging.getLogger("bandit").setLevel(logging.CRITICAL)
    manager = BanditManager(BanditConfig(), "file")
    manager.discover_files([str(root / path) for path in paths])
    manager.run_tests()
    for name, reason in manager.get_skipped():
        reading.skip(Path(name).relative_to(root).as_posix(), f"bandit: {reason}")
    for issue in manager.get_issue_list("UNDEFINED", "UNDEFINED"):
        yield Finding(
            agent=AGENT,
            tool="bandit",
            rule=issue.test_id,
            severity=BANDIT_SEVERITIES[issue.severity],
            path=Path(issue.fname).relative_to(root).as_posix(),
            line=issue.lineno,
            column=issue.col_offset + 1,
            message=f"{issue.text} ({issue.confidence.lower()} confidence)",
        )


def _source_secrets(source: Source) -> list[Finding]:
    if source.encoding in {"utf-8", "utf-8-sig"}:
        return _file_secrets(source.file, source.path)
    # detect-secrets reads UTF-8 only, and passes over what is not without a word.
    with tempfile.TemporaryDirectory(prefix="hive-secrets-") as scratch:
        copy = Path(scratch, source.file.name)
        copy.write_text(source.text, encoding="utf-8")
        return _file_secrets(copy, source.path)


def _file_secrets(file: Path, path: str) -> list[Finding]:
    plugins = [{"name": detector} for detector, _ in DETECTORS.values()]
    with _SETTINGS, transient_settings({"plugins_used": plugins, "filters_used": [{"path": name} for name in FILTERS]}):
        found = {(secret.line_number, secret.type) for secret in scan_file(str(file))}
    return [_secret(path, line, kind) for line, kind in sorted(found)]


def _secret(path: str, line: int, kind: str) -> Finding:
    detector, severity = DETECTORS[kind]
    return Finding(
        agent=AGENT,
        tool="detect-secrets",
        rule=detector,
        severity=severity,
        path=path,
        line=line,
        message=f"{kind}: this looks like a secret; keep it out of the files and replace it where it was used",
    )
