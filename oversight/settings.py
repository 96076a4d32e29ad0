"""Settings, read from the environment; every default is fit for one machine.

`manage.py up` sets DATABASE_URL, REDIS_URL, OVERSIGHT_SECRET_KEY and OVERSIGHT_DATA for its
children; on several machines the operator does.
"""

import base64
import json
import os
import sys
from pathlib import Path

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from oversight.lib import notes

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env("OVERSIGHT_DATA", default=str(BASE_DIR / "data"))).absolute()
DEBUG = env.bool("OVERSIGHT_DEBUG", default=False)


def _running_addresses() -> dict[str, str]:
    """The addresses of what `manage.py up` runs on this data folder, so that commands find it."""
    path = DATA_DIR / "addresses.json"
    return json.loads(path.read_text()) if path.exists() else {}


# Not put into the environment: `up` itself reads these settings, and must not mistake what an
# earlier run has left for servers that somebody else runs.
_addresses = _running_addresses()


def _secret_key() -> str:
    """The signing key: from the environment, else from the data folder, made there once."""
    if key := env("OVERSIGHT_SECRET_KEY", default=""):
        return key
    path = DATA_DIR / "secret_key"
    if path.exists():
        return path.read_text().strip()
    # `up` gives its children the data folder, so that one machine needs no more than that.
    is_up = sys.argv[1:2] == ["up"]
    if "DATABASE_URL" in os.environ and "OVERSIGHT_DATA" not in os.environ and not is_up:
        raise ImproperlyConfigured(
            "OVERSIGHT_SECRET_KEY is not set: every node of one installation must share it"
        )
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(os.urandom(48).hex())
    return path.read_text().strip()


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = env.list("OVERSIGHT_SECRET_KEY_FALLBACKS", default=[])


def _audit_key() -> bytes | None:
    """The seed that audit checkpoints are signed with; None: the data folder's, made there once."""
    text = env("OVERSIGHT_AUDIT_KEY", default="")
    try:
        seed = base64.b64decode(text, validate=True)
    except ValueError:
        seed = b"?"
    if len(seed) not in (0, notes.SEED_BYTES):
        raise ImproperlyConfigured("OVERSIGHT_AUDIT_KEY is no base64 of 32 bytes")
    return seed or None


def _retired_audit_keys() -> list[bytes]:
    try:
        return [
            notes.public_key(text) for text in env.list("OVERSIGHT_AUDIT_RETIRED_KEYS", default=[])
        ]
    except ValueError as error:
        raise ImproperlyConfigured(f"OVERSIGHT_AUDIT_RETIRED_KEYS: {error}") from error


OVERSIGHT_AUDIT_KEY = _audit_key()
# The last parts of verifier keys, as `audit-key` prints them.
OVERSIGHT_AUDIT_RETIRED_KEYS = _retired_audit_keys()

ALLOWED_HOSTS = env.list("OVERSIGHT_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("OVERSIGHT_ORIGINS", default=[])
HTTPS = env.bool("OVERSIGHT_HTTPS", default=False)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "pgtrigger",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "oversight",
    "oversight.tenancy",
    "oversight.audit",
    "oversight.jobs",
    "scoring",
    "review",
]

MIDDLEWARE = [
    "oversight.monitoring.middleware.MetricsMiddleware",
    # Above whatever answers by itself: refusals, redirects and static files carry them too.
    "oversight.lib.headers.HeadersMiddleware",
    "oversight.lib.headers.PolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "oversight.lib.deadline.DeadlineMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "oversight.lib.problems.ProblemMiddleware",
]

ROOT_URLCONF = "oversight.urls"
WSGI_APPLICATION = "oversight.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "oversight.theme.theme_context",
            ],
        },
    },
]

# Storage ---------------------------------------------------------------------------------------
_database = env.db("DATABASE_URL", default=_addresses.get("DATABASE_URL", "postgres:///oversight"))
DATABASES = {
    "default": {
        **_database,
        "ENGINE": "oversight.lib.postgres",
        "CONN_MAX_AGE": env.int("OVERSIGHT_CONN_MAX_AGE_SECONDS", default=600),
        "CONN_HEALTH_CHECKS": True,
        # No server-side binding: triggers and several statements in one string need the simple
        # protocol. The hottest statements (oversight/lib/postgres/statements.py) are bound by the
        # server and prepared; 0 leaves them unprepared, for poolers that cannot follow that.
        "OPTIONS": {
            **_database.get("OPTIONS", {}),
            "prepare_threshold": env.int("OVERSIGHT_PREPARE_THRESHOLD", default=2) or None,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REQUEST_DEADLINE_SECONDS = env.float("OVERSIGHT_REQUEST_DEADLINE_SECONDS", default=4.5)
# Requests alone have it: below the deadline, so that a slow query is cancelled by the server, and
# only a server that cannot even do that counts as frozen.
DATABASE_STATEMENT_TIMEOUT_MS = env.int("OVERSIGHT_STATEMENT_TIMEOUT_MS", default=4_000)

REDIS_URL = env("REDIS_URL", default=_addresses.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
# Rate limits of the login live here; correctness never does. A database cache keeps logins
# possible, and limited, while the broker is away.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "django_cache",
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or env.bool("OVERSIGHT_PLAIN_STATIC", default=False)
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# Without a collected folder (a test run, a first look) files are served where they lie.
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False  # nobody else's pages use them

# Requests --------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024  # pages; ingest reads its own capped stream
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# People ----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "tenancy.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
# After so long without a request, and so long after signing in, a person signs in again.
SESSION_ENGINE = "oversight.tenancy.sessions"
SESSION_IDLE_SECONDS = 3600 * env.float("OVERSIGHT_SESSION_IDLE_HOURS", default=12)
SESSION_COOKIE_AGE = 86_400 * env.int("OVERSIGHT_SESSION_DAYS", default=14)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "oversight.tenancy.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # people come by a link that an owner hands over
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_SESSION_REMEMBER = True
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = False
SOCIALACCOUNT_ONLY = False
# Whoever runs the installation has named the provider, so the addresses it has verified count:
# its first sign-in finds the member of that address, and ends a password that was set before.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
# By a link: a form would be held back by `form-action`, whose chain of addresses only the provider
# knows. The state that the answer must carry keeps others from using it.
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_PROVIDERS = (
    {
        "openid_connect": {
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": env("OVERSIGHT_OIDC_NAME", default="Single sign-on"),
                    "client_id": env("OVERSIGHT_OIDC_CLIENT_ID", default=""),
                    "secret": env("OVERSIGHT_OIDC_SECRET", default=""),
                    "settings": {"server_url": env("OVERSIGHT_OIDC_SERVER")},
                }
            ]
        }
    }
    if env("OVERSIGHT_OIDC_SERVER", default="")
    else {}
)

# Headers ---------------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # asked from within, past the proxy
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
# A name with this prefix is one that no other host, nor a page without HTTPS, can have set.
COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True  # scripts take the token from the page
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # names stand in them
CSRF_FAILURE_VIEW = "oversight.pages.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "object-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["htmx"],
        "report-uri": "/csp-report",
    }
}

SILENCED_SYSTEM_CHECKS = [
    "security.W002",  # X-Frame-Options: `frame-ancestors` above says the same, on every answer
    "security.W021",  # HSTS preload binds a whole domain for good: its owner's decision
]

# API -------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "oversight.tenancy.authentication.KeyAuthentication",
        "oversight.tenancy.authentication.ProjectSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["oversight.tenancy.authentication.ScopePermission"],
    "DEFAULT_PARSER_CLASSES": ["oversight.lib.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "oversight.lib.negotiation.OneForm",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "oversight.lib.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "COMPACT_JSON": True,
    "UNICODE_JSON": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Oversight",
    "DESCRIPTION": "Human review of AI decisions.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    # Names for choices whose fields are called alike.
    "ENUM_NAME_OVERRIDES": {
        "DriftKindEnum": "scoring.models.DriftReport.Kind",
        "PublishedStatusEnum": "review.models.publishing.VersionStatus",
        "VersionStatusEnum": "scoring.models.ScorerVersion.Status",
    },
}

# How long a web process may go on taking a key after it was revoked elsewhere.
OVERSIGHT_KEY_MEMORY_SECONDS = env.float("OVERSIGHT_KEY_MEMORY_SECONDS", default=1.0)

# Tasks -----------------------------------------------------------------------------------------
CELERY_BROKER_URL = env("CELERY_BROKER_URL", default=REDIS_URL)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "oversight.lib.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env("OVERSIGHT_LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "WARNING"},
        "django.security.csrf": {"level": "ERROR"},  # ours tells it without the address
    },
}

# A scraper's bearer token; without one `/metrics` answers this host alone.
METRICS_TOKEN = env("OVERSIGHT_METRICS_TOKEN", default="")

# Storage of records ----------------------------------------------------------------------------
OVERSIGHT_PARTITION_DAYS = env.int("OVERSIGHT_PARTITION_DAYS", default=7)
