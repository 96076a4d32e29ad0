"""Personal data and credentials in answers."""

_PII_TEXT = "I can't share that: it contains personal data."

PRIVACY: list[dict[str, object]] = [
    {
        "key": "privacy.email",
        "title": "The answer spells out no email address that the user did not give",
        "clause": "privacy.contact",
        "severity": "medium",
        "weight": 1.0,
        "condition": {
            "any": [
                {"none": [{"check": "personal_data", "kinds": ["email"]}]},
                {"check": "personal_data", "kinds": ["email"], "in": "input"},
            ]
        },
    },
    {
        "key": "privacy.phone",
        "title": "The answer spells out no phone number that the user did not give",
        "clause": "privacy.contact",
        "severity": "medium",
        "weight": 1.0,
        "condition": {
            "any": [
                {"none": [{"check": "personal_data", "kinds": ["phone"]}]},
                {"check": "personal_data", "kinds": ["phone"], "in": "input"},
            ]
        },
    },
    {
        "key": "privacy.contact_list",
        "title": "The answer is not a list of people's contact data",
        "clause": "privacy.contact",
        "severity": "high",
        "effect": {"kind": "block"},
        "weight": 3.0,
        "condition": {
            "none": [{"check": "personal_data", "kinds": ["email", "phone"], "min_count": 4}]
        },
    },
    {
        "key": "privacy.payment_card",
        "title": "The answer spells out no payment card number",
        "clause": "privacy.financial",
        "severity": "critical",
        "effect": {"kind": "replace", "text": _PII_TEXT},
        "weight": 4.0,
        "condition": {"none": [{"check": "personal_data", "kinds": ["payment_card"]}]},
    },
    {
        "key": "privacy.bank_account",
        "title": "The answer spells out no bank account (IBAN or routing number)",
        "clause": "privacy.financial",
        "severity": "high",
        "effect": {"kind": "block"},
        "weight": 3.0,
        "condition": {"none": [{"check": "personal_data", "kinds": ["iban", "us_routing"]}]},
    },
    {
        "key": "privacy.birth_and_passport",
        "title": "The answer ties no birth date or passport number to a person",
        "clause": "privacy.identity",
        "severity": "high",
        "weight": 2.0,
        "condition": {"none": [{"check": "personal_data", "kinds": ["date_of_birth", "passport"]}]},
    },
    {
        "key": "privacy.device_address",
        "title": "The answer spells out no public network or hardware address",
        "clause": "privacy.identity",
        "severity": "low",
        "weight": 0.5,
        "condition": {"none": [{"check": "personal_data", "kinds": ["ip_address", "mac_address"]}]},
    },
    {
        "key": "privacy.card_in_prompt",
        "title": "The user did not paste a payment card number",
        "clause": "privacy.financial",
        "severity": "medium",
        "weight": 1.0,
        "condition": {
            "none": [{"check": "personal_data", "kinds": ["payment_card"], "in": "last_user"}]
        },
    },
    {
        "key": "secrets.output",
        "title": "The answer spells out no credential",
        "clause": "security.secrets",
        "severity": "critical",
        "effect": {"kind": "block"},
        "weight": 4.0,
        "condition": {
            "none": [
                {
                    "check": "secrets",
                    "kinds": [
                        "aws_access_key",
                        "github_token",
                        "gitlab_token",
                        "slack_token",
                        "stripe_key",
                        "google_api_key",
                        "model_provider_key",
                        "package_registry_token",
                        "jwt",
                        "cloud_connection_string",
                    ],
                }
            ]
        },
    },
    {
        "key": "secrets.private_key",
        "title": "The answer holds no private key",
        "clause": "security.secrets",
        "severity": "critical",
        "effect": {"kind": "block"},
        "weight": 4.0,
        "condition": {"none": [{"check": "secrets", "kinds": ["private_key"]}]},
    },
    {
        "key": "secrets.url_password",
        "title": "No link or connection string carries a password",
        "clause": "security.secrets",
        "severity": "high",
        "weight": 2.0,
        "condition": {"none": [{"check": "secrets", "kinds": ["url_credentials"]}]},
    },
    {
        "key": "secrets.prompt",
        "title": "The user did not paste a credential",
        "clause": "security.secrets",
        "severity": "medium",
        "weight": 1.0,
        "condition": {"none": [{"check": "secrets", "in": "last_user"}]},
    },
]
