"""Addresses of members, keys and links."""

from django.urls import path

from oversight.tenancy.views import keys, links, members, retention

app_name = "tenancy"
_SETTINGS = "p/<slug:project>/settings"

urlpatterns = [
    path(f"{_SETTINGS}/members", members.members, name="members"),
    path(
        f"{_SETTINGS}/members/<int:membership>/password-link",
        members.password_link,
        name="password_link",
    ),
    path(f"{_SETTINGS}/invitations", members.invite, name="invite"),
    path(
        f"{_SETTINGS}/invitations/<int:invitation>/withdraw",
        members.withdraw_invitation,
        name="withdraw_invitation",
    ),
    path(f"{_SETTINGS}/keys", keys.keys, name="keys"),
    path(f"{_SETTINGS}/keys/<int:key>/revoke", keys.revoke_key, name="revoke_key"),
    path(f"{_SETTINGS}/retention", retention.retention, name="retention"),
    path(f"{_SETTINGS}/holds", retention.place_hold, name="place_hold"),
    path(f"{_SETTINGS}/holds/<int:hold>/lift", retention.lift_hold, name="lift_hold"),
    path("invitations/<str:token>", links.accept_invitation, name="accept_invitation"),
    path("password-links/<str:token>", links.reset_password, name="reset_password"),
]
