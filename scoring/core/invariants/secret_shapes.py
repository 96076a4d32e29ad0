"""Detectors of credentials spelled out in text: provider prefixes, keys, tokens, assignments."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter

from scoring.core.invariants.detector import Detector, detector

MIN_ENTROPY_BITS = 3.5
_PLACEHOLDER = re.compile(
    r"your|example|placeholder|change.?me|dummy|sample|redacted|insert|replace|xxxx|\*\*\*|<|\$\{"
    r"|\{\{|%\(|\.\.\.|todo|env|getenv|config|settings",
    re.IGNORECASE,
)


def is_placeholder(value: str) -> bool:
    """Whether a value plainly stands for a secret instead of being one."""
    return bool(_PLACEHOLDER.search(value)) or len(set(value)) < 4


def entropy_bits(value: str) -> float:
    """Shannon entropy of the characters of a string, in bits a character, in [0, log2 n]."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values())


def _high_entropy(value: str) -> bool:
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and not is_placeholder(value) and entropy_bits(value) >= MIN_ENTROPY_BITS


def _jwt(value: str) -> bool:
    head = value.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


def _not_placeholder(value: str) -> bool:
    return not is_placeholder(value)


SECRET_DETECTORS: tuple[Detector, ...] = (
    detector(
        "aws_access_key",
        "AWS access key",
        r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z2-7]{16}\b"
        r"|(?i:aws.{0,20}secret.{0,20}[=:]\s{0,4}[\"']?)([A-Za-z0-9/+]{40})\b",
    ),
    detector(
        "github_token",
        "GitHub token",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b",
    ),
    detector("gitlab_token", "GitLab token", r"\bgl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,64}"),
    detector(
        "slack_token",
        "Slack token",
        r"\bxox[abposr]-[0-9]{8,14}-[A-Za-z0-9-]{10,128}"
        r"|hooks\.slack\.com/services/T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,32}",
    ),
    detector("stripe_key", "Stripe live key", r"\b(?:[sr]k_live|whsec)_[A-Za-z0-9]{20,128}\b"),
    detector("google_api_key", "Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    detector(
        "model_provider_key",
        "model provider's API key",
        r"\bsk-(?:ant-|proj-|svcacct-|or-v1-)[A-Za-z0-9_-]{32,200}|\bsk-[A-Za-z0-9]{40,64}\b"
        r"|\bhf_[A-Za-z0-9]{30,64}\b",
    ),
    detector(
        "package_registry_token",
        "package registry token",
        r"\bnpm_[A-Za-z0-9]{36}\b|\bpypi-AgE[A-Za-z0-9_-]{50,250}",
    ),
    detector(
        "private_key",
        "private key",
        r"-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----",
    ),
    detector(
        "jwt",
        "JSON web token",
        r"\beyJ[A-Za-z0-9_-]{10,500}\.eyJ[A-Za-z0-9_-]{4,900}\.[A-Za-z0-9_-]{10,500}",
        valid=_jwt,
    ),
    detector(
        "url_credentials",
        "password in a URL",
        r"[a-z][a-z0-9+.-]{1,20}://[^\s:@/\"'<>]{1,64}:([^\s:@/\"'<>]{3,128})@[A-Za-z0-9.\[-]",
        valid=_not_placeholder,
        wakes=("://",),
    ),
    detector(
        "cloud_connection_string",
        "cloud connection string",
        r"\bAccountKey=[A-Za-z0-9+/]{60,100}={0,2}|\bSharedAccessKey=[A-Za-z0-9+/]{40,60}={0,2}",
    ),
    detector(
        "high_entropy_assignment",
        "secret-looking value",
        r"(?:key|token|secret|passwd|password|pwd|credential|auth)[A-Za-z0-9_.\-]{0,20}[\"']?"
        r"\s{0,3}(?:=|:|:=|=>)\s{0,3}[\"']?([A-Za-z0-9+/_.\-!@#$%^&*]{16,200}={0,2})",
        valid=_high_entropy,
        ignore_case=True,
    ),
)
