"""The only writers of projects, people, links and keys. Each change commits with its audit row."""

from oversight.tenancy.services.keys import create_key, revoke_key
from oversight.tenancy.services.links import (
    accept_invitation,
    invite,
    join_by_invitation,
    reset_password_link,
    use_password_reset,
    withdraw_invitation,
)
from oversight.tenancy.services.members import add_member, change_role, remove_member
from oversight.tenancy.services.people import create_first_owner, create_person
from oversight.tenancy.services.projects import create_project
from oversight.tenancy.services.retention import change_retention, lift_hold, place_hold

__all__ = [
    "accept_invitation",
    "add_member",
    "change_retention",
    "change_role",
    "create_first_owner",
    "create_key",
    "create_person",
    "create_project",
    "invite",
    "join_by_invitation",
    "lift_hold",
    "place_hold",
    "remove_member",
    "reset_password_link",
    "revoke_key",
    "use_password_reset",
    "withdraw_invitation",
]
