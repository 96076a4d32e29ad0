"""Projects, people and keys. A project is the tenancy boundary: every row belongs to one."""

import secrets
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

SLUG = RegexValidator(r"^[a-z0-9][a-z0-9-]{0,62}$", "lower-case letters, digits and hyphens")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_superuser=True, is_staff=True, **fields)


class User(AbstractUser):
    """A person, known by e-mail address; what they may do is said by their memberships."""

    username = None  # type: ignore[assignment]  # Django's own way to drop the inherited field
    email = models.EmailField(unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[assignment,misc]  # the manager without usernames

    def __str__(self) -> str:
        return self.get_full_name() or self.email


def new_secret() -> bytes:
    return secrets.token_bytes(32)


class Project(models.Model):
    slug = models.CharField(max_length=63, unique=True, validators=[SLUG])
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)
    retention_days = models.PositiveIntegerField(
        default=400, validators=[MinValueValidator(1), MaxValueValidator(3650)]
    )
    review_consent = models.BooleanField(
        default=True, help_text="Whether records that say nothing may be shown to reviewers."
    )
    training_consent = models.BooleanField(
        default=False, help_text="Whether records that say nothing may enter training exports."
    )
    held_out_share = models.FloatField(
        default=0.1,
        validators=[MinValueValidator(0), MaxValueValidator(0.5)],
        help_text="Share of record groups kept for evaluation only.",
    )
    window_minutes = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(10_080)],
        help_text="How long records gather before a sampling round is drawn over them.",
    )
    # Keys the hashes of content in the audit log and of groups in the held-out split, so that
    # neither can be guessed by hashing candidates outside.
    hash_key = models.BinaryField(default=new_secret, editable=False)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    REVIEWER = "reviewer", "Reviewer"
    LEAD = "lead", "Lead"
    POLICY_ADMIN = "policy_admin", "Policy admin"
    ENGINEER = "engineer", "Engineer"
    AUDITOR = "auditor", "Auditor"
    OWNER = "owner", "Owner"


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once"),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="membership_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"


class Invitation(models.Model):
    """A link that an owner hands over: it makes one membership, once, until it expires."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=16, choices=Role.choices)
    token_hash = models.BinaryField(unique=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")


class PasswordReset(models.Model):
    """A link by which a person sets a new password; made by an owner, used once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    token_hash = models.BinaryField(unique=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class Scope(models.TextChoices):
    RECORDS_WRITE = "records:write"
    RECORDS_READ = "records:read"
    REVIEW = "review"
    POLICIES_WRITE = "policies:write"
    DATASETS_READ = "datasets:read"
    DATASETS_WRITE = "datasets:write"
    ADMIN = "admin"


class ApiKey(models.Model):
    """A key of one project: found by its prefix, checked by the hash of its 256-bit secret."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.BinaryField()
    scopes = ArrayField(models.CharField(max_length=24, choices=Scope.choices))
    acts_as = models.ForeignKey(
        User,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="The member whose verdicts this key gives.",
    )
    ai_rater = models.CharField(
        max_length=80, blank=True, help_text="The AI rater whose verdicts this key gives."
    )
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(acts_as__isnull=True) | models.Q(ai_rater=""),
                name="key_acts_as_one",
            )
        ]

    def __str__(self) -> str:
        return self.name


class LegalHold(models.Model):
    """While it stands, nothing of its project is removed for its age."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="legal_holds")
    reason = models.CharField(max_length=500)
    placed_at = models.DateTimeField(auto_now_add=True)
    placed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    def __str__(self) -> str:
        return self.reason
